"""Weights that another training starts from: one bit is enough to refuse them."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
import safetensors.torch

from replication.papers.parts.small_models import VIT
from replication.records.store import read_clock, write_bytes, write_manifest
from replication.records.words import UserError
from replication.training.start import build_fresh, load_weights


@pytest.mark.slow
def test_every_flipped_bit_of_weights_is_refused(tmp_path: Path) -> None:
    """1,500 of them, anywhere in the file: in the header, in an exponent, in the last digit."""
    model, path = build_fresh(VIT, image_size=28, classes=10, channels=1, seed=0), tmp_path / "weights.safetensors"
    write_bytes(path, safetensors.torch.save(model.state_dict()))
    write_manifest(tmp_path / "manifest.json", read_clock(), [path])
    load_weights(model, path)
    content, random = bytearray(path.read_bytes()), Random(11)
    for _ in range(1500):
        place, bit = random.randrange(len(content)), 1 << random.randrange(8)
        content[place] ^= bit
        path.write_bytes(content)
        with pytest.raises(UserError, match="is not what was written; delete it and run again"):
            load_weights(model, path)
        content[place] ^= bit
    path.write_bytes(content)
    load_weights(model, path)
