"""The `way` lines of a transcript: which of them speaks of a number, and what each mistake is answered with."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from replication.papers.parts.transcript import parse_tables
from replication.records.card import Way
from replication.records.words import UserError

TABLE = """
## t: T

- source: s
- verified: yes
- column top1: top1 [%] dataset=imagenet-1k
- column err: top1_error [%] dataset=imagenet-1k
- column shot: top1_zero_shot [%] dataset=imagenet-1k image_size=384
- column cifar: top1 [%] dataset=cifar-10
- column params: params [M]
LINES

| model   | input | top1 | err | shot | cifar | params |
|---------|-------|------|-----|------|-------|--------|
| DeiT-Ti | 224   | 1    | 1   | 1    | 1     | 1      |
| Swin-B* | 224   | 1    | -   | -    | -     | -      |
"""


def ways(*lines: str) -> Mapping[tuple[str, str], Way]:
    text = TABLE.replace("LINES", "\n".join(f"- way {line}" for line in lines))
    (table,) = parse_tables("paper", text, {"DeiT-Ti": "deit_ti", "Swin-B*": "swin_b"})
    return {(row.split(",")[0], column): way for (_, row, column), way in table.ways.items()}


def test_without_a_line_transfer_is_fine_tuned_and_the_rest_trained() -> None:
    found = ways()
    assert {key: way.kind for key, way in found.items()} == {
        ("DeiT-Ti", "top1"): "train",
        ("DeiT-Ti", "err"): "train",
        ("DeiT-Ti", "shot"): "train",
        ("DeiT-Ti", "cifar"): "fine-tune",
        ("Swin-B*", "top1"): "train",
    }


def test_released_are_the_weights_of_the_model_at_the_size_with_the_tag() -> None:
    found = ways("*/top1: evaluate released", "swin-b-star-*: evaluate released_in22k")
    assert found["DeiT-Ti", "top1"] == Way("evaluate", "deit_ti_224", 224, "top1")
    assert found["Swin-B*", "top1"] == Way("evaluate", "swin_b_224_in22k", 224, "top1")
    assert ways("*/top1: evaluate released_1x")["DeiT-Ti", "top1"].kind == "train"  # there are none of that name


def test_a_zero_shot_accuracy_is_at_the_printed_size_and_an_error_is_measured_as_an_accuracy() -> None:
    found = ways("deit-*: evaluate deit_ti_224", "*/cifar: train here at 384")
    assert found["DeiT-Ti", "shot"] == Way("evaluate", "deit_ti_224", 384, "top1")
    assert found["DeiT-Ti", "err"] == Way("evaluate", "deit_ti_224", 224, "top1")
    assert found["DeiT-Ti", "cifar"] == Way("train", "", 384, "top1", here=True)
    found = ways("deit-*: evaluate deit_ti_224 at 448 as top5", "*/err: not public, it is secret")
    assert found["DeiT-Ti", "top1"] == Way("evaluate", "deit_ti_224", 448, "top5")
    assert found["DeiT-Ti", "err"] == Way("not public", reason="it is secret")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("*: evaluate", "cannot read '- way \\*: evaluate'"),
        ("*: guess", "cannot read '- way \\*: guess'"),
        ("*: not public", "cannot read"),
        ("*: evaluate deit_ti_225", "unknown weights 'deit_ti_225'; did you mean 'deit_ti_224'"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        ways(line)
