from __future__ import annotations

from typing import Any

import pytest

from replication.papers.parts.recipe import Recipe
from replication.training.schedule import compute_rate


def rates(steps: int, **changes: Any) -> list[float]:
    """The rate of every step, three of them an epoch, at a peak of 2."""
    base = {
        "dataset": "",
        "image_size": 28,
        "batch_size": 1,
        "weight_decay": 0,
        "label_smoothing": 0,
        "clip_norm": None,
    }
    recipe = Recipe(**{**base, "epochs": steps // 3, "learning_rate": 2.0, "warmup_epochs": 0, **changes})
    return [compute_rate(recipe, step, 3) for step in range(steps)]


def test_cosine_is_linear_then_half_a_cosine() -> None:
    # Two steps up; then 1 + cos of 0, 45, 90 and 135 degrees.
    assert rates(6, warmup_epochs=2 / 3) == pytest.approx([1.0, 2.0, 2.0, 1 + 2**-0.5, 1.0, 1 - 2**-0.5])


def test_cosine_falls_towards_the_smallest_rate() -> None:
    assert rates(3, min_learning_rate=0.4) == pytest.approx([2.0, 1.2 + 0.8 * 0.5, 1.2 - 0.8 * 0.5])


def test_linear_falls_by_equal_steps() -> None:
    assert rates(6, schedule="linear", warmup_epochs=1 / 3, min_learning_rate=1.0) == pytest.approx(
        [2.0, 2.0, 1.8, 1.6, 1.4, 1.2]
    )


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_last_share_stays_at_the_smallest_rate(schedule: str) -> None:
    falling = rates(9, schedule=schedule, min_learning_rate=0.4, warmup_epochs=1 / 3)
    kept = rates(12, schedule=schedule, min_learning_rate=0.4, warmup_epochs=1 / 3, flat_share=0.25)
    assert kept == [*falling, 0.4, 0.4, 0.4]


def test_constant_stays() -> None:
    assert rates(6, schedule="constant", warmup_epochs=2 / 3) == [1.0, 2.0, 2.0, 2.0, 2.0, 2.0]


def test_step_drops_after_so_many_epochs() -> None:
    assert rates(9, schedule="step", step_epochs=1, step_decay=0.5) == [2.0] * 3 + [1.0] * 3 + [0.5] * 3


def test_warmup_starts_above_its_first_rate() -> None:
    assert rates(3, schedule="constant", warmup_epochs=1, warmup_learning_rate=0.5) == [1.0, 1.5, 2.0]


def test_schedule_of_a_run_shorter_than_its_warmup_only_rises() -> None:
    assert rates(3, warmup_epochs=2) == pytest.approx([1 / 3, 2 / 3, 1.0])
