"""Image files as cameras, scanners and damage make them, through the one reader: the right pixels, or one line."""

from __future__ import annotations

import os
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from replication.data.pictures import FORMATS, PictureError, check_file, read_picture

ORIENTATION = 0x0112


@pytest.fixture
def grey() -> np.ndarray:
    """Every value once, wider than high."""
    return np.arange(256, dtype=np.uint8).reshape(8, 32)


def colours(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 40, 3), dtype=np.uint8))


def png(path: Path, values: np.ndarray, kind: int) -> Path:
    """A PNG of 16 bits, which Pillow cannot write in colour: kind 0 is grey, 2 colours."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
    return path


def refused(path: Path, **options: object) -> str:
    with pytest.raises(PictureError) as error:
        read_picture(path, **options)  # type: ignore[arg-type]
    message = str(error.value)
    assert len(message.splitlines()) == 1
    return message


# --- orientation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tiff"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright(tmp_path: Path, name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    colours().save(tmp_path / name, exif=exif, lossless=True)
    stored = np.asarray(colours())
    if name == "a.jpg":  # which loses something
        with Image.open(tmp_path / name) as file:
            stored = np.asarray(file)
    across = stored.swapaxes(0, 1)
    # Where the first row and column of the stored picture are once it is upright (EXIF 2.3, 4.6.4, tag 274).
    upright = {
        1: stored,
        2: stored[:, ::-1],
        3: stored[::-1, ::-1],
        4: stored[::-1],
        5: across,
        6: across[:, ::-1],
        7: across[::-1, ::-1],
        8: across[::-1],
    }[orientation]
    height, width = upright.shape[:2]
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / name, annotated=(width, height))), upright)
    if orientation >= 5:
        message = "is 24 x 40 px once turned as its EXIF orientation says, but annotated as 40 x 24"
        assert refused(tmp_path / name, annotated=(40, 24)) == message


def test_another_size_is_named_and_broken_exif_data_say_nothing(tmp_path: Path) -> None:
    colours().save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0\xff\xff\xff\xffgarbage")
    assert read_picture(tmp_path / "a.jpg").size == (40, 24)
    assert refused(tmp_path / "a.jpg", annotated=(24, 40)) == "is 40 x 24 px, but annotated as 24 x 40"


# --- values -----------------------------------------------------------------------------------------


def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path, grey: np.ndarray) -> None:
    deep = grey.astype(np.uint16) * 256 + 200
    files = [png(tmp_path / "grey.png", deep, 0), png(tmp_path / "colour.png", np.stack([deep] * 3, axis=2), 2)]
    for name in ("a.tiff", "b.png"):
        Image.fromarray(deep).save(tmp_path / name)
        files.append(tmp_path / name)
    files.append(tmp_path / "c.pgm")
    files[-1].write_bytes(b"P5 32 8 65535\n" + deep.astype(">u2").tobytes())
    for file in files:
        np.testing.assert_array_equal(np.asarray(read_picture(file, "L")), grey, err_msg=file.name)
        np.testing.assert_array_equal(np.asarray(read_picture(file))[:, :, 1], grey, err_msg=file.name)


def test_a_tiff_says_how_many_bits_and_which_is_white(tmp_path: Path, grey: np.ndarray) -> None:
    info = TiffImagePlugin.ImageFileDirectory_v2()
    Image.fromarray(grey.astype(np.uint16) * 256).save(tmp_path / "a.tiff", tiffinfo=info)
    content = bytearray((tmp_path / "a.tiff").read_bytes())
    place = content.index(struct.pack("<HHIHH", 262, 3, 1, 1, 0)) + 8  # the value of the photometric interpretation
    content[place] = 0
    (tmp_path / "a.tiff").write_bytes(content)
    np.testing.assert_array_equal(np.asarray(read_picture(tmp_path / "a.tiff", "L")), 255 - grey)


@pytest.mark.parametrize(("kind", "named"), [(np.float32, "floating-point numbers"), (np.int32, "32-bit integers")])
def test_numbers_without_a_white_are_refused_by_name(tmp_path: Path, grey: np.ndarray, kind: type, named: str) -> None:
    Image.fromarray(grey.astype(kind)).save(tmp_path / "a.tiff")
    assert (
        refused(tmp_path / "a.tiff") == f"holds {named}, of which none is known to be white; save it with 8 or 16 bits"
    )


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_all_other_modes_are_what_pillow_makes_of_them(tmp_path: Path, mode: str) -> None:
    file = tmp_path / ("a.tiff" if mode == "CMYK" else "a.png")
    colours().convert(mode).save(file)
    for wanted in ("RGB", "L"):
        with Image.open(file) as image:
            np.testing.assert_array_equal(np.asarray(read_picture(file, wanted)), np.asarray(image.convert(wanted)))


# --- files ------------------------------------------------------------------------------------------


def test_other_formats_are_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An EPS by any name would be drawn by Ghostscript, another program."""

    def start(*arguments: object, **options: object) -> None:
        raise AssertionError(f"starts {arguments}")

    monkeypatch.setattr(subprocess, "Popen", start)
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    (tmp_path / "b.png").write_text("text")
    colours().save(tmp_path / "c.png", format="PCX")
    for name in ("a.png", "b.png", "c.png"):
        assert refused(tmp_path / name).startswith("cannot be read: it is damaged, or of none of the formats JPEG")


def test_what_is_no_file_is_named_without_opening_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.png")
    (tmp_path / "file").touch()
    for path, said in (
        (tmp_path / "nothing.png", "is missing"),
        (tmp_path / "file" / "a.png", "is missing"),
        (tmp_path / "fifo.png", "is no regular file"),
        (tmp_path, "is no regular file"),
        (Path("/dev/zero"), "is no regular file"),
        (tmp_path / ("x" * 300), "cannot be read: File name too long"),
    ):
        assert refused(path) == said
        with pytest.raises(PictureError, match=said):
            check_file(path)


def test_too_many_pixels_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    colours().save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 479)
    assert refused(tmp_path / "a.png") == "has more than 958 pixels"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 480)  # about which Pillow only warns
    assert read_picture(tmp_path / "a.png").size == (40, 24)


@pytest.mark.parametrize("name", FORMATS)
def test_damage_of_any_format_is_a_picture_or_one_line(tmp_path: Path, name: str) -> None:
    colours().save(tmp_path / "whole", format=name)
    whole, random = (tmp_path / "whole").read_bytes(), np.random.default_rng(0)
    said: list[str] = []
    for trial in range(40):
        content = bytearray(whole)
        if trial % 2:
            content = content[: int(random.integers(len(whole)))]
        for place in random.integers(len(content), size=3) if content else ():
            content[min(place, 60) if trial % 4 < 2 else place] = int(random.integers(256))
        (tmp_path / "damaged").write_bytes(content)
        try:
            assert read_picture(tmp_path / "damaged").mode == "RGB"
        except PictureError as error:
            said.append(str(error))
    assert {len(message.splitlines()) for message in said} == {1}
    (tmp_path / "damaged").write_bytes(whole[:9])
    assert refused(tmp_path / "damaged").startswith("cannot be read")
