"""The words that every part shares: the error a user can mend, the nearest valid name, image sizes."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterable


def escape(text: str) -> str:
    """Make one line of a text: letters that cannot be printed, such as those of a name with a newline, are escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def warn(text: str) -> None:
    """Say on stderr, in one line, what is left out or not as it should be."""
    print(f"warning: {escape(text)}", file=sys.stderr)


class UserError(Exception):
    """The error that a user can mend; the command line prints it as one line and exits with status 2."""

    def __init__(self, message: str) -> None:
        """Write one line."""
        super().__init__(escape(message))


FEW = 12
"""So many choices, at most, are listed where none is near."""


def nearest(name: object, choices: Iterable[str], what: str) -> UserError:
    """Make the error for an unknown `name` of a `what`: it names the nearest valid choice.

    Of a few choices it names all if none is near.
    """
    choices, text = sorted(choices), str(name)[:100]
    close = difflib.get_close_matches(text, choices, n=1) or difflib.get_close_matches(text.lower(), choices, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    if not close and 0 < len(choices) <= FEW:
        hint = f"; choose from {', '.join(choices)}"
    return UserError(f"unknown {what} '{name}'{hint}")


LARGEST_SIDE = 65_536
"""Of an image [px]."""
Size = int | str
"""An image size [px]: 224 is a square, "800x1280" is height x width."""


def read_size(text: str) -> Size:
    """Read `224` or `800x1280` as a size.

    Raise ValueError for all else, and for a side of 0 or larger than any image's.
    """
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", text, re.ASCII):
        raise ValueError(f"'{text}' is no image size; write a side in pixels, or HEIGHTxWIDTH")
    if any(len(side) > 5 or int(side) > LARGEST_SIDE for side in text.split("x")):
        raise ValueError(f"'{text[:40]}' is no image size: a side is at most {LARGEST_SIDE} px")
    return text if "x" in text else int(text)


def parse_size(value: object) -> Size:
    """Read an image size as people write it: 224, "800x1280", (800, 1280). Raise `UserError` for anything else."""
    pair = isinstance(value, list | tuple) and len(value) == 2
    text = "x".join(map(str, value)) if isinstance(value, list | tuple) and pair else str(value)
    try:
        size = read_size(text)
    except ValueError as error:
        hint = f"; write a side in pixels, at most {LARGEST_SIDE}, or (height, width)"
        raise UserError(f"{str(value)[:40]} is no image size{hint}") from error
    height, width = split_size(size)
    return height if height == width else size


def split_size(size: Size) -> tuple[int, int]:
    """Return height and width [px]."""
    height, _, width = str(size).partition("x")
    return int(height), int(width or height)
