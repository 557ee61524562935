"""Bits that are packed come back, and are those that numpy packs."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication.records.bits import pack_bits, unpack_bits
from replication.records.words import UserError


@given(st.lists(st.booleans(), max_size=40))
def test_bits_come_back_and_are_numpys(bits: list[bool]) -> None:
    text = pack_bits(bits)
    assert unpack_bits(text, len(bits)) == bits
    assert base64.b64decode(text) == np.packbits(np.array(bits, dtype=bool)).tobytes()


@pytest.mark.parametrize(("text", "n"), [("gA==", 9), ("gA==", 0), ("///=", 4), ("not base64", 8), ("wA==", 1)])
def test_other_text_is_refused(text: str, n: int) -> None:
    with pytest.raises(UserError, match="does not hold the answers"):
        unpack_bits(text, n)
