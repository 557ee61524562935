"""The set-prediction loss (Carion et al., arXiv 2005.12872, section 3.1, equation 2, and appendix A.2).

Shapes: L decoder layers, B images, Q queries, K classes ("no object" is one more), S objects of the whole batch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F
from torchvision.ops import box_convert, generalized_box_iou_loss

from replication.detection.matching import HungarianMatcher, Objects, Target
from replication.records.words import UserError, nearest

LOSSES = ("labels", "boxes", "cardinality")
WEIGHTED = ("loss_ce", "loss_bbox", "loss_giou")


class SetCriterion(nn.Module):
    """Class and box losses of the matched predictions, after every decoder layer, by the authors' names.

    loss_ce         cross-entropy over all queries; those without an object should say "no object", the last class,
                    and weigh `eos_coef` in the mean
    loss_bbox       L1 distance of the matched boxes
    loss_giou       1 - generalised IoU of the matched boxes
    class_error     share of the matched queries whose likeliest class is wrong [%]; of the last layer only
    cardinality_error   how far the number of queries that say an object is from the number of objects

    The box losses are sums over the objects, divided by the mean number of objects over the processes (at least 1).
    Names after earlier decoder layers end in _0, _1, ...
    """

    empty_weight: Tensor

    def __init__(
        self,
        num_classes: int,
        matcher: HungarianMatcher,
        weight_dict: Mapping[str, float],
        eos_coef: float,
        losses: Sequence[str] = LOSSES,
    ) -> None:
        """`num_classes` K without "no object"; `losses` are the groups to compute.

        A weight of `weight_dict` holds after every layer, unless one is given for a layer by its name, as loss_ce_0; a
        loss without one has weight 0. UserError for unknown names, and if nothing has a weight.
        """
        super().__init__()
        for loss in losses:
            if loss not in LOSSES:
                raise nearest(loss, LOSSES, "group of losses")
        for name in weight_dict:
            if _without_layer(name) not in WEIGHTED:
                raise nearest(name, WEIGHTED, "loss")
        if not any(weight_dict.values()):
            raise UserError("every loss has weight 0")
        self.num_classes, self.matcher, self.losses = num_classes, matcher, tuple(losses)
        self.weight_dict = dict(weight_dict)
        empty_weight = torch.ones(num_classes + 1)
        empty_weight[-1] = eos_coef
        self.register_buffer("empty_weight", empty_weight)

    def forward(self, outputs: Mapping[str, Any], targets: Sequence[Target]) -> dict[str, Tensor]:
        """The losses of `outputs`, as `models.detr.Detr` gives them, and `targets`, one of each image.

        UserError as in `HungarianMatcher.match`.
        """
        layers = [*outputs.get("aux_outputs", ()), outputs]
        logits = _stacked(layer["pred_logits"] for layer in layers)  # (L, B, Q, K + 1)
        boxes = _stacked(layer["pred_boxes"] for layer in layers)  # (L, B, Q, 4)
        objects = Objects.of(targets, like=boxes)
        queries, matched = self.matcher.match(logits, boxes, objects)
        pairs = torch.arange(len(layers), device=boxes.device).unsqueeze(1), objects.images, queries  # each (L, S)
        found: dict[str, Tensor] = {}  # of every layer (L,)
        if "labels" in self.losses:
            found["loss_ce"] = self._classes(logits, pairs, objects.labels[matched])
        if "boxes" in self.losses:
            found |= _boxes(boxes[pairs], objects.boxes[matched])
        if "cardinality" in self.losses:
            found["cardinality_error"] = _cardinality(logits, objects)
        last = {name: values[-1] for name, values in found.items()}
        if "labels" in self.losses:
            last["class_error"] = _class_error(logits[-1, objects.images, queries[-1]], objects.labels[matched[-1]])
        return last | {f"{name}_{i}": values[i] for i in range(len(layers) - 1) for name, values in found.items()}

    def total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """What training minimises: the weighted sum of the losses of all layers."""
        weights = {name: self.weight_dict.get(name, self.weight_dict.get(_without_layer(name))) for name in losses}
        return torch.stack([losses[name] * weight for name, weight in weights.items() if weight is not None]).sum()

    def _classes(self, logits: Tensor, pairs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Weighted mean of the cross-entropy of each layer (L,), with `labels` (L, S) where the `pairs` are."""
        classes = torch.full(logits.shape[:3], self.num_classes, device=logits.device)
        classes[pairs] = labels
        weight = self.empty_weight.to(logits)
        terms = F.cross_entropy(logits.flatten(0, 2), classes.flatten(), weight, reduction="none")
        return terms.view(len(logits), -1).sum(1) / weight[classes].flatten(1).sum(1)


def _without_layer(name: str) -> str:
    """The name of a loss without the number of its layer."""
    return re.sub(r"_\d+$", "", name)


def _stacked(layers: Iterable[Tensor]) -> Tensor:
    """What several layers say, in no less than single precision."""
    together = torch.stack(list(layers))
    return together.to(torch.promote_types(together.dtype, torch.float32))


def _boxes(predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
    """The two losses of matched boxes (L, S, 4: cxcywh), over the number of boxes, for each layer (L,)."""
    predicted_xyxy, true_xyxy = (box_convert(boxes, "cxcywh", "xyxy") for boxes in (predicted, true))
    number = _number_of_boxes(true)
    return {
        "loss_bbox": (predicted - true).abs().sum((1, 2)) / number,
        "loss_giou": generalized_box_iou_loss(predicted_xyxy, true_xyxy, eps=0).sum(1) / number,
    }


def _number_of_boxes(true: Tensor) -> Tensor:
    """The mean number over the processes, at least 1.

    Processes learn together, so the number is exchanged only where there are gradients: one may evaluate alone.
    """
    number = torch.tensor(float(true.shape[1]), device=true.device)
    if torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(number)
        number = number / distributed.get_world_size()
    return number.clamp(min=1)


@torch.no_grad()
def _class_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Share [%] of the matched queries (S, K + 1) whose likeliest class is not the label; 100 if there are none."""
    if len(labels) == 0:
        return logits.new_tensor(100.0)
    return 100 * (logits.argmax(1) != labels).to(logits.dtype).mean()


@torch.no_grad()
def _cardinality(logits: Tensor, objects: Objects) -> Tensor:
    """Mean distance, over the images, of the number of queries that say an object from the number of objects (L,)."""
    says_object = logits[..., :-1].amax(3) >= logits[..., -1]
    wanted = torch.tensor(objects.sizes, device=logits.device)
    return (says_object.sum(2) - wanted).abs().to(logits.dtype).mean(1)
