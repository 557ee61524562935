"""The declared rules, each at its edges, on cells and claims made by hand."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from replication import papers, report
from replication.records.card import Card, Variant
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, Measured, Order, Published, Relative, Stability, Verdict
from replication.records.words import Size
from replication.report.answer import write_answer
from replication.report.judge import Comparison, compare_architecture, compare_count, judge_cells
from replication.report.speeds import compute_ratios, read_runs
from tests.report.timings import too_large, write_timings

# --- counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("printed", "ours", "verdict", "reason"),
    [
        ("24.5", "24.486", "reproduced", "equal when rounded to the printed digits"),
        ("24.5", "24.45", "reproduced", "equal when rounded to the printed digits"),
        ("24.50", "24.486", "reproduced", "within 1 %: ours is 0.06 % less"),  # two printed digits ask for more
        ("24.50", "24.496", "reproduced", "equal when rounded to the printed digits"),
        ("86", "86.9", "reproduced", "equal when truncated to the printed digits"),
        ("4.5", "4.59", "reproduced", "equal when truncated to the printed digits"),
        ("100", "101", "reproduced", "within 1 %: ours is 1.00 % more"),
        ("100", "99", "reproduced", "within 1 %: ours is 1.00 % less"),
        ("100.0", "101.1", "differs", "ours is 1.10 % more"),
        ("307", "303", "differs", "ours is 1.30 % less"),
        ("24.5", "23.89", "differs", "ours is 2.49 % less"),
        ("0.0", "0.2", "differs", "ours is 0.2, printed 0"),
    ],
)
def test_counts(printed: str, ours: str, verdict: str, reason: str) -> None:
    found = compare_count(Decimal(printed), Decimal(ours))
    assert found == Comparison(verdict, reason, exactly=reason.startswith("equal"))


def test_architecture_is_equal_or_not() -> None:
    assert compare_architecture(Decimal("1280"), Decimal("1280.0")).exactly
    assert compare_architecture(Decimal("4.0"), Decimal("4")).verdict == "reproduced"
    differs = compare_architecture(Decimal("1280"), Decimal("1279"))
    assert differs == Comparison("differs", "the model is built with 1279")
    assert compare_architecture(Decimal("1"), Decimal("1280")).reason == "the model is built with 1280"


def measured(
    metric: str, value: float, model: str = "toy_s", image_size: int | None = 224, **changes: object
) -> Measured:
    fields: dict[str, object] = {
        "dataset": "", "unit": "", "ci_low": None, "ci_high": None, "n": None, "scale": "exact", "machine": "any",
        "seed_set": "", "source_file": "",
    }  # fmt: skip
    return Measured(model=model, image_size=image_size, quantity=metric, value=value, **{**fields, **changes})  # type: ignore[arg-type]


def cells(card: Card, table: int, column: str) -> list[Published]:
    return [number for number in card.tables[table].published if number.column.startswith(column)]


def verdict(cell: Published, card: Card, *numbers: Measured) -> Verdict:
    (found,) = judge_cells([cell], numbers, {card.key: card})
    return found


def test_a_count_is_compared_in_the_printed_unit(card: Card) -> None:
    params, other = cells(card, 0, "params")
    found = verdict(params, card, measured("params", 24_486_000))
    assert (found.measured, found.ratio) == pytest.approx((24.486, 24.486 / 24.5))
    assert found.reason == (
        "equal when rounded to the printed digits; no image size is printed, counted at the native 224 px"
    )
    assert found.command == (
        "python -m replication complexity count --models toy_s --image-sizes 224 --out results/by_hand"
    )
    missing = verdict(other, card, measured("params", 11_700_000))
    assert (missing.verdict, missing.reason) == ("not attempted", "no model 'Other*' in the suite yet")


def test_a_count_at_a_printed_size_is_never_that_of_another(card: Card) -> None:
    at_384, at_448 = cells(card, 1, "flops")
    native = measured("macs", 12e9, image_size=224)
    assert verdict(at_384, card, native).reason == "toy_s was not counted at 384 px in this run"
    found = verdict(at_384, card, native, measured("macs", 12.6e9, image_size=384))
    assert (found.verdict, found.reason) == ("differs", "ours is 5.00 % more")
    assert verdict(at_448, card).verdict == "not attempted"


def test_an_architecture_cell_is_an_element_of_the_variant(card: Card) -> None:
    first, second = (verdict(cell, card) for cell in cells(card, 0, "depths"))
    assert (first.verdict, first.measured) == ("reproduced", 3)
    assert (second.verdict, second.measured) == ("differs", 4)
    assert second.reason == "the model is built with 4; Table 1 prints 3, the code uses 4."


@pytest.mark.parametrize(
    ("family", "architecture", "metric", "column", "size", "ours"),
    [
        (
            "swin",
            {"embed_dim": 96, "depths": (2, 2, 6, 2)},
            "embed_dim",
            "dims[2]",
            None,
            384,
        ),  # the width doubles from stage to stage
        ("swin", {"embed_dim": 96}, "embed_dim", "c", None, 96),
        ("swin", {"window_size": 7}, "window_size", "m", 224, 7),
        ("swin", {"window_size": 7}, "window_size", "m", 384, 12),
        ("vit", {"embed_dim": 768, "mlp_ratio": 4}, "mlp_dim", "mlp", None, 3072),
        ("pvt", {"depths": (3, 4, 6, 3), "sr_ratios": (8, 4, 2, 1)}, "sr_ratio", "sr[1]", None, 4),
        ("pvt", {"depths": (3, 4, 6, 3), "sr_ratios": (8, 4, 2, 1)}, "sr_ratio", "sr[4]", None, None),
        ("pvt", {"sr_ratios": (8, 4, 2, 1)}, "sr_ratio", "sr", None, None),  # which stage?
        ("vit", {"depth": 12}, "window_size", "m", None, None),
    ],
)
def test_the_hyper_parameter_behind_a_cell(
    card: Card,
    family: str,
    architecture: dict[str, object],
    metric: str,
    column: str,
    size: int | None,
    ours: int | None,
) -> None:
    variant = Variant("toy_s", "Toy_S", family, "own/toy", architecture, at_size={384: {"window_size": 12}})
    cell = replace(cells(card, 0, "depths")[0], metric=metric, column=column, image_size=size)
    found = verdict(cell, replace(card, variants=(variant,)))
    assert found.measured == ours
    assert (found.verdict == "not attempted") == (ours is None)


def test_only_the_cause_of_the_same_number_explains_it(card: Card) -> None:
    (params, _) = cells(card, 0, "params")
    assert verdict(params, card, measured("params", 20e6)).reason == (
        "ours is 18.37 % less; no image size is printed, counted at the native 224 px"
    )


def test_what_cannot_be_had_says_so(card: Card) -> None:
    top1 = verdict(cells(card, 0, "top1")[0], card)
    assert (top1.verdict, top1.measured) == ("train", None)
    assert top1.reason == "no weights that stand for it were released; needs a training on imagenet-1k"
    assert top1.command == ""
    speed = verdict(cells(card, 0, "speed")[0], card)
    assert (speed.verdict, speed.reason) == ("not attempted", "no run measured its speed; the table's hardware is V100")


# --- speed ------------------------------------------------------------------------------------------


def timed(card: Card, folder: Path, **changes: Any) -> list[Verdict]:
    """Verdicts on two speeds, Toy_S at 100 and DeiT-S at 50 images/s; here they take 20 and 100 ms."""
    toy = cells(card, 0, "speed")[0]
    table = [toy, replace(toy, row="DeiT-S", model="deit_s", value=Decimal("50"))]
    seconds: dict[tuple[str, Size], list[float]] = {("toy_s", 224): [0.02] * 4, ("deit_s", 224): [0.1] * 4}
    write_timings(folder / "speed" / "x", seconds, changes=changes)
    (run,) = read_runs(folder)
    variants = {**papers.list_variants(), "toy_s": card.variants[0]}
    return judge_cells(table, [], papers.read_cards() | {"toy": card}, run, compute_ratios(table, [run], variants))


def test_a_speed_is_compared_as_a_multiple_of_the_reference_row(card: Card, tmp_path: Path) -> None:
    toy, reference = timed(card, tmp_path)
    assert (toy.verdict, toy.measured, toy.ratio) == ("not comparable", 50.0, None)
    on = "on toy processor, 2 cores (fp32, math attention, batch 1): "
    assert toy.reason == f"{on}5 [5, 5] times as fast as DeiT-S at 224 px, printed 2 times"
    assert toy.command == "python -m replication speed --models toy_s deit_s --image-sizes 224"
    assert (reference.measured, reference.reason) == (10.0, f"{on}the table's reference row")


def test_an_invalid_speed_says_why(card: Card, tmp_path: Path) -> None:
    toy, _ = timed(card, tmp_path, deit_s={"valid": 0, "invalid": "blocks vary by 9 %"})
    assert toy.verdict == "not comparable"
    assert toy.reason.endswith("printed 2 times; invalid: deit_s@224: blocks vary by 9 %")


def test_a_speed_that_was_not_measured_says_why(card: Card, tmp_path: Path) -> None:
    toy, reference = timed(card, tmp_path, toy_s=too_large("55.5 GMACs, more than 20"))
    assert (toy.verdict, toy.measured, toy.command) == ("not attempted", None, "")
    assert toy.reason == (
        "too large on toy processor, 2 cores (fp32, math attention, batch 1): 55.5 GMACs, more than 20"
    )
    assert reference.verdict == "not comparable"


def test_speeds_need_no_numbers_of_ours_to_be_checked(card: Card, tmp_path: Path) -> None:
    """They are measured but neither hold nor differ, and the answer counts them as neither."""
    assert write_answer(timed(card, tmp_path), [], []).startswith(
        "- **0 % of 2 printed numbers are checked here by a measurement of ours: 0 hold, 0 differ.**"
    )


# --- files ------------------------------------------------------------------------------------------


def test_every_published_number_gets_one_verdict_and_the_files_repeat(results: Path) -> None:
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    files = [results / "verdicts.csv", results / "claims.csv"]
    once = [path.read_bytes() for path in files]
    report.judge(results)
    assert [path.read_bytes() for path in files] == once
    published = read_records(results / "published.csv", Published)
    verdicts = read_records(results / "verdicts.csv", Verdict)
    key = ("paper", "table", "row", "column", "model", "image_size", "dataset", "metric", "unit")
    assert [[getattr(v, k) for k in key] for v in verdicts] == [[getattr(p, k) for k in key] for p in published]
    assert [v.published.as_tuple() for v in verdicts] == [p.value.as_tuple() for p in published]
    statuses = {c.claim: c.status for c in read_records(results / "claims.csv", ClaimResult)}
    assert statuses == {
        "ratio": "supported",
        "quadratic": "supported",
        "better": "not testable here",
        "unmeasured": "needs data",
    }
    for name, kind in {"relative": Relative, "orders": Order, "stability": Stability}.items():
        assert read_records(results / "speed" / f"{name}.csv", kind) == []


def test_speeds_are_judged_from_their_folders(results: Path) -> None:
    seconds: dict[tuple[str, Size], list[float]] = {("toy_s", 224): [0.02] * 4}
    write_timings(results / "speed" / "x", seconds)
    write_timings(results / "reference/other/speed/x", seconds, machine="another")
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    rows = read_records(results / "speed" / "relative.csv", Relative)
    assert [(r.machine, r.model, r.ours, r.ratio) for r in rows] == [
        ("toy processor, 2 cores", "toy_s", 50.0, 1.0),
        ("another", "toy_s", 50.0, 1.0),
    ]
    (found,) = (v for v in read_records(results / "verdicts.csv", Verdict) if v.metric == "throughput")
    assert (found.verdict, found.measured) == ("not comparable", 50.0)
