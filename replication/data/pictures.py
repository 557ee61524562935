"""Image files: the one way in which every reader opens them, and what becomes of those that cannot be read."""

from __future__ import annotations

import stat
import warnings
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from replication.records.words import UserError, warn

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM")
"""What is opened. Pillow knows more, some through other programs: an EPS file of any name would start Ghostscript."""
MEND = "mend it, or leave it out with `--corrupt skip` (in a configuration, `data.corrupt: skip`)"
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What EXIF's orientation asks for. Pillow's own function also writes the EXIF data anew, and fails where these are
broken."""


class PictureError(Exception):
    """The error for a file that cannot be used as a picture; the message goes on after its path."""


def read_picture(path: Path, mode: str = "RGB", annotated: tuple[int, int] | None = None) -> Image.Image:
    """Read the picture, "RGB" or "L", upright as its EXIF orientation says; of several frames the first.

    Grey of 16 bits keeps its upper eight, as Pillow does for colours. Raise `PictureError` if the file is missing,
    damaged, none of `FORMATS`, larger than Pillow's limit or of numbers without a known white; or if `annotated` names
    another width and height [px].
    """
    check_file(path)
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as file:
            stated = _read_orientation(file)
            file.load()
            left = _read_orientation(file)  # of a TIFF, Pillow has turned it by now
            picture = _reduce_to_eight_bits(file).convert(mode)
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError(f"has more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels") from error
    except Exception as error:  # Pillow raises nearly anything on a damaged file, by format
        reason = error.strerror if isinstance(error, OSError) else None
        damage = f"it is damaged, or of none of the formats {', '.join(FORMATS)}"
        raise PictureError(f"cannot be read: {reason or damage}") from error
    if left in TURNS:
        picture = picture.transpose(TURNS[left])
    if annotated not in (None, picture.size):
        turned = " once turned as its EXIF orientation says" if stated in TURNS else ""
        width, height = annotated or ()
        raise PictureError(f"is {picture.width} x {picture.height} px{turned}, but annotated as {width} x {height}")
    return picture


def check_file(path: Path) -> None:
    """Raise `PictureError` for no file, and for a folder, a device or a FIFO, which opening would wait for."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PictureError("is missing") from error
    except OSError as error:
        raise PictureError(f"cannot be read: {error.strerror}") from error
    if not regular:
        raise PictureError("is no regular file")


def _read_orientation(file: Image.Image) -> int:
    try:
        return int(file.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # broken EXIF data, which say nothing; the pixels may well be whole
        return 1


def _reduce_to_eight_bits(file: Image.Image) -> Image.Image:
    """Reduce values to eight bits. Raise `PictureError` if nothing says which of them is white."""
    bits, white_is_zero = 16, False
    if isinstance(file, TiffImagePlugin.TiffImageFile):
        tags = file.tag_v2
        bits = tags.get(TiffImagePlugin.BITSPERSAMPLE, (16,))[0]
        white_is_zero = tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0  # which Pillow heeds up to eight bits
    if file.mode.startswith("I;16") or (file.mode == "I" and file.format in ("PNG", "PPM")):  # 16 bits in 32
        values = np.asarray(file).astype(np.uint16) >> (bits - 8)
        return Image.fromarray((255 - values if white_is_zero else values).astype(np.uint8))
    if file.mode in ("I", "F"):
        kind = "32-bit integers" if file.mode == "I" else "floating-point numbers"
        raise PictureError(f"holds {kind}, of which none is known to be white; save it with 8 or 16 bits")
    return file


def make_error(path: Path, fault: str) -> UserError:
    """Make the error for a file that cannot be used."""
    return UserError(f"{path} {fault}; {MEND}")


def complain(path: Path, fault: str, corrupt: str, named: set[Path]) -> None:
    """Raise for a file that cannot be used, if `corrupt` is "strict"; else name it, unless it is `named` already."""
    if corrupt == "strict":
        raise make_error(path, fault)
    if path not in named:
        named.add(path)
        warn(f"{path} {fault} and is left out ({len(named)} so far)")
