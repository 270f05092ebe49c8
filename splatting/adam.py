"""Adam for many small and large CPU tensors at once, in the project's own threads."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import torch

from fewview.splatting._cpu import library


class _Job(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("parameter", "mean", "variance", "gradient")),
        ("size", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("rate", "beta1", "beta2", "epsilon", "correction2")),
    )


class FusedAdam(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1) on float32 CPU tensors, all groups in one parallel pass.

    The state has torch's names (`step`, `exp_avg`, `exp_avg_sq`). It is faster than
    `torch.optim.Adam(fused=True)` on few cores chiefly because torch's threads keep spinning after each call
    and so hold up the rasteriser's.

    Args:
        params: tensors or groups with their `lr`, as for any torch optimiser.
        lr: step size of groups that name none.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
    """

    def __init__(
        self, params: Any, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-15
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step for every tensor that has a gradient.

        Raises:
            ValueError: a tensor is not contiguous float32 on the CPU.
        """
        jobs = []
        alive = []
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                if parameter.device.type != "cpu" or parameter.dtype != torch.float32 or not parameter.is_contiguous():
                    raise ValueError(
                        f"FusedAdam: a parameter is {parameter.dtype} on {parameter.device}"
                        f"{'' if parameter.is_contiguous() else ', not contiguous'}; "
                        "contiguous float32 on cpu is needed"
                    )
                state = self.state[parameter]
                if "exp_avg" not in state:
                    state.update(step=0, exp_avg=torch.zeros_like(parameter), exp_avg_sq=torch.zeros_like(parameter))
                state["step"] += 1
                gradient = parameter.grad.contiguous()
                alive.append(gradient)
                jobs.append(
                    _Job(
                        parameter.data_ptr(),
                        state["exp_avg"].data_ptr(),
                        state["exp_avg_sq"].data_ptr(),
                        gradient.data_ptr(),
                        parameter.numel(),
                        group["lr"] / (1 - beta1 ** state["step"]),
                        beta1,
                        beta2,
                        group["eps"],
                        1 / math.sqrt(1 - beta2 ** state["step"]),
                    )
                )
        library().fewview_splatting_adam((_Job * len(jobs))(*jobs), len(jobs), torch.get_num_threads())
