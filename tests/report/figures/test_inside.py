"""Pictures of what models have learned say what became of their claims, and are of the runs that were collected."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from replication import papers
from replication.records.words import UserError
from replication.report.figures import FIGURES, inside, read_frames
from replication.report.figures.inside import draw_distances, state_claims
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
        {"paper": "vit", "claim": "e", "estimate": 100.3, "status": "inconclusive"},
    ]
)


def test_claims_are_told_by_status_in_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    about = {"vit/b": "second", "vit/a": "first", "vit/e": "fifth", "vit/c": "third", "vit/d": "fourth"}
    monkeypatch.setattr(inside, "CLAIMS", {"figure": about})
    said = "Inconclusive: second (2.5), fifth (100); supported: first (2 %); needs data: third"
    assert state_claims(CLAIMS, "figure") == said
    assert state_claims(pd.DataFrame(), "figure") == "The claims that this is about are not judged yet"


def test_figures_are_about_claims_that_there_are() -> None:
    known = {f"{key}/{claim.id}" for key, card in papers.read_cards().items() for claim in card.claims}
    assert {claim for about in inside.CLAIMS.values() for claim in about} <= known
    assert inside.CLAIMS.keys() <= FIGURES.keys()


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
