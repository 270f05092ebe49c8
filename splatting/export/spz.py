"""SPZ, Niantic's compressed format (github.com/nianticlabs/spz): about a tenth of the PLY.

One attribute after the other for all Gaussians: positions (24-bit fixed point), opacities, colours, log scales,
rotations, harmonics (a byte each). Version 4 has a header of 32 bytes, a table of sizes, and a zstd stream for each
attribute that is not empty; versions 2 and 3 are one gzip stream with a header of 16 bytes. Axes are RUB (x right, y
up, z back) where ours are RDF.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import zstandard
from jaxtyping import Float, Int, Integer, UInt8

from fewview.recon.errors import InputError
from fewview.splatting.export.axes import half_turn
from fewview.splatting.export.files import checked, logits_of_bytes, malformed, read_bytes
from fewview.splatting.gaussians import Gaussians

_HEADER = struct.Struct("<IIIBBBB")
"""Magic, version, number of Gaussians, degree, fractional bits of positions, flags; then the number of streams
(version 4) or zero."""
_TABLE_OFFSET = struct.Struct("<I12x")
"""What follows in version 4: where the table stands, and zeros."""
_TABLE_ENTRY = struct.Struct("<QQ")
"""Bytes of a stream, compressed and not."""
_MAGIC = 0x5053474E
_EXTENDED = 2
"""Flag: records follow that only their vendors read."""
_MOST_FRACTIONAL_BITS = 16
_COLOR_SCALE = 0.15
_INFLATION = 1040
"""No gzip stream grows by more."""
_ZSTD_INFLATION = 1024
"""Bytes of positions in a file of version 4 for each byte of the file, at most: Niantic's library refuses more."""
_ZSTD_LEVEL = 12
"""Niantic's."""


def write_spz(path: Path, gaussians: Gaussians) -> None:
    """Write `gaussians` as SPZ version 4; the same Gaussians give the same bytes.

    Raises:
        InputError: the scene is larger than 24 bits can say (8 million units).
    """
    gaussians = half_turn(gaussians.detach().to("cpu").normalized())
    means = gaussians.means.double().numpy()
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
        pack_quaternions(gaussians.quats.numpy()).astype("<u4").view(np.uint8),
        _byte(gaussians.sh[:, 1:].numpy() * 128 + 128),
    ]
    streams = [column.tobytes() for column in columns if column.size]
    squeezed = [zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(stream) for stream in streams]
    header = _HEADER.pack(_MAGIC, 4, gaussians.count, gaussians.degree, bits, 0, len(streams))
    table = [_TABLE_ENTRY.pack(len(small), len(stream)) for small, stream in zip(squeezed, streams, strict=True)]
    offset = _TABLE_OFFSET.pack(_HEADER.size + _TABLE_OFFSET.size)
    path.write_bytes(b"".join([header, offset, *table, *squeezed]))


def read_spz(path: Path) -> Gaussians:
    """Read SPZ of version 2, 3 or 4, whoever wrote it; extensions are passed over.

    Returns:
        Float32 tensors on the CPU in our axes, quaternions unit.

    Raises:
        InputError: the file is missing, cut short, not such an SPZ, or of a degree beyond 3.
    """
    data = read_bytes(path)
    plain = data[:4] == _MAGIC.to_bytes(4, "little")
    header, body = _unpack(path, data) if plain else _inflate(path, data)
    count, coefficients = header.count, (header.degree + 1) ** 2 - 1
    ends = np.cumsum(header.widths) * count
    position, opacity, colour, scale, rotation, harmonic = (
        part.reshape(count, width) for part, width in zip(np.split(body, ends[:-1]), header.widths, strict=True)
    )
    fixed = np.zeros((count, 3, 4), np.uint8)
    fixed[..., 1:] = position.reshape(count, 3, 3)
    constant = (colour / 255 - 0.5) / _COLOR_SCALE
    columns = {
        # In the upper three bytes, the sign needs no care.
        "means": (fixed.reshape(count, 12).view("<i4") >> 8) * 2.0**-header.fractional_bits,
        "quats": unpack_quaternions(rotation.view("<u4")[:, 0]) if header.version > 2 else _first_three(rotation),
        "log_scales": scale / 16 - 10,
        "logit_opacities": logits_of_bytes(opacity[:, 0]),
        "sh": np.concatenate([constant[:, None], harmonic.reshape(count, coefficients, 3) / 128.0 - 1], 1),
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value, np.float32)) for name, value in columns.items()}
    return half_turn(checked(Gaussians(**tensors), path, "SPZ"))


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


