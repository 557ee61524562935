"""Yes and no for many images in few letters: a bit each, packed as `numpy.packbits` packs them, in base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from replication.records.words import UserError


def pack_bits(bits: Sequence[bool]) -> str:
    """Pack bits, the first one highest in the first byte; the last byte is filled with zeros."""
    padded = "".join("1" if bit else "0" for bit in bits) + "0" * (-len(bits) % 8)
    return base64.b64encode(bytes(int(padded[i : i + 8], 2) for i in range(0, len(padded), 8))).decode()


def unpack_bits(text: str, n: int) -> list[bool]:
    """Unpack the first `n` bits. Raise `UserError` if `text` does not hold so many, filled up with zeros."""
    try:
        packed = base64.b64decode(text, validate=True)
    except binascii.Error:
        packed = b""
    bits = [letter == "1" for byte in packed for letter in f"{byte:08b}"]
    if len(packed) != (n + 7) // 8 or any(bits[n:]):
        raise UserError(f"{text[:20]!r}... does not hold the answers for {n} images")
    return bits[:n]
