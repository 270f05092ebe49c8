"""Reads cameras that the user already knows, whole or in part, from whatever program wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from fewview.calibration.formats.calibration_toml import read_calibration_toml
from fewview.calibration.formats.opencv_json import read_opencv_json
from fewview.calibration.formats.opencv_yaml import read_opencv_yaml
from fewview.calibration.formats.qualisys import read_qualisys
from fewview.recon.errors import InputError
from fewview.recon.io.cameras import read_cameras
from fewview.recon.io.documents import MALFORMED, read_text
from fewview.recon.scene import Camera, View

_KINDS = (
    "fewview reads Calib.toml, calibration.toml (anipose, FreeMoCap), .qca.txt (Qualisys), intri.yml with extri.yml, "
    "and cameras.json."
)


def known_files(path: Path) -> tuple[Path, ...]:
    """The files that `read_cameras_file` reads.

    Raises:
        InputError: there is none.
    """
    if path.is_dir():
        path = path / ("intri.yml" if (path / "intri.yml").is_file() else "cameras.json")
    if not path.is_file():
        raise InputError(f"There is no file {path}.", _KINDS)
    beside = path.parent / ("extri.yml" if path.name == "intri.yml" else "intri.yml")
    return (path, beside) if path.suffix in (".yml", ".yaml") and beside.is_file() else (path,)


def read_cameras_file(path: Path) -> dict[str, Camera | View]:
    """Lenses, or lenses and poses, by camera name.

    Args:
        path: a file in one of the formats above, or a folder with `intri.yml` or `cameras.json`.

    Raises:
        InputError: no such file, it is none of these, or it names a fisheye.
    """
    found = _read(known_files(path)[0])
    lenses = {name: entry.camera if isinstance(entry, View) else entry for name, entry in found.items()}
    fisheyes = [name for name, camera in lenses.items() if camera.fisheye]
    if fisheyes:
        raise InputError(
            f"{path} calls {', '.join(fisheyes)} a fisheye, which cameras from people cannot be.",
            "Undistort the videos to a pinhole, and give the cameras of these.",
        )
    return found


def _read(path: Path) -> dict[str, Camera | View]:
    if path.suffix == ".toml":
        return read_calibration_toml(path)
    if path.suffix in (".yml", ".yaml"):
        return read_opencv_yaml(path)
    if path.name.endswith(".qca.txt") or path.suffix == ".xml":
        return read_qualisys(path)
    if path.suffix == ".json":
        return read_opencv_json(path) if _is_list(path) else {v.name: v for v in read_cameras(path.parent).views}
    raise InputError(f"{path} is no calibration that fewview knows.", _KINDS)


def match_names(known: Mapping[str, Camera | View], cameras: Iterable[str], path: Path) -> dict[str, Camera | View]:
    """What is known of `cameras`; names match where their letters and digits do (`cam_01` and `Cam01`).

    Raises:
        InputError: no name matches.
    """
    by_name = {_bare(name): entry for name, entry in known.items()}
    out: dict[str, Camera | View] = {}
    for camera in cameras:
        if (entry := by_name.get(_bare(camera))) is not None:
            out[camera] = replace(entry, name=camera) if isinstance(entry, View) else entry
    if not out:
        raise InputError(
            f"None of the cameras in {path} ({', '.join(known)}) has the name of a camera ({', '.join(cameras)}).",
            "Rename the cameras in one of the two.",
        )
    return out


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _is_list(path: Path) -> bool:
    try:
        return isinstance(json.loads(read_text(path)), list)
    except MALFORMED as error:
        raise InputError(f"{path} is not JSON: {error}.", "Export it again.") from error
