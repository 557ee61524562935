"""Disagreements of classifiers from what their evaluations kept, judged against DeiT's Table 4."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from replication import papers
from replication.__main__ import main
from replication.answers import Answers
from replication.papers.parts.weights import read_weights
from replication.records.rows import Evaluated
from replication.records.store import write_manifest, write_rows
from replication.report.disagreements import read_disagreements
from replication.report.judge import judge_cells

N = 1000
CELLS = next(table for table in papers.read_cards()["deit"].tables if table.id == "table4")
RECORDS = {"convnet-regnety": "regnety_16gf_224_deit", "deit": "deit_b_224", "student-both": "deit_b_distilled_224"}


def keep(folder: Path, weights: str, shift: int, heads: dict[str, int]) -> Path:
    """An evaluation of images 0 to N - 1 of class 0, of which the first `shift` are taken for class 1."""
    place, one = folder / weights / "imagenet" / "224", read_weights()[weights]

    def answer(number: int) -> np.ndarray:
        return (np.arange(N) < number).astype(np.int64)

    best = np.stack([answer(shift), *[np.full(N, k) for k in range(2, 6)]], axis=1)
    said = {name: answer(number) for name, number in heads.items()}
    names = tuple(f"n0/{k}.JPEG" for k in range(N))
    Answers(np.zeros(N, np.int64), best, np.zeros(N, np.float32), said, names, {}).save(place / "answers.npz", "")
    row = Evaluated(one.model, 224, "imagenet-1k", "top1", 100 - shift / 10, "%", None, None, N, weights)
    write_rows(place / "evaluation.csv", [row], Evaluated)
    write_manifest(place / "evaluation.json", "", [place / "evaluation.csv", place / "answers.npz"])
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Errors of 17.1, 18.2 and 16.6 %, which lie within each other, and of the heads of 17.0 and 16.9 %."""
    keep(tmp_path, RECORDS["convnet-regnety"], 171, {})
    keep(tmp_path, RECORDS["deit"], 182, {})
    keep(tmp_path, RECORDS["student-both"], 166, {"class_head": 170, "distillation_head": 169})
    return tmp_path


def test_every_cell_of_the_table_has_its_two_sides(folder: Path) -> None:
    """A disagreement with the labels is an error; the others are differences here, each side in its own place."""
    errors = {"groundtruth": 0, "convnet-regnety": 171, "deit": 182}
    errors |= {"student-class": 170, "student-distil": 169, "student-both": 166}
    verdicts = judge_cells(CELLS.published, read_disagreements(folder), papers.read_cards())
    assert len(verdicts) == 36
    for verdict in verdicts:
        row, column = verdict.id.split("/")[-2:]
        assert verdict.measured == pytest.approx(abs(errors[row] - errors[column]) / N), verdict.id
        assert verdict.command == f"python -m replication fill {verdict.id}"
        if "groundtruth" in (row, column):  # of too few images to decide, but within the printed digits
            assert verdict.measured == pytest.approx(float(verdict.published))
            assert "which is too few to decide" in verdict.reason or verdict.verdict == "reproduced"


def test_what_is_missing_leaves_the_cell_with_its_command(folder: Path) -> None:
    (folder / RECORDS["deit"] / "imagenet" / "224" / "evaluation.json").unlink()
    keep(folder, RECORDS["convnet-regnety"], 171, {})
    found = {one.weights for one in read_disagreements(folder)}
    assert "labels deit_b_distilled_224/class_head" in found
    assert not any("deit_b_224" in weights for weights in found)
    verdicts = judge_cells(CELLS.published, read_disagreements(folder), papers.read_cards())
    (one,) = (verdict for verdict in verdicts if verdict.id == "deit/table4/deit/student-class")
    assert one.verdict == "evaluate"
    assert one.reason.startswith(
        "needs the validation images of ImageNet-1k and the weights deit_b_224 and deit_b_dist"
    )


def test_two_evaluations_are_compared(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1.6 points more of 1,000 images: 16 gained, none lost; (16.5 - 0.5 +- 1.96 sqrt(17 - 16^2 / 1002)) / 1002."""
    places = [f"{folder}/{RECORDS[name]}/imagenet/224" for name in ("deit", "student-both")]
    assert main(["compare", *places]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("1,000 images; other classes for 1.60 % [0.99, 2.58]")
    assert second.startswith("top-1 81.80 and 83.40 %: +1.60 points [+0.80, +2.40], paired")
    assert main(["compare", places[0], str(folder)]) == 2
    assert "holds no evaluation of a classifier" in capsys.readouterr().err
    answers = folder / RECORDS["deit"] / "imagenet" / "224" / "answers.npz"
    answers.write_bytes(answers.read_bytes()[:-9])
    assert main(["compare", *places]) == 2
    assert "is not what was written" in capsys.readouterr().err
