"""Names that few programs expect, and things in a folder that are no files."""

from __future__ import annotations

import os
import socket
import unicodedata

from tests.hostile.kinds import Place, kind, left_out


def _renamed(place: Place, *names: str | bytes) -> list[str]:
    """The first photos under other names."""
    for old, new in zip("abc", names, strict=False):
        os.rename(place.photos / f"{old}.jpg", os.path.join(os.fsencode(place.photos), os.fsencode(new)))
    return place.command


@kind("photos", 0, left_out("loop.jpg", "cannot be read (Too many levels of symbolic links)"))
def link_in_a_circle(place: Place) -> list[str]:
    (place.photos / "loop.jpg").symlink_to("pool.jpg")
    (place.photos / "pool.jpg").symlink_to("loop.jpg")
    return place.command


@kind("photos", 2, "There is no file or folder")
def folder_that_is_a_circle(place: Place) -> list[str]:
    (place.photos / "loop").symlink_to("loop")
    return ["run", str(place.photos / "loop"), "--out", str(place.out)]


@kind("photos", 0)
def folder_within_itself(place: Place) -> list[str]:
    (place.photos / "again").symlink_to(place.photos)
    return place.command


@kind("photos", 0, left_out("gone.jpg", "cannot be read (No such file or directory)"))
def link_to_nothing(place: Place) -> list[str]:
    (place.photos / "gone.jpg").symlink_to("nowhere.jpg")
    return place.command


@kind("photos", 0, left_out("folder.jpg", "cannot be read (not a file but a folder, pipe or device)"))
def folder_named_jpg(place: Place) -> list[str]:
    (place.photos / "folder.jpg").mkdir()
    return place.command


@kind("photos", 0, left_out("pipe.jpg", "cannot be read (not a file but a folder, pipe or device)"))
def pipe_named_jpg(place: Place) -> list[str]:
    os.mkfifo(place.photos / "pipe.jpg")
    return place.command


@kind("photos", 0, left_out("socket.jpg", "cannot be read (not a file but a folder, pipe or device)"))
def socket_named_jpg(place: Place) -> list[str]:
    here = os.open(".", os.O_RDONLY)
    os.chdir(place.photos)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")
    os.fchdir(here)
    os.close(here)
    return place.command


@kind("photos", 0, left_out("zero.jpg", "cannot be read (not a file but a folder, pipe or device)"))
def device_without_end(place: Place) -> list[str]:
    (place.photos / "zero.jpg").symlink_to("/dev/zero")
    return place.command


@kind("photos", 0, left_out("zero.mp4", "cannot be read (not a file but a folder, pipe or device)"))
def video_without_end(place: Place) -> list[str]:
    (place.photos / "zero.mp4").symlink_to("/dev/zero")
    return place.command


@kind("photos", 2, "The mask", "a.png cannot be used", "pipe or device")
def pipe_as_mask(place: Place) -> list[str]:
    (place.photos / "masks").mkdir()
    os.mkfifo(place.photos / "masks" / "a.png")
    return place.command


@kind("photos", 2, "There are no photos in")
def folder_without_photos(place: Place) -> list[str]:
    for name in "abc":
        (place.photos / f"{name}.jpg").rename(place.photos / f"{name}.docx")
    return place.command


@kind("photos", 0)
def names_of_several_lines(place: Place) -> list[str]:
    return _renamed(place, "one\ntwo.jpg", "\r\n.jpg", "tab\t.jpg")


@kind("photos", 0)
def names_with_quotes(place: Place) -> list[str]:
    return _renamed(place, "it's.jpg", 'a "b".jpg', "`$(touch x)`.jpg")


@kind("photos", 0)
def names_equal_but_for_normalisation(place: Place) -> list[str]:
    return _renamed(place, unicodedata.normalize("NFC", "café.jpg"), unicodedata.normalize("NFD", "café.jpg"))


@kind("photos", 0)
def names_that_start_with_a_dash(place: Place) -> list[str]:
    return _renamed(place, "-rf.jpg", "--out.jpg", "-.jpg")


@kind("photos", 0)
def names_of_full_length(place: Place) -> list[str]:
    return _renamed(place, "x" * 251 + ".jpg", "x" * 250 + "y.jpg", "é" * 125 + ".jpg")


@kind("photos", 2, r"[bold] \[x].jpg", r"\[not].jpg", "at least 2 photos")
def names_like_markup(place: Place) -> list[str]:
    (place.photos / "c.jpg").unlink()
    for name, new in (("a.jpg", r"[bold] \[x].jpg"), ("b.jpg", r"\[not].jpg")):
        (place.photos / name).unlink()
        (place.photos / new).write_text("words")
    return place.command


@kind("photos", 0)
def names_like_formats(place: Place) -> list[str]:
    return _renamed(place, "%s%n%d.jpg", "{0}{x}.jpg", "%03d.jpg")


@kind("photos", 0)
def names_of_emoji(place: Place) -> list[str]:
    return _renamed(place, "📷👩‍👩‍👧.jpg", "\u202egpj.exe.jpg", "日本語.jpg")


@kind("photos", 0)
def names_with_many_dots(place: Place) -> list[str]:
    return _renamed(place, "a...jpg", "a. .jpg", "...jpg.jpg")


@kind("photos", 0)
def names_that_differ_in_case(place: Place) -> list[str]:
    return _renamed(place, "IMG.jpg", "img.jpg", "Img.JPG")


@kind("photos", 0)
def names_that_are_not_utf8(place: Place) -> list[str]:
    return _renamed(place, b"\xff\xfe.jpg", b"caf\xe9.jpg")


@kind("photos", 0)
def output_within_the_photos(place: Place) -> list[str]:
    return ["run", str(place.photos), "--out", str(place.photos / "out")]


@kind("photos", 1, "cannot be written", "Choose another folder with --out")
def read_only_output(place: Place) -> list[str]:
    return ["run", str(place.photos), "--out", "/sys/kernel/fewview"]


@kind("photos", 2, "is a file", "Choose a folder with --out")
def output_that_is_a_file(place: Place) -> list[str]:
    place.out.write_text("mine")
    return place.command


@kind("photos", 2, "is in the way: fewview did not make it")
def output_that_holds_other_things(place: Place) -> list[str]:
    (place.out / "photos").mkdir(parents=True)
    return place.command


@kind("photos", 0)
def manifest_of_noise(place: Place) -> list[str]:
    place.out.mkdir()
    (place.out / "manifest.json").write_bytes(b"\xff[[[[{" * 1000)
    return place.command
