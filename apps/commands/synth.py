"""`fewview synth`: synthetic data whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from fewview.data.gallery import generate
from fewview.data.gallery.layout import Shape
from fewview.data.structured3d import write_room
from fewview.recon.errors import InputError


@dataclass(frozen=True)
class Rooms:
    """Furnished rooms in Structured3D's format: photos, depth, normals, labels, layouts, cameras."""

    out: Path
    """Folder to write; scenes are numbered by their seeds."""
    seed: int = 0
    """Of the first room; the others have the seeds that follow."""
    count: int = 1
    """How many rooms."""
    shape: Shape = "rectangle"
    """Floor plan."""
    views: int = 5
    """Photos of each room."""
    plain_walls: bool = False
    """Walls of one colour each."""
    openings: bool = False
    """Doors and windows are open."""
    size: tuple[int, int] = (1024, 768)
    """Width and height of the photos, pixels."""


def parse(argv: Sequence[str]) -> Rooms:
    kinds: dict[str, Callable[..., Rooms]] = {"rooms": Rooms}
    return tyro.extras.subcommand_cli_from_dict(kinds, prog="fewview synth", args=list(argv))


def main(rooms: Rooms) -> int:
    if rooms.count < 1 or rooms.views < 1 or min(rooms.size) < 64:
        raise InputError(
            f"Cannot write {rooms.count} rooms of {rooms.views} photos of {rooms.size[0]}x{rooms.size[1]} pixels.",
            "Ask for at least 1 room, 1 photo and 64x64 pixels.",
        )
    console = Console(stderr=True)
    for seed in range(rooms.seed, rooms.seed + rooms.count):
        room = generate(
            seed, rooms.shape, rooms.views, rooms.plain_walls, rooms.size, walk="around", openings=rooms.openings
        )
        folder = write_room(room, rooms.out, scene=seed)
        console.print(f"{folder.name}  {folder.folder}", soft_wrap=True)
    return 0
