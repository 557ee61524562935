"""Time of DETR's matching and loss against the usual way, and their share of a training step of a small DETR.

The usual way: layer after layer, the costs of every query of the batch with every object of the batch, cut into images,
of which only each image's own objects are read; one call of scipy an image; and the losses of each layer. Same results,
which is checked. The step: forward, matching, loss, backward and AdamW, images of 64 px, a width of 64, two encoder
layers. Times are medians of the processor time of one thread; the contenders take turns, so that a busy machine slows
all alike.

    python -m benchmarks.matching --rounds 10
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_convert, generalized_box_iou

from replication.detection.criterion import SetCriterion
from replication.detection.matching import HungarianMatcher, Objects
from replication.models.detr import Detr

BATCH = 32
CASES = [(6, 100, 91, 7), (3, 10, 10, 4), (2, 10, 10, 4)]
"""Decoder layers, queries, classes, mean number of objects."""
WEIGHTS = {"loss_ce": 1.0, "loss_bbox": 5.0, "loss_giou": 2.0}
NO_OBJECT = 0.1
Outputs = dict[str, Any]
Targets = list[dict[str, Tensor]]
Pairs = list[tuple[Tensor, Tensor]]


def corners(boxes: Tensor) -> Tensor:
    """cxcywh as xyxy."""
    return box_convert(boxes, "cxcywh", "xyxy")


@torch.no_grad()
def usual_matching(layers: list[Outputs], targets: Targets) -> list[Pairs]:
    """For each layer and image the matched queries and objects, from costs of the whole batch with itself."""
    labels, theirs = (torch.cat([target[name] for target in targets]) for name in ("labels", "boxes"))
    sizes = [len(target["labels"]) for target in targets]
    found = []
    for layer in layers:
        probabilities, boxes = layer["pred_logits"].flatten(0, 1).softmax(1), layer["pred_boxes"].flatten(0, 1)
        distance, overlap = torch.cdist(boxes, theirs, p=1), generalized_box_iou(corners(boxes), corners(theirs))
        costs = (5 * distance - probabilities[:, labels] - 2 * overlap).view(len(targets), -1, len(labels)).cpu()
        solved = [linear_sum_assignment(part[image]) for image, part in enumerate(costs.split(sizes, 2))]
        found.append([(torch.as_tensor(queries), torch.as_tensor(objects)) for queries, objects in solved])
    return found


def usual_loss(layers: list[Outputs], targets: Targets, classes: int) -> Tensor:
    """The weighted sum of the losses after every layer, and what is watched beside them."""
    weight = torch.ones(classes + 1)
    weight[-1] = NO_OBJECT
    number = sum(len(target["labels"]) for target in targets)
    total = torch.zeros(())
    for layer, pairs in zip(layers, usual_matching(layers, targets), strict=True):
        logits = layer["pred_logits"]
        images = torch.cat([torch.full_like(queries, image) for image, (queries, _) in enumerate(pairs)])
        where = images, torch.cat([queries for queries, _ in pairs])
        wanted = torch.full(logits.shape[:2], classes)
        wanted[where] = torch.cat([target["labels"][j] for target, (_, j) in zip(targets, pairs, strict=True)])
        boxes = torch.cat([target["boxes"][j] for target, (_, j) in zip(targets, pairs, strict=True)])
        overlap = torch.diag(generalized_box_iou(corners(layer["pred_boxes"][where]), corners(boxes)))
        total = total + WEIGHTS["loss_ce"] * F.cross_entropy(logits.transpose(1, 2), wanted, weight)
        total = total + WEIGHTS["loss_bbox"] * F.l1_loss(layer["pred_boxes"][where], boxes, reduction="sum") / number
        total = total + WEIGHTS["loss_giou"] * (1 - overlap).sum() / number
        (logits.argmax(2) != classes).sum(1)  # the cardinality error
    return total


def seconds(call: Callable[..., object], *arguments: object) -> float:
    """Processor time of one call."""
    start = time.process_time()
    call(*arguments)
    return time.process_time() - start


def main() -> None:
    """Print two lines a case: ours and the usual way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="after one that warms up (default: %(default)s)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    print(
        "layers,queries,classes,way,matching [ms],matching and loss with its gradient [ms],step [ms],share of step [%]"
    )
    for case in CASES:
        spent = measure(*case, rounds)
        for way in ("ours", "usual"):
            matching, loss, step = (statistics.median(spent[way, what]) for what in ("matching", "loss", "step"))
            times = f"{1e3 * matching:.2f},{1e3 * loss:.2f},{1e3 * step:.1f},{100 * loss / step:.1f}"
            print(f"{','.join(map(str, case[:3]))},{way},{times}", flush=True)


def measure(layers: int, queries: int, classes: int, objects: int, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Processor time of each round [s], by way and what is timed."""
    torch.manual_seed(0)
    model = Detr(
        "small",
        hidden_dim=64,
        num_heads=4,
        dim_feedforward=256,
        encoder_layers=2,
        decoder_layers=layers,
        num_queries=queries,
        num_classes=classes,
    )
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    criterion = SetCriterion(classes, HungarianMatcher(), WEIGHTS, NO_OBJECT)
    images = torch.randn(BATCH, 3, 64, 64)
    sizes = torch.randint(2 * objects + 1, (BATCH,)).tolist()
    targets = [{"labels": torch.randint(classes, (n,)), "boxes": torch.rand(n, 4) * 0.4 + 0.1} for n in sizes]

    def layers_of(outputs: Outputs) -> list[Outputs]:
        return [*outputs["aux_outputs"], outputs]

    def match(outputs: Outputs) -> tuple[Tensor, Tensor]:
        logits, boxes = (torch.stack([o[name] for o in layers_of(outputs)]) for name in ("pred_logits", "pred_boxes"))
        return criterion.matcher.match(logits, boxes, Objects.gather(targets, like=boxes))

    ways: dict[str, tuple[Callable[[Outputs], object], Callable[[Outputs], Tensor]]] = {
        "ours": (match, lambda outputs: criterion.compute_total(criterion(outputs, targets))),
        "usual": (
            lambda outputs: usual_matching(layers_of(outputs), targets),
            lambda outputs: usual_loss(layers_of(outputs), targets, classes),
        ),
    }

    def apart() -> Outputs:
        """What the model says, as leaves."""
        *before, last = (
            {name: layer[name].detach().requires_grad_() for name in ("pred_logits", "pred_boxes")}
            for layer in layers_of(model(images))
        )
        return {**last, "aux_outputs": before}

    def learn(loss: Callable[[Outputs], Tensor], outputs: Outputs) -> None:
        loss(outputs).backward()

    def step(loss: Callable[[Outputs], Tensor]) -> None:
        optimizer.zero_grad()
        learn(loss, model(images))
        optimizer.step()

    said = apart()
    torch.testing.assert_close(ways["ours"][1](said), ways["usual"][1](said))
    spent: dict[tuple[str, str], list[float]] = {
        (way, what): [] for way in ways for what in ("matching", "loss", "step")
    }
    for number in range(rounds + 1):
        for way, (matching, loss) in ways.items():
            outputs = apart()
            once = {
                "matching": seconds(matching, outputs),
                "loss": seconds(learn, loss, outputs),
                "step": seconds(step, loss),
            }
            for what, value in once.items() if number else ():
                spent[way, what].append(value)
    return spent


if __name__ == "__main__":
    main()
