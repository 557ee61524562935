"""Learning from a teacher (DeiT, Section 3). Shapes: B batch, K classes."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def measure_soft_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return the teacher's part of equation 2: tau^2 KL(student / tau, teacher / tau), averaged over images [nats].

    Logits are (B, K). The authors' code divides by K as well; the equation does not, and neither do we.
    """
    divergence = F.kl_div(
        F.log_softmax(student / temperature, dim=1),
        F.log_softmax(teacher / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    return temperature**2 * divergence


def measure_hard_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the teacher's part of equation 3: cross-entropy with the class that the teacher finds likeliest [nats]."""
    return F.cross_entropy(student, teacher.argmax(dim=1))
