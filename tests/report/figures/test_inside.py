"""Pictures of what models have learned say what became of their claims, and are of the runs that were collected."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from replication.records.words import UserError
from replication.report.figures import read_frames
from replication.report.figures.inside import describe_claims, draw_distances
from replication.report.figures.looks import read_looks
from tests.report.figures.test_figures import write_looks

CLAIMS = pd.DataFrame(
    [
        {
            "paper": "vit",
            "claim": "a",
            "estimate": 2.0,
            "ci_low": 1.0,
            "ci_high": 3.0,
            "unit": "%",
            "status": "supported",
        },
        {"paper": "vit", "claim": "b", "estimate": 2.5, "unit": float("nan"), "status": "inconclusive"},
        {"paper": "vit", "claim": "c", "status": "needs data"},
    ]
)


def test_a_part_for_every_claim_that_has_a_number() -> None:
    wanted = {"vit/b": "second", "vit/a": "first", "vit/c": "third", "vit/d": "fourth"}
    assert describe_claims(CLAIMS, wanted) == "second 2.5, inconclusive; first 2 [1, 3] %, supported"
    assert describe_claims(pd.DataFrame(), wanted) == ""


def test_what_was_not_collected_is_not_drawn(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    write_looks(tmp_path)
    frames = read_frames(tmp_path)
    assert len(frames.distances) == 10
    runs = pd.read_csv(tmp_path / "training" / "runs.csv")
    left = read_looks(tmp_path / "inside", runs[runs["arm"] == "pretrain"])
    assert set(left["distances"]["arm"]) == {"vit_resolution/pretrain"}
    assert read_looks(tmp_path / "inside", runs.iloc[:0])["fields"].empty
    assert [ax.get_title() for ax in draw_distances(frames.distances, CLAIMS).axes] == ["ViT", "hybrid"]


def test_broken_pictures_are_named(tmp_path: Path) -> None:
    (tmp_path / "training").mkdir()
    write_looks(tmp_path)
    broken = tmp_path / "inside" / "vit_resolution" / "pretrain" / "seed0" / "pictures.npz"
    broken.write_bytes(b"PK")
    with pytest.raises(UserError, match="is no archive of arrays"):
        read_frames(tmp_path)
