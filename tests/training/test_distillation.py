from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor, nn

from replication import data
from replication.papers.parts.recipe import resolve
from replication.records.card import Experiment
from replication.training import distillation
from replication.training.classification import Classification


class Says(nn.Module):
    """Answers the same logits whatever it sees, and two of them if it has two."""

    def __init__(self, *answers: list[float]) -> None:
        super().__init__()
        self.answers = tuple(torch.tensor([answer]) for answer in answers)

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.answers[0] if len(self.answers) == 1 else self.answers


def test_soft_is_the_divergence_of_the_softened_answers() -> None:
    # At temperature 2 the student says 1/2, 1/2 and the teacher 3/4, 1/4.
    student, teacher = torch.zeros(3, 2), torch.tensor([[2 * math.log(3), 0.0]]).expand(3, 2)
    divergence = 3 / 4 * math.log(3 / 2) + 1 / 4 * math.log(1 / 2)
    assert distillation.measure_soft_loss(student, teacher, 2.0).item() == pytest.approx(4 * divergence)
    assert distillation.measure_soft_loss(teacher, teacher, 2.0).item() == pytest.approx(0, abs=1e-7)


def test_hard_is_the_cross_entropy_with_the_teachers_choice() -> None:
    student = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]])  # 3/4, 1/4
    teacher = torch.tensor([[0.1, 0.0], [-5.0, 5.0]])
    assert distillation.measure_hard_loss(student, teacher).item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


@pytest.mark.parametrize(
    ("kind", "alpha", "expected"),
    [
        # The class head says 3/4 for the label, 0; the distillation head 1/4 for the teacher's choice, 1.
        ("hard", 0.5, (math.log(4 / 3) + math.log(4)) / 2),
        ("hard", 0.0, math.log(4 / 3)),
        ("hard", 1.0, math.log(4)),
        ("soft", 1.0, 1 / 4 * math.log(1 / 3) + 3 / 4 * math.log(3)),  # KL of (1/4, 3/4) from (3/4, 1/4)
    ],
)
def test_class_head_learns_the_labels_and_distillation_head_the_teacher(
    experiment: Experiment, kind: str, alpha: float, expected: float
) -> None:
    recipe = dataclasses.replace(
        resolve(experiment, "distilled", "smoke"),
        distillation=kind,
        distillation_alpha=alpha,
        temperature=1.0,
        label_smoothing=0.0,
    )
    student, teacher = Says([math.log(3), 0.0], [math.log(3), 0.0]), Says([0.0, math.log(3)])
    task = Classification(student, recipe, data.load("digits", 28, 50), torch.device("cpu"), teacher)
    assert task.loss(student, torch.zeros(1), torch.tensor([0])).item() == pytest.approx(expected)
