from __future__ import annotations

import struct
from pathlib import Path

import pytest

from replication.records.card import Experiment
from replication.training import run_arm
from replication.training.events import crc32c, events
from replication.training.loop import EVENTS


def records(data: bytes) -> list[bytes]:
    """The records of a TFRecord file, their checksums verified."""
    found = []
    while data:
        (length,), (of_length,) = struct.unpack("<Q", data[:8]), struct.unpack("<I", data[8:12])
        record, (of_record,) = data[12 : 12 + length], struct.unpack("<I", data[12 + length : 16 + length])
        for content, masked in ((data[:8], of_length), (record, of_record)):
            crc = (masked - 0xA282EAD8) % 2**32
            assert crc32c(content) == (crc << 15 | crc >> 17) % 2**32
        found.append(record)
        data = data[16 + length :]
    return found


def test_checksum_is_castagnolis() -> None:
    # RFC 3720, appendix B.4, and the check value of the catalogues of CRCs.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43


def test_scalars_of_a_row_in_the_bytes_of_the_format() -> None:
    first, event = records(events([{"epoch": 1, "step": 300, "loss": 0.5, "rate": None}]))
    assert first == b"\x1a\x0dbrain.Event:2"
    # step (2, varint) 300; summary (5) of 13 bytes: value (1) of 11 bytes: tag (1) "loss", simple_value (2, float) 0.5
    assert event == b"\x10\xac\x02" + b"\x2a\x0d" + b"\x0a\x0b" + b"\x0a\x04loss" + b"\x15" + struct.pack("<f", 0.5)


def test_curves_of_a_run_are_there(experiment: Experiment, tmp_path: Path) -> None:
    run_arm(experiment, "pretrain", 0, "smoke", tmp_path, tmp_path / "checkpoints")
    found = records((tmp_path / EVENTS).read_bytes())
    assert len(found) == 1 + 4  # the version, and epochs 0 to 3
    assert b"val_loss" in found[1]
    assert b"train_loss" not in found[1]
    assert b"train_loss" in found[-1]
    (state,) = (tmp_path / "checkpoints").iterdir()
    assert (state / EVENTS).read_bytes() == (tmp_path / EVENTS).read_bytes()


@pytest.mark.parametrize("size", [0, 127, 128, 16384])
def test_lengths_of_any_size(size: int) -> None:
    _, event = records(events([{"step": size, "x" * max(size, 1): 1.0}]))
    head, length, value = event[:1], 0, event[1:]
    assert head == b"\x10"
    for place, byte in enumerate(value):
        length |= (byte & 127) << 7 * place
        if byte < 128:
            break
    assert length == size
