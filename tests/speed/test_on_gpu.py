"""What is timed on a GPU, where there is one: by its own clock, in every precision, with its memory."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from replication.records.condition import read_condition
from replication.speed.condition import Condition
from replication.speed.published import list_model_cells
from replication.speed.run import run

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch sees no GPU here, so nothing was timed on one"
)


@pytest.mark.parametrize(
    "name",
    [
        "cuda_fp32_math_infer_b8",
        "cuda_tf32_fused_infer_b8",
        "cuda_amp-bf16_fused_train_b8",
        "cuda_amp-fp16_fused_infer_b8_channels-last",
        "cuda_amp-bf16_fused_infer_b8_compiled_channels-last",
    ],
)
def test_a_model_is_timed_and_its_memory_measured(name: str, tmp_path: Path) -> None:
    condition = Condition(**vars(read_condition(name)))
    cells = list_model_cells(["deit_ti", "resnet18"], [224])
    rows = run(cells, condition, blocks=5, block_seconds=0.05, out=tmp_path, memory=["deit_ti"])
    assert [row.status for row in rows] == ["measured", "measured"]
    assert all(row.median is not None and row.median > 0 for row in rows)
    with (tmp_path / "memory.csv").open(newline="") as file:
        assert {row["status"] for row in csv.DictReader(file)} == {"measured"}
