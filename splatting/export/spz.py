"""SPZ, Niantic's compressed format (github.com/nianticlabs/spz): about a tenth of the PLY.

A gzip stream: a header of 16 bytes, then one attribute after the other for all Gaussians: positions (24-bit fixed
point), opacities, colours, log scales, rotations, harmonics (a byte each). Axes are RUB (x right, y up, z back) where
ours are RDF, so y and z change sign here, and with them parts of the quaternions and of the harmonics.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from fewview.recon.errors import InputError
from fewview.splatting.export.files import checked, malformed, read_bytes
from fewview.splatting.gaussians import Gaussians

_HEADER = struct.Struct("<IIIBBBB")
"""Magic, version, number of Gaussians, degree, fractional bits of positions, flags, zero."""
_MAGIC = 0x5053474E
_EXTENDED = 2
"""Flag: records follow that only their vendors read."""
_VERSION = 3
_MOST_FRACTIONAL_BITS = 16
_COLOR_SCALE = 0.15
_INFLATION = 1040
"""No gzip stream grows by more."""

_AXES = np.array([1, -1, -1], np.float32)
_QUATERNION = np.array([1, 1, -1, -1], np.float32)
"""wxyz: turning both axes' signs is half a turn about x."""
_HARMONICS = np.array([-1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1], np.float32)
"""Parity in y and z of each harmonic of degrees 1 to 3, by its polynomial (`fewview.splatting.reference.sh_basis`)."""


def write_spz(path: Path, gaussians: Gaussians) -> None:
    """Write `gaussians` as SPZ version 3; the same Gaussians give the same bytes.

    Raises:
        InputError: the scene is larger than 24 bits can say (8 million units).
    """
    gaussians = gaussians.detach().to("cpu").normalized()
    means = gaussians.means.double().numpy() * _AXES
    reach = float(np.abs(means).max(initial=0))
    bits = min(_MOST_FRACTIONAL_BITS, 23 - int(np.ceil(np.log2(reach + 1))))
    if bits < 0:
        raise InputError(f"SPZ cannot hold positions {reach:.3g} units from the origin.", "Export the PLY.")
    fixed = np.rint(means * 2**bits).astype("<i4")
    columns = [
        fixed.view(np.uint8).reshape(-1, 3, 4)[..., :3],
        _byte(torch.sigmoid(gaussians.logit_opacities).numpy() * 255),
        _byte((gaussians.sh[:, 0].numpy() * _COLOR_SCALE + 0.5) * 255),
        _byte((gaussians.log_scales.numpy() + 10) * 16),
        pack_quaternions(gaussians.quats.numpy() * _QUATERNION).astype("<u4").view(np.uint8),
        _byte(gaussians.sh[:, 1:].numpy() * _signs(gaussians.degree) * 128 + 128),
    ]
    header = _HEADER.pack(_MAGIC, _VERSION, gaussians.count, gaussians.degree, bits, 0, 0)
    path.write_bytes(gzip.compress(header + b"".join(map(np.ndarray.tobytes, columns)), mtime=0))


def read_spz(path: Path) -> Gaussians:
    """Read SPZ of version 2 or 3, whoever wrote it; extensions are passed over.

    Returns:
        Float32 tensors on the CPU in our axes, quaternions unit.

    Raises:
        InputError: the file is missing, cut short, not such an SPZ, or of a degree beyond 3.
    """
    header, body = _inflate(path, read_bytes(path))
    count, coefficients = header.count, (header.degree + 1) ** 2 - 1
    ends = np.cumsum(header.widths) * count
    position, opacity, colour, scale, rotation, harmonic = (
        part.reshape(count, width) for part, width in zip(np.split(body, ends[:-1]), header.widths, strict=True)
    )
    fixed = np.zeros((count, 3, 4), np.uint8)
    fixed[..., 1:] = position.reshape(count, 3, 3)
    # In the upper three bytes, the sign needs no care.
    means = (fixed.reshape(count, 12).view("<i4") >> 8) * 2.0**-header.fractional_bits
    quats = unpack_quaternions(rotation.view("<u4")[:, 0]) if header.version == 3 else _first_three(rotation)
    # A byte stands for an interval: its ends have no logit, the middle of the outermost half steps does.
    alpha = np.clip(opacity[:, 0] / 255, 0.25 / 255, 254.75 / 255)
    constant = (colour / 255 - 0.5) / _COLOR_SCALE
    higher = (harmonic.reshape(count, coefficients, 3) / 128.0 - 1) * _signs(header.degree)
    columns = {
        "means": means * _AXES,
        "quats": quats * _QUATERNION,
        "log_scales": scale / 16 - 10,
        "logit_opacities": np.log(alpha / (1 - alpha)),
        "sh": np.concatenate([constant[:, None], higher], 1),
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value, np.float32)) for name, value in columns.items()}
    return checked(Gaussians(**tensors), path, "SPZ")


