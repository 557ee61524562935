"""`show` prints all there is about a number or a claim, from a run, from the published one, or from the cards alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from replication import report
from replication.__main__ import main
from replication.records.rows import Count
from replication.records.store import write_manifest, write_rows
from tests.report.timings import MACHINE, write_timings

TIMES = {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:01:30+00:00"}


@pytest.fixture
def judged(results: Path) -> Path:
    """A run of the toy in which five cells were counted, and each of three trainings of an arm took, 90 seconds."""
    rows = [Count("toy_s", size) for size in (224, 256, 288, 320, 352)]
    write_rows(results / "complexity" / "toy" / "counts.csv", rows, Count)
    (results / "complexity" / "toy" / "counts.json").write_text(json.dumps(TIMES))
    for path in results.glob("training/exp/*/seed*/manifest.json"):
        path.write_text(json.dumps({**json.loads(path.read_text()), **TIMES}))
    write_timings(results / "speed" / "x", {("toy_s", 224): [0.02] * 4})
    path = results / "speed" / "x" / "cells.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **TIMES}))
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    return results


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[tuple[str, str]]:
    """The facts that the command prints, by their names, in order."""
    assert main(["show", *arguments]) == 0
    lines = (line.partition(" ") for line in capsys.readouterr().out.splitlines())
    return [(name, text.strip()) for name, _, text in lines]


def test_a_count(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(capsys, "toy/table1/toy-s-a-b/flops", "--results", str(judged)) == [
        ("id", "toy/table1/toy-s-a-b/flops"),
        ("printed", "3.8 G at 224 px"),
        ("metric", "macs: multiply-adds of one image (what these papers print as FLOPs)"),
        ("paper", "A toy of a <transformer> (Toys 2021), arXiv:2100.00001"),
        ("table", "table1: Cost & accuracy at 50 % of the price"),
        ("row", "Toy_S, a & b"),
        ("column", "flops"),
        ("model", "toy_s, Toy_S"),
        ("source", "arXiv v1, Table 1; read where the paper prints it"),
        ("note", "* = another recipe"),
        ("ours", "3.816 G, 1.004 of the printed; a count is exact and has no interval"),
        ("verdict", "reproduced"),
        ("why", "equal when rounded to the printed digits"),
        (
            "command",
            "python -m replication complexity count --models toy_s --image-sizes 224 --out results/by_hand",
        ),
        ("takes", "about 18 s of counting, after PyTorch has started: 1 cell at 18 s each, the mean of 5"),
        ("results", str(judged)),
    ]


def test_a_difference_has_its_cause_once(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = shown(capsys, "toy/table1/toy-s-a-b/depths-1", "--results", str(judged))
    assert facts[-6:] == [
        ("verdict", "differs"),
        ("why", "the model is built with 4"),
        ("cause", "Table 1 prints 3, the code uses 4."),
        ("command", "snakemake --cores all results/verdicts.csv"),
        ("takes", "not measured"),
        ("results", str(judged)),
    ]


def test_a_speed_has_an_interval_of_every_run(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = dict(shown(capsys, "toy/table1/toy-s-a-b/speed", "--results", str(judged)))
    assert facts["printed"] == "100 img/s by a V100"
    assert facts["ours"] == "50 img/s"
    assert facts["interval"] == f"1 [1, 1] times as fast as toy_s@224, printed 1; x on {MACHINE}"
    assert facts["takes"].startswith("about 2 min of timing, after PyTorch has started: 1 cell at 90 s each")


def test_a_claim_on_trainings(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    facts = dict(shown(capsys, "toy/claims/better", "--results", str(judged)))
    assert facts["claim"] == "B beats A."
    assert facts["test"] == "top1 of exp/b, less exp/a"
    assert facts["declared"] == "at least 0.5 %"
    assert facts["ours"].startswith("1.667 [")
    assert "laptop, 3 seeds, look 0 of 4" in facts["ours"]
    assert facts["command"].endswith("--config 'experiments=[exp]'")
    assert facts["takes"].startswith("about 9 min for 6 trainings, one after the other, as they took;")


def test_a_part_of_an_id_lists_what_is_below(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "toy/table2/", "--results", str(judged)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["id", "printed", "or", "declared", "ours", "verdict"],
        ["toy/table2/toy-s-384/flops", "12.0", "G", "12.6", "differs"],
        ["toy/table2/toy-s-448/flops", "15.0", "G", "not", "attempted"],
        ["from", str(judged)],
    ]
    assert main(["show", "toy", "--results", str(judged)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 11 + 4 + 2


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "toy/table1/toy-s-a-b/flosp",
            "unknown id 'toy/table1/toy-s-a-b/flosp'; did you mean 'toy/table1/toy-s-a-b/flops'?",
        ),
        ("toy/tabel2", "unknown id 'toy/tabel2'; did you mean 'toy/table2'?"),
        ("toy/claims/beter", "unknown id 'toy/claims/beter'; did you mean 'toy/claims/better'?"),
        ("elsewhere/table1", "unknown paper 'elsewhere'; choose from toy"),
    ],
)
def test_an_unknown_one_names_the_nearest(
    toy_papers: object, capsys: pytest.CaptureFixture[str], name: str, line: str
) -> None:
    assert main(["show", name]) == 2
    assert capsys.readouterr().err == f"error: {line}\n"


def test_the_published_run_speaks_where_there_is_no_other(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of how long things took as well, though it has no manifest of a count or of a training."""
    (judged / "report").mkdir()
    (judged / "report" / "index.html").write_text("<p>page</p>")
    (judged / "README.md").write_text("<!-- answer: of the run -->\n<!-- /answer -->\n")
    before = {
        name: shown(capsys, name, "--results", str(judged))
        for name in ("toy/table1/toy-s-a-b/flops", "toy/claims/better")
    }
    report.write_snapshot(judged, judged / "reference", judged / "README.md")
    for path in judged.glob("verdicts.*"):
        path.unlink()
    for name, facts in before.items():
        assert shown(capsys, name, "--results", str(judged)) == [*facts[:-1], ("results", str(judged / "reference"))]