def unpack_quaternions(packed: Integer[np.ndarray, " N"]) -> Float[np.ndarray, "N 4"]:
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
    streams: int

    @property
    def widths(self) -> list[int]:
        """Bytes of each attribute of one Gaussian, in the order of the file."""
        return [9, 1, 3, 3, 4 if self.version > 2 else 3, 3 * ((self.degree + 1) ** 2 - 1)]


def _header(path: Path, start: bytes, versions: tuple[int, ...]) -> _Header:
    if len(start) < _HEADER.size:
        raise malformed(path, "SPZ", "it is cut short")
    magic, *fields = _HEADER.unpack(start)
    header = _Header(*fields)
    if magic != _MAGIC:
        raise malformed(path, "SPZ", "it does not begin like one")
    if header.version not in versions:
        raise malformed(path, "SPZ", f"it is of version {header.version}, and 2, 3 and 4 are known")
    if header.degree > 3:
        raise malformed(path, "SPZ", f"its spherical harmonics are of degree {header.degree}, and 3 is the most")
    return header


def _unpack(path: Path, data: bytes) -> tuple[_Header, UInt8[np.ndarray, " B"]]:
    """Version 4: the header and exactly the bytes it announces."""
    header = _header(path, data[: _HEADER.size], (4,))
    after = data[_HEADER.size : _HEADER.size + _TABLE_OFFSET.size]
    if len(after) < _TABLE_OFFSET.size:
        raise malformed(path, "SPZ", "it is cut short")
    if header.count * header.widths[0] > _ZSTD_INFLATION * len(data):
        raise malformed(path, "SPZ", f"it is too short for the {header.count} Gaussians that it announces")
    sizes = [width * header.count for width in header.widths if width * header.count]
    if header.streams != len(sizes):
        raise malformed(path, "SPZ", f"it holds {header.streams} streams in place of {len(sizes)}")
    (at,) = _TABLE_OFFSET.unpack(after)
    begin = at + len(sizes) * _TABLE_ENTRY.size
    table = data[at:begin]
    if len(table) < len(sizes) * _TABLE_ENTRY.size:
        raise malformed(path, "SPZ", "it is cut short")
    parts = []
    for (small, large), size in zip(_TABLE_ENTRY.iter_unpack(table), sizes, strict=True):
        end = begin + small
        if large != size:
            raise malformed(path, "SPZ", f"a stream has {large} bytes in place of {size}")
        if end > len(data):
            raise malformed(path, "SPZ", "it is cut short")
        try:
            # A stream, as what a frame says of its own size need not be true.
            part = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data[begin:end])).read(size)
        except zstandard.ZstdError as error:
            raise malformed(path, "SPZ", f"a stream is no zstd ({error})") from None
        if len(part) < size:
            raise malformed(path, "SPZ", "it is cut short")
        parts.append(part)
        begin = end
    return header, np.frombuffer(b"".join(parts), np.uint8)


def _inflate(path: Path, data: bytes) -> tuple[_Header, UInt8[np.ndarray, " B"]]:
    """Versions 2 and 3: the header and exactly the bytes it announces: never more memory than the file's size allows
    for."""
    stream = zlib.decompressobj(wbits=31)
    try:
        header = _header(path, stream.decompress(data, _HEADER.size), (2, 3))
        size = header.count * sum(header.widths)
        if size > _INFLATION * len(data):
            raise malformed(path, "SPZ", f"it is too short for the {header.count} Gaussians that it announces")
        body = stream.decompress(stream.unconsumed_tail, size) if size else b""
        # One more byte makes zlib read the checksum.
        more = stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as error:
        raise malformed(path, "SPZ", f"it is no gzip stream ({error})") from None
    if len(body) < size or not (stream.eof or more):
        raise malformed(path, "SPZ", "it is cut short")
    if more and not header.flags & _EXTENDED:
        raise malformed(path, "SPZ", "it holds more than it announces")
    return header, np.frombuffer(body, np.uint8)


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
