"""`report.json` holds the rows of the results, and names the run by what it is made from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from replication import report
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, Count, Verdict, list_columns
from replication.report.page.data import format_data, make_table, read_report_data, read_run_facts, restore_rows
from tests.report.timed import write_speed


@pytest.fixture
def judged(results: Path) -> Path:
    write_speed(results)
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    return results


def test_its_rows_are_those_of_the_files(judged: Path) -> None:
    data = json.loads(format_data(read_report_data(judged)))
    numbers, verdicts = restore_rows(data["tables"]["numbers"]), read_records(judged / "verdicts.csv", Verdict)
    assert [row["id"] for row in numbers] == [verdict.id for verdict in verdicts]
    for row, verdict in zip(numbers, verdicts, strict=True):
        assert {name: row[name] for name in list_columns(Verdict) if name != "published"} == {
            name: getattr(verdict, name) for name in list_columns(Verdict) if name != "published"
        }
        assert row["published"] == str(verdict.published)  # 12.0, not 12
    counts = read_records(judged / "complexity" / "counts.csv", Count)
    assert [row["macs"] for row in restore_rows(data["tables"]["counts"])] == [count.macs for count in counts]
    claims = {row["id"]: row for row in restore_rows(data["tables"]["claims"])}
    assert set(claims) == {claim.id for claim in read_records(judged / "claims.csv", ClaimResult)}
    assert (claims["toy/claims/better"]["low"], claims["toy/claims/better"]["high"]) == (0.5, None)  # no upper end


def test_a_number_comes_with_its_source_its_evidence_and_its_cause(judged: Path) -> None:
    rows = {row["id"]: row for row in restore_rows(read_report_data(judged)["tables"]["numbers"])}
    assert rows["toy/table1/toy-s-a-b/flops"]["source"] == "arXiv v1, Table 1"
    found = {row["column"]: row["evidence"] for row in rows.values() if row["row"].startswith("Toy_S, a")}
    assert found == {
        "params": "counted",
        "flops": "counted",
        "depths[0]": "hyper-parameters",
        "depths[1]": "hyper-parameters",
        "top1": "none",
        "speed": "timed",
    }
    assert rows["toy/table1/toy-s-a-b/depths-1"]["cause"] == "Table 1 prints 3, the code uses 4."
    assert rows["toy/table1/toy-s-a-b/depths-0"]["cause"] == ""


def test_curves_are_means_over_seeds_by_epoch_with_the_worst_and_best(judged: Path) -> None:
    path = judged / "training" / "exp" / "a" / "seed1" / "epochs.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))  # one epoch less
    rows = [row for row in restore_rows(read_report_data(judged)["tables"]["curves"]) if row["arm"] == "a"]
    assert [(row["epoch"], row["mean"], row["seeds"]) for row in rows] == [
        (0, 0, 3),
        (1, 30, 3),
        (2, 60, 3),
        (3, 90, 2),
    ]
    assert all(row["least"] <= row["mean"] <= row["most"] for row in rows)


@pytest.mark.parametrize("change", [lambda text: text.replace("3.8", "3.9", 1), lambda text: text])
def test_the_digest_is_another_where_a_result_is(judged: Path, change: Callable[[str], str]) -> None:
    before, path = read_run_facts(judged), judged / "published.csv"
    text = path.read_text()
    path.write_text(change(text))
    assert (read_run_facts(judged)["digest"] == before["digest"]) == (change(text) == text)
    assert before["files"][0] == "published.csv"


def test_a_text_that_repeats_is_written_once() -> None:
    rows = [{"paper": paper, "claim": str(i)} for i, paper in enumerate(["a", "a", "b", "a", "b"])]
    described = {name: list_columns(ClaimResult)[name] for name in ("paper", "claim")}
    packed = make_table(rows, described)
    assert packed == {"paper": {"values": ["a", "b"], "index": [0, 0, 1, 0, 1]}, "claim": ["0", "1", "2", "3", "4"]}
    assert restore_rows(packed) == rows
