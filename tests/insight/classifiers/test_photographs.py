"""Released weights on a folder of photographs: every file, and one line for what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from replication.insight.classifiers.look import Look, look_at_attention, look_at_tokens
from replication.insight.classifiers.photographs import FILES, look_at_photographs, read_photographs
from replication.models import build_variant
from replication.papers import find_variant
from replication.papers.parts.small_models import DEIT_DISTILLED
from replication.records.reading import read_manifest, read_records
from replication.records.rows import AttentionDistance, TokenSimilarity
from replication.records.words import UserError


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    for place, name in enumerate(("a.png", "below/b.png", "below/c.jpg")):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30), (20, 80 * place, 200)).save(path)
    (folder / "notes.txt").write_text("no photograph")
    return folder


@pytest.mark.slow
def test_a_released_model_leaves_its_figure_7(tmp_path: Path, photographs: Path) -> None:
    torch.manual_seed(3)
    torch.save(build_variant(find_variant("deit_ti"), 224).state_dict(), tmp_path / "deit_ti_224.pth")
    out = tmp_path / "out"
    said = look_at_photographs("deit_ti", 224, tmp_path / "deit_ti_224.pth", photographs, 2, "strict", out)
    assert sorted(path.name for path in out.iterdir()) == sorted([*FILES, "manifest.json"])
    rows = read_records(out / "distances.csv", AttentionDistance)
    assert {(row.state, row.block, row.head) for row in rows} == {
        (state, block, head) for state in ("trained", "untrained") for block in range(1, 13) for head in range(1, 4)
    }
    assert all(row.distance == pytest.approx(row.uniform, rel=0.05) for row in rows)  # none has learned anything
    numbers = read_manifest(out / "manifest.json", numbers=dict)["numbers"]
    assert set(numbers["trained"]) == set(numbers["untrained"]) >= {"positions_nearness", "distance_growth"}
    assert said.startswith("over 2 photographs; ViT prints no number of its Figures 6, 7 and 11\ndistance_growth [%]: ")
    similar = read_records(out / "tokens.csv", TokenSimilarity)
    assert [(row.state, row.block) for row in similar] == [
        (s, b) for s in ("trained", "untrained") for b in range(1, 13)
    ]
    assert all(row.tokens is None for row in similar)  # there is no distillation token
    assert np.load(out / "pictures.npz")["images"].shape == (2, 3, 224, 224)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "has"),
    [
        ("deit_ti_distilled", {"images", "components", "component_shares", "rollout"}),  # and DeiT's two tokens
        ("swin_t", {"images", "components", "component_shares"}),
    ],
)
def test_what_a_model_has_is_drawn(tmp_path: Path, photographs: Path, model: str, has: set[str]) -> None:
    torch.manual_seed(3)
    torch.save(build_variant(find_variant(model), 224).state_dict(), tmp_path / "weights.pth")
    said = look_at_photographs(model, 224, tmp_path / "weights.pth", photographs, 2, "strict", tmp_path / "out")
    arrays = set(np.load(tmp_path / "out" / "pictures.npz"))
    assert {name.removeprefix("trained_") for name in arrays if not name.startswith("untrained")} == has
    assert ("DeiT prints 93" in said) == (model == "deit_ti_distilled")


@torch.no_grad()
def test_photographs_are_looked_at_a_few_at_a_time_with_the_same_result() -> None:
    torch.manual_seed(0)
    model, images = build_variant(DEIT_DISTILLED, 28, 10, in_chans=1).eval(), torch.randn(5, 1, 28, 28)
    once, by_twos = Look(), Look()
    for found, together in ((once, 5), (by_twos, 2)):
        look_at_attention(found, model, "trained", images, torch.tensor([[0.0, 0.0, 0.5, 0.5]] * 5), together)
        look_at_tokens(found, model, "trained", images, together)
    assert by_twos.numbers == pytest.approx(once.numbers, rel=1e-5)
    assert [vars(row) for row in by_twos.tokens] == [pytest.approx(vars(row), abs=2e-6) for row in once.tokens]
    np.testing.assert_allclose(by_twos.pictures["rollout"], once.pictures["rollout"], rtol=1e-5)


def test_photographs_are_found_anywhere_below_and_spread_evenly(photographs: Path) -> None:
    assert read_photographs(find_variant("deit_ti"), 32, photographs, 9, "strict").shape == (3, 3, 32, 32)
    two = read_photographs(find_variant("deit_ti"), 32, photographs, 2, "strict")
    assert len(two) == 2
    assert not torch.equal(two[0], two[1])


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, photographs: Path) -> None:
    with pytest.raises(UserError, match="there is no folder of photographs"):
        read_photographs(find_variant("deit_ti"), 32, tmp_path / "none", 2, "strict")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no photograph"):
        read_photographs(find_variant("deit_ti"), 32, tmp_path / "empty", 2, "strict")
    with pytest.raises(UserError, match="only a classifier can be looked into"):
        look_at_photographs("detr_r50", 800, tmp_path / "x.pth", photographs, 2, "strict", tmp_path / "out")
    (photographs / "a.png").write_bytes(b"broken")
    with pytest.raises(UserError, match=r"a\.png"):
        read_photographs(find_variant("deit_ti"), 32, photographs, 3, "strict")
    assert len(read_photographs(find_variant("deit_ti"), 32, photographs, 3, "skip")) == 2
