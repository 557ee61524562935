"""The published snapshot is whole, is what the cards say now, and is what the README quotes."""

import csv
import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from replication import study
from replication.complexity.mechanisms import write_mechanisms
from replication.complexity.sweep import count_cell
from replication.papers import find_variant, read_cards, write_published
from replication.records.metrics import METRICS
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, Order, Verdict, make_claim_id
from replication.records.store import hash_file
from replication.report.answer import write_answer, write_details
from replication.report.judge import compare_architecture, compare_count, judge
from tests.papers import old_verdicts

pytestmark = pytest.mark.snapshot

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "results" / "reference"
MANIFEST = json.loads((REFERENCE / "manifest.json").read_text())


def test_every_file_is_the_one_that_was_published() -> None:
    files = {p.relative_to(REFERENCE).as_posix(): hash_file(p) for p in REFERENCE.rglob("*") if p.is_file()}
    del files["manifest.json"]
    assert files == MANIFEST["files"]


def test_it_comes_from_a_clean_commit_at_laptop_scale() -> None:
    run = MANIFEST["run"]
    assert len(run["commit"]) == 40
    assert run["dirty"] is False
    assert {row["scale"] for row in _rows("claims.csv")} <= {"", "exact", "laptop", "study"}


def test_readme_quotes_its_answer_and_the_tables_are_its_own() -> None:
    verdicts = read_records(REFERENCE / "verdicts.csv", Verdict)
    claims = read_records(REFERENCE / "claims.csv", ClaimResult)
    orders = read_records(REFERENCE / "speed" / "orders.csv", Order)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"-->\n{write_answer(verdicts, claims, orders)}\n<!-- /answer -->" in readme
    (example,) = [verdict for verdict in verdicts if verdict.id == "swin/table1a/swin-t-224/flops"]
    assert (str(example.published), f"{example.measured:.2f}", example.verdict) == ("4.5", "4.49", "reproduced")
    assert "4.5 GFLOPs for Swin-T" in readme
    assert "4.49 G multiply-adds" in readme
    tables = (REFERENCE / "answer.md").read_text(encoding="utf-8")
    assert tables == f"# The answer in tables\n\n{write_details(verdicts, claims, orders)}\n"


def test_the_page_of_old_verdicts_has_the_new_ones() -> None:
    assert old_verdicts.PAGE.read_text(encoding="utf-8") == old_verdicts.render_page(), "run: make docs/old_verdicts.md"


def _is_exact(row: dict[str, str]) -> bool:
    """Whether ours has the printed digits."""
    compare = compare_architecture if METRICS[row["metric"]].kind == "architecture" else compare_count
    return compare(Decimal(row["published"]), Decimal(row["measured"])).exactly


def test_every_count_and_hyper_parameter_is_the_printed_one_or_has_a_cause() -> None:
    compared = [row for row in _rows("verdicts.csv") if row["verdict"] in ("reproduced", "differs")]
    other = [row for row in compared if not _is_exact(row)]
    assert sum(row["verdict"] == "differs" for row in other) > 50
    for row in other:
        assert len(read_cards()[row["paper"]].find_causes((row["table"], row["row"], row["column"]))) == 1, row


def test_numbers_that_others_found_have_their_sources() -> None:
    found = [row for row in _rows("verdicts.csv") if row["witness"]]
    assert len(found) >= 300
    assert all("@" in row["witness_source"] or row["witness_source"].startswith("https://") for row in found)
    decided = [row for row in found if row["verdict"].endswith(" elsewhere")]
    assert all(row["witness_kind"] in ("same weights", "same architecture retrained") for row in decided)
    assert {row["number"] for row in _rows("witnesses.csv")} >= {row["id"] for row in found}


def test_every_claim_that_counts_contradict_has_a_cause() -> None:
    contradicted = [r for r in _rows("claims.csv") if (r["source"], r["status"]) == ("counts", "contradicted")]
    assert contradicted
    for row in contradicted:
        assert len(read_cards()[row["paper"]].find_causes(row["claim"])) == 1, row


def test_what_trainings_decide_was_declared_before_they_began() -> None:
    began = {name: one.get("since", "") for name, one in MANIFEST["durations"].get("training", {}).items()}
    for training in sorted(study.read_kept(), key=lambda one: one.started, reverse=True):
        began[training.experiment] = training.started
    claims = {make_claim_id(card.key, claim.id): claim for card in read_cards().values() for claim in card.claims}
    for row in _rows("claims.csv"):
        contrast = claims[row["id"]].contrast
        if contrast and row["status"] in ("direction seen", "reversed", "smaller than what counts"):
            assert len(row["declared_commit"]) == 40, row["id"]
            assert row["declared_at"] < min(began[experiment] for experiment in contrast.experiments), row["id"]


def test_published_numbers_are_those_of_the_cards(tmp_path: Path) -> None:
    write_published(tmp_path / "published.csv")
    assert (tmp_path / "published.csv").read_bytes() == (REFERENCE / "published.csv").read_bytes()


def test_what_is_published_gives_the_published_verdicts_to_the_byte(tmp_path: Path) -> None:
    """From the published numbers, trainings, answers and timings alone, as on the machine that timed."""
    results = tmp_path / "results"
    for name in ("*.csv", "training/**/*.csv", "complexity/*.csv"):
        for path in REFERENCE.glob(name):
            target = results / path.relative_to(REFERENCE)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    for timed in REFERENCE.glob("*/speed/*"):
        shutil.copytree(timed, results / "speed" / timed.name)
    (results / "claims.csv").unlink()
    judge(results)
    for name in ("claims.csv", "verdicts.csv", "witnesses.csv", "speed/orders.csv"):
        assert (results / name).read_bytes() == (REFERENCE / name).read_bytes(), name


def test_mechanisms_are_the_same_on_this_machine_to_the_byte(tmp_path: Path) -> None:
    write_mechanisms(tmp_path / "mechanisms.csv")
    assert (tmp_path / "mechanisms.csv").read_bytes() == (REFERENCE / "complexity" / "mechanisms.csv").read_bytes()


@pytest.mark.parametrize(("model", "size"), [("vit_ti16", 4096), ("pvt_tiny", 224), ("swin_t", 448), ("resnet50", 32)])
def test_counts_are_the_same_on_this_machine(model: str, size: int) -> None:
    row, _ = count_cell(find_variant(model), size)
    published = next(r for r in _rows("complexity/counts.csv") if (r["model"], r["image_size"]) == (model, str(size)))
    assert published == {name: "" if value is None else str(value) for name, value in vars(row).items()}


def _rows(name: str) -> list[dict[str, str]]:
    with (REFERENCE / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
