"""Curves in the format that TensorBoard reads, without TensorBoard, which would bring a web server and ten packages.

A file of TFRecords: length (8 bytes), its masked CRC-32C, the record, its masked CRC-32C, all little endian. A record
is a protocol buffer, `tensorflow.Event`. Times are left out, so that the same curves are the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected


def crc32c(data: bytes) -> int:
    """The CRC-32C of `data`, bit by bit: curves are short."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_POLYNOMIAL if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def events(history: Iterable[Mapping[str, Any]]) -> bytes:
    """One event per row of epochs.csv, at its step, with a scalar for every other column that has a value."""
    records = [_text(3, b"brain.Event:2")]  # file_version
    for row in history:
        scalars = {name: value for name, value in row.items() if name not in ("epoch", "step") and value is not None}
        summary = b"".join(_text(1, _scalar(name, value)) for name, value in scalars.items())
        records.append(b"\x10" + _varint(row["step"]) + _text(5, summary))  # step is field 2, summary field 5
    return b"".join(_framed(record) for record in records)


def _scalar(name: str, value: float) -> bytes:
    """A `Summary.Value`: tag is field 1, simple_value field 2, a float."""
    return _text(1, name.encode()) + b"\x15" + struct.pack("<f", value)


def _text(field: int, content: bytes) -> bytes:
    """A field of protocol buffers that has a length."""
    return bytes([field << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """A number that is not negative, seven bits a byte."""
    head = b""
    while value > 127:
        head, value = head + bytes([value & 127 | 128]), value >> 7
    return head + bytes([value])


def _framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + _masked(length) + record + _masked(record)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