def test_without_results_the_cards_speak_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    facts = dict(shown(capsys, "swin/table1a/swin-t-224/flops"))
    assert facts["printed"] == "4.5 G at 224 px"
    assert facts["results"].startswith("no results at hand")
    assert "verdict" not in facts
    facts = dict(shown(capsys, "swin/claims/shift_gain"))
    assert facts["declared"] == "at least 0 %"
    assert list(tmp_path.iterdir()) == []


def test_verdicts_that_were_written_and_are_gone_are_missed(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A run, and what is published of one, do not look as if nothing had been judged yet."""
    published = judged / "empty" / "reference"
    published.mkdir(parents=True)
    for name in ("verdicts.csv", "claims.csv"):
        (published / name).write_bytes((judged / name).read_bytes())
    write_manifest(published / "manifest.json", "", [published / "verdicts.csv", published / "claims.csv"])
    for results, folder in ((judged, judged), (published.parent, published)):
        (folder / "verdicts.csv").unlink()
        assert main(["show", "toy/table1/toy-s-a-b/flops", "--results", str(results)]) == 2
        said = f"error: {folder}/verdicts.csv is missing, though a manifest stands for it; run `snakemake"
        assert capsys.readouterr().err.startswith(said)


def test_a_verdict_on_another_value_is_refused(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = judged / "verdicts.csv"
    path.write_text(path.read_text().replace(",3.8,G,", ",3.9,G,"))
    (judged / "verdicts.json").unlink()
    assert main(["show", "toy/table1/toy-s-a-b/flops", "--results", str(judged)]) == 2
    assert capsys.readouterr().err.endswith("the card has 3.8 G; judge again\n")


def test_a_run_without_the_paper_says_so(judged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("verdicts", "claims"):
        path = judged / f"{name}.csv"
        path.write_text(path.read_text().splitlines()[0] + "\n")
        path.with_suffix(".json").unlink()
    facts = dict(shown(capsys, "toy/table1/toy-s-a-b/flops", "--results", str(judged)))
    assert facts["results"] == f"the run in {judged} did not judge this number"
    facts = dict(shown(capsys, "toy/claims/better", "--results", str(judged)))
    assert facts["results"] == f"the run in {judged} did not judge this claim"
