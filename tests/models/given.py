"""Weights and a picture that follow from names and sizes alone, so that what another code made of them is recorded."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from replication import papers
from replication.models.dense import fpn, semantic_fpn, upernet

COLUMNS = {"embed_dims": (16, 32, 40, 64), "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8)}
NARROW: dict[str, dict[str, Any]] = {
    "swin_t": {"embed_dim": 24, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 4, 8)},
    **dict.fromkeys(("twins_svt_s", "pcpvt_s", "pvt_small"), COLUMNS),
}
HEAD_DIM = 32


def weights(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    """Normal numbers of a generator that the name seeds; variances are uniform, and matrices keep the size of what
    they act on."""
    counters = {name for name in shapes if name.endswith("num_batches_tracked")}
    given = {name: torch.tensor(_numbers(name, shapes[name]), dtype=torch.float32) for name in shapes.keys() - counters}
    return given | dict.fromkeys(counters, torch.tensor(0))


def _numbers(name: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
    draw = np.random.RandomState(zlib.crc32(name.encode()))  # whose numbers will never change
    if name.endswith("running_var"):
        return draw.uniform(0.5, 1.5, shape)
    if len(shape) < 2:
        return draw.normal(1.0 if name.endswith("weight") else 0.0, 0.1, shape)
    table = name.endswith("relative_position_bias_table") or "pos_embed" in name
    return draw.normal(0, 1, shape) * (1.0 if table else np.prod(shape[1:]) ** -0.5)


def give(model: nn.Module) -> nn.Module:
    """`model`, for inference, with these weights."""
    own = {name: tuple(values.shape) for name, values in model.state_dict().items()}
    model.load_state_dict(weights(own))
    return model.eval()


def picture(height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 3): squares of 10 px in colours, and noise, so that resizing without a filter shows."""
    draw = np.random.RandomState(0)
    coarse = draw.randint(0, 200, (-(-height // 10), -(-width // 10), 3))
    squares = np.kron(coarse, np.ones((10, 10, 1), int))[:height, :width]
    return (squares + draw.randint(0, 56, (height, width, 3))).astype(np.uint8)


def narrowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Backbones of two blocks a stage and few channels, and heads of few, under the ids of the released ones."""
    known = papers.find_variant

    def variant(model_id: str) -> Any:
        found = known(model_id)
        return dataclasses.replace(found, architecture={**found.architecture, **NARROW.get(model_id, {})})

    monkeypatch.setattr(papers, "find_variant", variant)
    for module, name in ((upernet, "DIM"), (upernet, "AUXILIARY_DIM"), (semantic_fpn, "DIM"), (fpn, "DIM")):
        monkeypatch.setattr(module, name, HEAD_DIM)
    yield
