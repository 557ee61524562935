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
        """Prepare for `num_classes` K classes, "no object" not counted; `losses` are the groups to compute.

        A weight of `weight_dict` holds after every layer, unless one is given for a single layer by its name, such as
        loss_ce_0; a loss without a weight has weight 0. Raise `UserError` for unknown names, and if every weight is 0.
        """
        super().__init__()
        for loss in losses:
            if loss not in LOSSES:
                raise nearest(loss, LOSSES, "group of losses")
        for name in weight_dict:
            if _strip_layer(name) not in WEIGHTED:
                raise nearest(name, WEIGHTED, "loss")
        if not any(weight_dict.values()):
            raise UserError("every loss has weight 0")
        self.num_classes, self.matcher, self.losses = num_classes, matcher, tuple(losses)
        self.weight_dict = dict(weight_dict)
        empty_weight = torch.ones(num_classes + 1)
        empty_weight[-1] = eos_coef
        self.register_buffer("empty_weight", empty_weight)

    def forward(self, outputs: Mapping[str, Any], targets: Sequence[Target]) -> dict[str, Tensor]:
        """Compute the losses of `outputs`, which `models.detr.Detr` returns, for `targets`, one for each image.

        Raise `UserError` as `HungarianMatcher.match` does.
        """
        layers = [*outputs.get("aux_outputs", ()), outputs]
        logits = _stack(layer["pred_logits"] for layer in layers)  # (L, B, Q, K + 1)
        boxes = _stack(layer["pred_boxes"] for layer in layers)  # (L, B, Q, 4)
        objects = Objects.gather(targets, like=boxes)
        queries, matched = self.matcher.match(logits, boxes, objects)
        pairs = torch.arange(len(layers), device=boxes.device).unsqueeze(1), objects.images, queries  # each (L, S)
        measures: dict[str, Tensor] = {}  # of every layer (L,)
        if "labels" in self.losses:
            measures["loss_ce"] = self._compare_classes(logits, pairs, objects.labels[matched])
        if "boxes" in self.losses:
            measures |= _compare_boxes(boxes[pairs], objects.boxes[matched])
        if "cardinality" in self.losses:
            measures["cardinality_error"] = _measure_cardinality_error(logits, objects)
        last = {name: values[-1] for name, values in measures.items()}
        if "labels" in self.losses:
            last["class_error"] = _measure_class_error(
                logits[-1, objects.images, queries[-1]], objects.labels[matched[-1]]
            )
        return last | {f"{name}_{i}": values[i] for i in range(len(layers) - 1) for name, values in measures.items()}

    def compute_total(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Return what training minimises: the weighted sum of the losses of all layers."""
        weights = {name: self.weight_dict.get(name, self.weight_dict.get(_strip_layer(name))) for name in losses}
        return torch.stack([losses[name] * weight for name, weight in weights.items() if weight is not None]).sum()

    def _compare_classes(self, logits: Tensor, pairs: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        """Return each layer's weighted mean cross-entropy (L,); `pairs` have `labels` (L, S), all else "no object"."""
        classes = torch.full(logits.shape[:3], self.num_classes, device=logits.device)
        classes[pairs] = labels
        weight = self.empty_weight.to(logits)
        terms = F.cross_entropy(logits.flatten(0, 2), classes.flatten(), weight, reduction="none")
        return terms.view(len(logits), -1).sum(1) / weight[classes].flatten(1).sum(1)


def _strip_layer(name: str) -> str:
    """Remove the number of the layer from the name of a loss."""
    return re.sub(r"_\d+$", "", name)


def _stack(layers: Iterable[Tensor]) -> Tensor:
    """Stack the predictions of several layers, in no less than single precision."""
    together = torch.stack(list(layers))
    return together.to(torch.promote_types(together.dtype, torch.float32))


def _compare_boxes(predicted: Tensor, true: Tensor) -> dict[str, Tensor]:
    """Return the two losses of matched boxes (L, S, 4: cxcywh), divided by the number of boxes, for each layer (L,)."""
    predicted_xyxy, true_xyxy = (box_convert(boxes, "cxcywh", "xyxy") for boxes in (predicted, true))
    number = _count_boxes(true)
    return {
        "loss_bbox": (predicted - true).abs().sum((1, 2)) / number,
        "loss_giou": generalized_box_iou_loss(predicted_xyxy, true_xyxy, eps=0).sum(1) / number,
    }


def _count_boxes(true: Tensor) -> Tensor:
    """Return the mean number of boxes over the processes, at least 1.

    Processes learn together, so they exchange the number only where there are gradients: one process may evaluate
    alone.
    """
    number = torch.tensor(float(true.shape[1]), device=true.device)
    if torch.is_grad_enabled() and distributed.is_available() and distributed.is_initialized():
        distributed.all_reduce(number)
        number = number / distributed.get_world_size()
    return number.clamp(min=1)


@torch.no_grad()
def _measure_class_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the share [%] of matched queries (S, K + 1) with a wrong likeliest class; 100 if there are no queries."""
    if len(labels) == 0:
        return logits.new_tensor(100.0)
    return 100 * (logits.argmax(1) != labels).to(logits.dtype).mean()


@torch.no_grad()
def _measure_cardinality_error(logits: Tensor, objects: Objects) -> Tensor:
    """Return how far the number of queries that say an object is from that of objects: the mean over images (L,)."""
    says_object = logits[..., :-1].amax(3) >= logits[..., -1]
    wanted = torch.tensor(objects.sizes, device=logits.device)
    return (says_object.sum(2) - wanted).abs().to(logits.dtype).mean(1)
