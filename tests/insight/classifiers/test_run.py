"""An arm looked into: every file, both states, and the same bytes again."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch

from replication import data, papers
from replication.insight.classifiers.run import FILES, UNITS, run
from replication.papers.parts.recipe import resolve
from replication.records.metrics import METRICS
from replication.records.reading import read_records
from replication.records.rows import ReceptiveField, Run
from replication.records.store import read_clock, write_manifest
from replication.records.words import UserError
from replication.training.engine import build


def save_untrained(experiment_id: str, arm: str, folder: Path) -> Path:
    """Save weights that no training has touched, from numbers that no seed of a training draws."""
    experiment = papers.find_experiment(experiment_id)
    recipe = resolve(experiment, arm, "laptop")
    model = build(experiment, arm, recipe, data.load(recipe.dataset, recipe.image_size), seed=77)
    into = folder / "seed0"
    into.mkdir(parents=True)
    safetensors.torch.save_file(model.state_dict(), into / "weights.safetensors")
    write_manifest(into / "manifest.json", read_clock(), [into / "weights.safetensors"])
    return folder


def look_into(experiment: str, arm: str, weights: Path, out: Path) -> list[Run]:
    run(experiment, arm, [0], "laptop", weights, out, Path("data"), "strict", {})
    return read_records(out / "seed0" / "numbers.csv", Run)


@pytest.mark.slow
def test_a_columnar_model_and_those_with_windows_leave_every_file_twice_the_same(tmp_path: Path) -> None:
    of_windows = {
        *("filters_dimensions", "filters_smoothness", "reach_stage", "reach_mismatch", "field_stage"),
        *("shift_change", "size_change", "similarity_growth", "neighbours_growth"),
    }
    expected = {
        ("vit_resolution", "pretrain"): set(UNITS) - {"tokens_first", "tokens_last", "tokens_growth"},
        ("swin_windows", "shifted"): of_windows,
        ("twins_pyramid", "svt"): of_windows,
    }
    for (experiment, arm), metrics in expected.items():
        weights = save_untrained(experiment, arm, tmp_path / experiment / "weights")
        first, again = (look_into(experiment, arm, weights, tmp_path / experiment / name) for name in ("one", "two"))
        assert first == again
        for name in FILES:
            one, two = (tmp_path / experiment / folder / "seed0" / name for folder in ("one", "two"))
            assert one.read_bytes() == two.read_bytes(), name
        assert {row.metric for row in first if row.arm == arm} == metrics
        assert {row.metric for row in first if row.arm == f"{arm}/untrained"} == metrics
        fields = read_records(tmp_path / experiment / "one" / "seed0" / "fields.csv", ReceptiveField)
        assert all(row.mismatches == 0 and row.by_graph == row.by_gradient for row in fields)


def test_a_detector_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="trained for set_prediction; only a classifier can be looked into"):
        look_into("detr_scenes", "baseline", tmp_path, tmp_path / "out")


def test_every_number_has_a_unit_and_a_meaning() -> None:
    assert set(UNITS) == {name for name, metric in METRICS.items() if metric.kind == "insight"}
