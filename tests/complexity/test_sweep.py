"""The sweep's files: one row a cell, whole or not at all, the same bytes every time."""

import csv
import json
from pathlib import Path

import pytest

from replication import papers
from replication.complexity import count_models, merge, write_mechanisms, write_scaling
from replication.records.rows import Count, PeakMemory, ScalingFit, list_columns
from replication.records.words import UserError


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("counted")
    count_models(["vit_ti16", "pvt_tiny"], [224, 240], [1, 64], out)
    return out


def test_one_row_a_cell_and_sizes_that_do_not_fit_are_left_out(counted: Path) -> None:
    rows = read(counted / "counts.csv")
    assert list(rows[0]) == list(list_columns(Count))
    assert [(row["model"], row["image_size"]) for row in rows] == [
        ("vit_ti16", "224"),
        ("vit_ti16", "240"),
        ("pvt_tiny", "224"),
    ]
    assert {row["gate"] for row in rows} == {"three counts agree"}
    first = rows[0]
    assert first["macs"] == first["macs_fvcore"] == first["macs_formula"]
    assert int(first["flops"]) == 2 * int(first["macs"])
    assert (first["tokens"], first["stages"], first["params"]) == ("197", "14x14+1", "5717416")  # timm's own count


def test_memory_at_every_size_and_at_every_batch_at_the_native_one(counted: Path) -> None:
    rows = read(counted / "memory.csv")
    assert list(rows[0]) == list(list_columns(PeakMemory))
    assert {(row["model"], row["image_size"], row["batch_size"]) for row in rows} == {
        ("vit_ti16", "224", "1"),
        ("vit_ti16", "224", "64"),
        ("vit_ti16", "240", "1"),
        ("pvt_tiny", "224", "1"),
        ("pvt_tiny", "224", "64"),
    }
    counts = {(row["model"], row["image_size"]): row for row in read(counted / "counts.csv")}
    for row in rows:
        if row["batch_size"] == "1":
            peak = counts[row["model"], row["image_size"]][f"peak_memory_{row['mode']}_{row['attention']}"]
            assert peak == row["peak_memory"]


@pytest.mark.slow
def test_counting_again_gives_the_same_bytes_and_merging_joins_them(counted: Path, tmp_path: Path) -> None:
    for model in ("vit_ti16", "pvt_tiny"):
        count_models([model], [224, 240] if model == "vit_ti16" else [224], [64], tmp_path / model)
    merge([tmp_path / "vit_ti16", tmp_path / "pvt_tiny"], tmp_path / "merged")
    for name in ("counts.csv", "memory.csv"):
        assert (tmp_path / "merged" / name).read_bytes() == (counted / name).read_bytes()
    assert json.loads((tmp_path / "merged" / "counts.json").read_text())["inputs"]


def test_a_size_that_fits_no_model_says_why_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="100 px: vit_ti16 takes image sizes that are positive multiples of 16 px"):
        count_models(["vit_ti16"], [224, 100], [1], tmp_path)
    with pytest.raises(UserError, match="did you mean 'vit_ti16'"):
        count_models(["vit_t16"], [224], [1], tmp_path)
    assert not list(tmp_path.iterdir())


def test_printed_adds_the_native_size_and_keeps_the_sweep_to_the_models_that_have_one(tmp_path: Path) -> None:
    count_models(["deit_ti", "detr_r50"], [64], [1], tmp_path, printed=True)
    cells = [(row["model"], row["image_size"]) for row in read(tmp_path / "counts.csv")]
    assert ("deit_ti", "64") in cells
    assert ("deit_ti", "224") in cells
    assert [size for model, size in cells if model == "detr_r50"] == [
        str(size) for size in papers.list_printed_sizes("detr_r50")
    ]


def test_batch_norm_of_one_value_leaves_training_empty(tmp_path: Path) -> None:
    count_models(["resnet50"], [32, 64], [1], tmp_path)
    small, large = read(tmp_path / "counts.csv")
    assert small["peak_memory_train_math"] == small["peak_memory_train_fused"] == ""
    assert int(small["peak_memory_infer_math"]) < int(large["peak_memory_train_math"])


def test_merge_refuses_a_file_of_another_kind(counted: Path, tmp_path: Path) -> None:
    (tmp_path / "counts.csv").write_text("model,macs\n")
    with pytest.raises(UserError, match="expected the columns"):
        merge([tmp_path], tmp_path / "merged")


def test_scaling_has_a_row_for_every_mechanism_and_model(counted: Path, tmp_path: Path) -> None:
    write_mechanisms(tmp_path / "mechanisms.csv")
    write_scaling(counted / "counts.csv", tmp_path / "mechanisms.csv", tmp_path / "scaling.csv")
    rows = read(tmp_path / "scaling.csv")
    assert list(rows[0]) == list(list_columns(ScalingFit))
    assert [row["model"] for row in rows if row["metric"] == "macs" and row["part"] == "whole"] == [
        *("global", "spatial_reduction", "windowed", "windowed_subsampled", "messenger"),
        *("vit_ti16", "pvt_tiny"),
    ]
    assert (tmp_path / "scaling.json").exists()
