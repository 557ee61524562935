"""The answer counts what was measured apart from what builds our models, and orders beside those of counts."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from replication.records.rows import ClaimResult, Order, Verdict
from replication.report.answer import summarise_numbers, write_answer, write_details
from replication.report.formats import format_number

COUNT = Verdict(
    "swin",
    "t",
    "Swin-T",
    "flops",
    "swin_t",
    None,
    "",
    "macs",
    Decimal("4.5"),
    "G",
    "yes",
    4.49,
    1.0,
    "reproduced",
    "",
    "",
)


def test_quotations_count_once_and_hyper_parameters_hold_nothing() -> None:
    quoted = replace(COUNT, paper="twins", image_size=224, verified="secondary")  # Swin-T's native size
    other, wrong = replace(COUNT, image_size=384), replace(COUNT, metric="params", verdict="differs")
    depth = replace(COUNT, metric="depth", measured=2.0)
    accuracy = replace(COUNT, metric="top1", verdict="train", measured=None, verified="no")
    confirmed = replace(accuracy, verdict="confirmed elsewhere", verified="yes")
    headline, rest = summarise_numbers([COUNT, quoted, other, wrong, depth, accuracy, confirmed])
    assert headline == "Of 7 printed numbers, 4 are checked by a measurement of ours: 3 hold, 1 differ."
    assert "They are 3 different quantities" in rest
    assert "Another 1 are hyper-parameters" in rest
    assert "1 are equal, 0 are not. 2 are not checked here; of these," in rest
    assert "confirms 1 and differs from 0. 2 printed numbers, 1 of those checked" in rest


def test_contradicted_claims_say_why_and_orders_stand_beside_counts() -> None:
    claim = ClaimResult(
        "c", "swin", "Section 1", "It is small.", "", None, 0, 1, "", status="contradicted", reason="it is 2"
    )
    order = Order("swin", "t", "throughput", "cpu_fp32", "a machine", "swin_t@224", 4, 4, 0.5, 0.1, 0.25)
    told = write_details([COUNT], [replace(claim, source="counts", estimate=2, ci_low=2, ci_high=2)], [order])
    assert "| swin | It is small. (Section 1) | 2, declared 0 to 1 | counts | it is 2 |" in told
    assert "| cpu_fp32, a machine | 1 | 0.50 (0.50 to 0.50) | 0.25 (0.25 to 0.25) |" in told


def test_the_answer_in_five_lines() -> None:
    """Hyper-parameters hold nothing; accuracies are told by what they take; a claim by what it rests on."""
    ways = ("confirmed elsewhere", "evaluate", "fine-tune", "train", "train", "not public")
    accuracies = [replace(COUNT, metric="top1", verdict=way, measured=None) for way in ways]
    depth, wrong = replace(COUNT, metric="depth", measured=2.0), replace(COUNT, metric="params", verdict="differs")
    claim = ClaimResult("c", "swin", "Section 1", "It is small.", "", None, 0, 1, "", source="counts")
    claims = [
        claim,
        replace(claim, source="counts", status="supported"),
        replace(claim, source="", status="needs data"),
    ]
    order = Order("swin", "t", "throughput", "cpu_fp32", "a machine", "swin_t@224", 4, 4, 0.5, 0.1, None)
    told = write_answer(
        [COUNT, COUNT, wrong, depth, *accuracies], claims, [order, replace(order, tau=0.7, tau_macs=0.2)]
    )
    numbers, others, by_way, of_claims, speeds = told.splitlines()
    assert numbers.startswith("- **30 % of 10 printed numbers are checked here by a measurement of ours: 2 hold, 1 ")
    assert "They are 2 different quantities" in numbers
    assert others == "- Others have measured 1 more: 1 are confirmed, 0 differ."
    assert "Of 6 accuracies, 0 are measured here and 1 by others; 1 take an evaluation" in by_way
    assert "1 a fine-tuning, 2 a training, and 1 rest on" in by_way
    assert of_claims == "- Of 3 claims, 1 rest on counts (1 supported), 2 need data."
    assert speeds.endswith(
        "2 printed orders of speeds with a median Kendall's tau of 0.60; multiply-adds alone with 0.20."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (35904.0, "35,904"), (0.00012345, "0.0001234"), (999.96, "1000"), (-1234.5, "-1,234")],
)
def test_numbers_are_read_without_exponents(value: float | None, text: str) -> None:
    assert format_number(value) == text