def pack_quaternions(quats: Float[np.ndarray, "N 4"]) -> Int[np.ndarray, " N"]:
    """Unit wxyz quaternions in 32 bits ("smallest three"): which of xyzw is largest (2 bits), then the others in the
    order xyzw, each a sign bit and 9 bits of magnitude over sqrt(1/2)."""
    xyzw = quats[:, [1, 2, 3, 0]].astype(np.float64)
    rows = np.arange(len(xyzw))
    largest = np.abs(xyzw).argmax(1)
    xyzw *= np.where(xyzw[rows, largest] < 0, -1, 1)[:, None]
    packed = largest.astype(np.int64)
    magnitude = np.rint(np.abs(xyzw) * np.sqrt(2) * 511).astype(np.int64)
    for k in range(4):
        kept = largest != k
        packed = np.where(kept, packed << 10 | (xyzw[:, k] < 0).astype(np.int64) << 9 | magnitude[:, k], packed)
    return packed


def unpack_quaternions(packed: Int[np.ndarray, " N"]) -> Float[np.ndarray, "N 4"]:
    """Inverse of `pack_quaternions`, up to rounding and sign."""
    left = packed.astype(np.int64)
    rows, largest = np.arange(len(left)), left >> 30
    xyzw = np.zeros((len(left), 4))
    for k in (3, 2, 1, 0):
        kept = largest != k
        value = (left & 511) / 511 * np.sqrt(0.5) * np.where(left & 512, -1, 1)
        xyzw[:, k] = np.where(kept, value, 0)
        left = np.where(kept, left >> 10, left)
    xyzw[rows, largest] = np.sqrt(np.maximum(0, 1 - np.square(xyzw).sum(1)))
    return xyzw[:, [3, 0, 1, 2]]


def _first_three(stored: UInt8[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 4"]:
    """Version 2: x, y, z as bytes, w what is missing to unit length."""
    xyz = stored / 127.5 - 1
    w = np.sqrt(np.maximum(0, 1 - np.square(xyz).sum(1)))
    return np.concatenate([w[:, None], xyz], 1)


@dataclass(frozen=True)
class _Header:
    version: int
    count: int
    degree: int
    fractional_bits: int
    flags: int

    @property
    def widths(self) -> list[int]:
        """Bytes of each attribute of one Gaussian, in the order of the file."""
        return [9, 1, 3, 3, 4 if self.version == 3 else 3, 3 * ((self.degree + 1) ** 2 - 1)]


def _inflate(path: Path, data: bytes) -> tuple[_Header, UInt8[np.ndarray, " B"]]:
    """The header and exactly the bytes it announces: never more memory than the file's size allows for."""
    stream = zlib.decompressobj(wbits=31)
    try:
        start = stream.decompress(data, _HEADER.size)
        if len(start) < _HEADER.size:
            raise malformed(path, "SPZ", "it is cut short")
        magic, *fields, _ = _HEADER.unpack(start)
        header = _Header(*fields)
        if magic != _MAGIC:
            raise malformed(path, "SPZ", "it does not begin like one")
        if header.version not in (2, 3):
            raise malformed(path, "SPZ", f"it is of version {header.version}, and 2 and 3 are known")
        if header.degree > 3:
            raise malformed(path, "SPZ", f"its spherical harmonics are of degree {header.degree}, and 3 is the most")
        size = header.count * sum(header.widths)
        if size > _INFLATION * len(data):
            raise malformed(path, "SPZ", f"it is too short for the {header.count} Gaussians that it announces")
        body = stream.decompress(stream.unconsumed_tail, size) if size else b""
        # One more byte makes zlib read the checksum.
        more = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        version_4 = data[:4] == _MAGIC.to_bytes(4, "little")
        why = "it is of version 4, and 2 and 3 are known" if version_4 else f"it is no gzip stream ({error})"
        raise malformed(path, "SPZ", why) from None
    if len(body) < size or not (stream.eof or more):
        raise malformed(path, "SPZ", "it is cut short")
    if more and not header.flags & _EXTENDED:
        raise malformed(path, "SPZ", "it holds more than it announces")
    return header, np.frombuffer(body, np.uint8)


def _signs(degree: int) -> Float[np.ndarray, "K 1"]:
    return _HARMONICS[: (degree + 1) ** 2 - 1, None]


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
