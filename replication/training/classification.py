"""Classification, on its own or with a teacher. Shapes: B batch, C channels, H W pixels, K classes."""

from __future__ import annotations

import torch
from timm.models.deit import VisionTransformerDistilled
from torch import Tensor, nn
from torch.nn import functional as F

from replication.data import Dataset, Images
from replication.models.heads import record_heads
from replication.papers.parts.recipe import Recipe
from replication.records.rows import ClassifierEpoch, Epoch
from replication.training import distillation
from replication.training.augment import Augment
from replication.training.batches import list_batches
from replication.training.last_block import read_prefix_only


class Classification:
    """The task of telling classes apart: it minimises cross-entropy and measures top-1 accuracy.

    With a teacher the loss is (1 - a) times that of the labels plus a times that of the teacher, a being the recipe's
    `distillation_alpha` (DeiT, equations 2 and 3). A model with a distillation token answers twice in training: its
    class head learns from the labels, its distillation head from the teacher, and in tests it gives their mean. A model
    without one learns both from its one answer, DeiT's "usual" distillation.
    """

    metrics: tuple[str, ...] = ("loss", "top1")
    epoch: type[Epoch] = ClassifierEpoch
    loss_unit = "nats"

    def __init__(
        self, model: nn.Module, recipe: Recipe, dataset: Dataset, device: torch.device, teacher: nn.Module | None
    ) -> None:
        """Train `model` for the classes of `dataset`; the teacher, if any, is in evaluation mode."""
        read_prefix_only(model)
        self.right: Tensor | None = None
        self.named = torch.zeros(0, dtype=torch.long)  # the class that each image was last given
        self.module, self.recipe, self.teacher = model, recipe, teacher
        self.augmentation = Augment(recipe, dataset.classes, device)
        if teacher is not None and isinstance(model, VisionTransformerDistilled):
            model.set_distilled_training(True)

    def model_of(self, module: nn.Module) -> nn.Module:
        """Return the module, which is the model."""
        return module

    def augment(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return images (B, C, H, W) to learn from, and labels (B,) or, if they are mixed, shares of the classes (B,
        K).
        """
        return self.augmentation.mix(self.augmentation.images(images), labels)

    def loss(self, module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the images [nats]. Shares of classes are smooth already."""
        smoothing = 0.0 if targets.is_floating_point() else self.recipe.label_smoothing
        answers = module(images)
        logits, distilled = answers if isinstance(answers, tuple) else (answers, answers)
        loss = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        if self.teacher is None:
            return loss
        with torch.no_grad():
            taught = self.teacher(images)
        if self.recipe.distillation == "soft":
            lesson = distillation.measure_soft_loss(distilled, taught, self.recipe.temperature)
        else:
            lesson = distillation.measure_hard_loss(distilled, taught)
        return (1 - self.recipe.distillation_alpha) * loss + self.recipe.distillation_alpha * lesson

    def evaluate(self, module: nn.Module, split: Images, device: torch.device) -> dict[str, float]:
        """Measure the mean cross-entropy [nats] and top-1 accuracy [%] over a split, and that of each of two heads."""
        loss, right, named, known = 0.0, [], [], []
        heads, stop = record_heads(module)
        for images, labels in list_batches(split, device):
            logits = module(images)
            loss += F.cross_entropy(logits, labels, reduction="sum").item()
            named.append(logits.argmax(dim=1))
            known.append(labels.cpu())
            right.append(named[-1] == labels)
        stop()
        self.right, self.named = torch.cat(right), torch.cat(named).cpu()
        alone = {
            f"top1_{name}": 100 * (torch.cat(said).argmax(dim=1) == torch.cat(known)).double().mean().item()
            for name, said in heads.items()
        }
        return {"loss": loss / len(self.right), "top1": 100 * int(self.right.sum()) / len(self.right), **alone}

    def diagnosis(self) -> str:
        """Return nothing, since the metrics say it all."""
        return ""
