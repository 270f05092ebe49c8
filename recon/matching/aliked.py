"""ALIKED keypoints matched by LightGlue, through kornia.

Zhao et al., "ALIKED: A Lighter Keypoint and Descriptor Extraction Network via Deformable
Transformation", 2023.
Lindenberger et al., "LightGlue: Local Feature Matching at Light Speed", ICCV 2023.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from kornia.feature import ALIKED, LightGlue

from fewview.recon.io.weights import fetch
from fewview.recon.matching.features import Features, Matches
from fewview.recon.progress import Progress

_RATIO = 0.9
"""Nearest against second nearest distance in `affinity`."""


class AlikedLightGlue:
    """The default matcher.

    Raises (on construction):
        EnvironmentFault: the weights cannot be had.
    """

    name = "aliked+lightglue"
    turns = True

    def __init__(self, keypoints: int, progress: Progress) -> None:
        self._aliked = ALIKED("aliked-n16", max_num_keypoints=keypoints, detection_threshold=-1)
        _load(self._aliked, torch.load(fetch("aliked-n16", progress), weights_only=True))
        # Channels last makes the network 1.7 times faster on a CPU.
        self._aliked.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._lightglue = LightGlue(None, input_dim=128)  # type: ignore[arg-type]
        state = torch.load(fetch("lightglue-aliked", progress), weights_only=True)
        _load(self._lightglue, {_layer_first(name): value for name, value in state.items()})
        self._lightglue.eval()
        for layer in self._lightglue.transformers:
            cross: Any = layer.cross_attn
            cross.forward = MethodType(_cross_attention, cross)

    def detect(self, image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"] | None) -> Features:
        height, width = image.shape[:2]
        with torch.inference_mode():
            dense, score_map = self._aliked.extract_dense_map(_tensor(image))
            if mask is not None:
                score_map = score_map * torch.from_numpy(mask)
            found, scores, _ = self._aliked.dkd(score_map)
            if mask is not None:
                inside = _lies_in(mask, _to_pixels(found[0], width, height))
                found, scores = [found[0][inside]], [scores[0][inside]]
            order = torch.argsort(scores[0], descending=True, stable=True)
            descriptors, _ = self._aliked.desc_head(dense, [found[0][order]])
            points = _to_pixels(found[0][order], width, height)
            return Features(points.numpy(), scores[0][order].numpy(), descriptors[0], width, height)

    def match(self, a: Features, b: Features) -> Matches:
        with torch.inference_mode():
            result = self._lightglue({"image0": _lightglue_input(a), "image1": _lightglue_input(b)})
        pairs, scores = result["matches"][0].numpy(), result["scores"][0].numpy()
        return Matches(pairs.astype(np.int32), scores.astype(np.float32))

    def affinity(self, a: Features, b: Features) -> int:
        if min(len(a.keypoints), len(b.keypoints)) < 2:
            return 0
        with torch.inference_mode():
            similarity = a.descriptors @ b.descriptors.T
            best = similarity.topk(2, dim=1)
            mutual = similarity.argmax(dim=0)[best.indices[:, 0]] == torch.arange(len(similarity))
            distance = (2 - 2 * best.values.clamp(max=1)).sqrt()
            return int((mutual & (distance[:, 0] < _RATIO * distance[:, 1])).sum())


def _load(model: torch.nn.Module, state: dict[str, torch.Tensor]) -> None:
    """Every parameter must come from the file; buffers that the constructor computes need not."""
    result = model.load_state_dict(state, strict=False)
    learned = {name for name, _ in model.named_parameters()}
    if result.unexpected_keys or learned & set(result.missing_keys):
        raise RuntimeError(f"weights do not fit this version of kornia: {result}")


def _layer_first(name: str) -> str:
    """The checkpoint says `self_attn.3.x` where kornia says `transformers.3.self_attn.x`."""
    kind, _, rest = name.partition(".")
    if kind in ("self_attn", "cross_attn"):
        layer, _, parameter = rest.partition(".")
        return f"transformers.{layer}.{kind}.{parameter}"
    return name


def _cross_attention(
    self: Any, x0: torch.Tensor, x1: torch.Tensor, mask: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """kornia's `CrossBlock.forward` by fused attention, which it keeps for GPUs: 1.3 times faster on a CPU.

    Args:
        x0, x1: (1, M, D) and (1, N, D) descriptors.
        mask: must be None; kornia passes one only for compiled models.
    """
    if mask is not None:
        raise NotImplementedError("masked cross-attention")

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2).contiguous()

    def merged(x: torch.Tensor, message: torch.Tensor) -> torch.Tensor:
        message = self.to_out(message.transpose(1, 2).flatten(start_dim=-2))
        return x + self.ffn(torch.cat([x, message], dim=-1))

    qk0, qk1, v0, v1 = (
        heads(self.to_qk(x0)),
        heads(self.to_qk(x1)),
        heads(self.to_v(x0)),
        heads(self.to_v(x1)),
    )
    m0 = F.scaled_dot_product_attention(qk0, qk1, v1)
    m1 = F.scaled_dot_product_attention(qk1, qk0, v0)
    return merged(x0, m0), merged(x1, m1)


def _tensor(image: UInt8[np.ndarray, "H W 3"]) -> Float[torch.Tensor, "1 3 H W"]:
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    return tensor.contiguous(memory_format=torch.channels_last)


def _to_pixels(normalised: torch.Tensor, width: int, height: int) -> torch.Tensor:
    """From [-1, 1] between the centres of the corner pixels to our half-integer convention."""
    return (normalised + 1) / 2 * torch.tensor([width - 1, height - 1]) + 0.5


def _lies_in(mask: Bool[np.ndarray, "H W"], points: torch.Tensor) -> torch.Tensor:
    pixels = points.long()
    x, y = pixels[:, 0].clamp(0, mask.shape[1] - 1), pixels[:, 1].clamp(0, mask.shape[0] - 1)
    return torch.from_numpy(mask)[y, x]


def _lightglue_input(features: Features) -> dict[str, torch.Tensor]:
    return {
        "keypoints": torch.from_numpy(features.keypoints)[None],
        "descriptors": features.descriptors[None],
        "image_size": torch.tensor([[features.width, features.height]], dtype=torch.float32),
    }
