"""Mask R-CNN (He et al., ICCV 2017) with a feature pyramid, under mmdetection's names.

A detector of several passes (`cascade_mask_r_cnn`) is the same with more heads. Shapes: B batch, P proposals of an
image, n boxes of an image, K classes, H_i W_i grid of level i.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import batched_nms, roi_align

from replication.models.dense.backbone import build_backbone
from replication.models.dense.blocks import make_convolution
from replication.models.dense.boxes import (
    ALIKE,
    Detections,
    Size,
    choose_best,
    decode_boxes,
    find_with_area,
    place_anchors,
)
from replication.models.dense.fpn import DIM, FeaturePyramid

ANCHORS = 3
STRIDES = (4, 8, 16, 32, 64)
ANCHOR_SIDE = 8.0  # strides
PROPOSALS, MASKS = 1000, 100
"""Of an image: boxes that are classified, and those that get a mask, as mmdetection's counting assumes too."""
SAME_PROPOSAL = 0.7
"""The overlap above which the lesser of two proposals of a level is suppressed."""
CANONICAL_SIDE = 56.0
"""Boxes up to twice this side [px] are looked at on the finest level, and those twice as large on the next."""


class ProposalHead(nn.Module):
    """Objectness and deltas of every anchor, shared by the levels."""

    def __init__(self) -> None:
        """For three anchors a place."""
        super().__init__()
        self.rpn_conv = nn.Conv2d(DIM, DIM, 3, padding=1)
        self.rpn_cls = nn.Conv2d(DIM, ANCHORS, 1)
        self.rpn_reg = nn.Conv2d(DIM, ANCHORS * 4, 1)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """Map a level (B, 256, H, W) to logits (B, 3, H, W) and deltas (B, 12, H, W), the anchor slowest."""
        x = F.relu(self.rpn_conv(level), inplace=True)
        return self.rpn_cls(x), self.rpn_reg(x)


class BoxHead(nn.Module):
    """Scores of the classes and, last, of none; and deltas for each class, not for none."""

    def __init__(self, num_classes: int, convolutions: int, layers: int) -> None:
        """`convolutions` with batch norms on a square of 7 x 7, then linear `layers` of 1024."""
        super().__init__()
        self.shared_convs = nn.Sequential(
            *(make_convolution(DIM, DIM, norm=True, relu=True) for _ in range(convolutions))
        )
        widths = [DIM * 7 * 7, *[1024] * layers]
        self.shared_fcs = nn.ModuleList(nn.Linear(c, d) for c, d in itertools.pairwise(widths))
        self.fc_cls = nn.Linear(1024, num_classes + 1)
        self.fc_reg = nn.Linear(1024, 4 * num_classes)

    def forward(self, squares: Tensor) -> tuple[Tensor, Tensor]:
        """Map squares (n, 256, 7, 7) to logits (n, K + 1) and deltas (n, 4 K), the class slowest."""
        x = self.shared_convs(squares).flatten(1)
        for layer in self.shared_fcs:
            x = F.relu(layer(x))
        return self.fc_cls(x), self.fc_reg(x)


class MaskHead(nn.Module):
    """A mask for each class."""

    def __init__(self, num_classes: int) -> None:
        """Four convolutions, twice the side, one more."""
        super().__init__()
        self.convs = nn.Sequential(*(make_convolution(DIM, DIM, relu=True) for _ in range(4)))
        self.upsample = nn.ConvTranspose2d(DIM, DIM, kernel_size=2, stride=2)
        self.conv_logits = nn.Conv2d(DIM, num_classes, 1)

    def forward(self, squares: Tensor) -> Tensor:
        """Map squares (n, 256, 14, 14) to logits (n, K, 28, 28)."""
        return self.conv_logits(F.relu(self.upsample(self.convs(squares)), inplace=True))


class MaskRCNN(nn.Module):
    """Proposals on five levels, /4 to /64 of the image; then class, box and mask.

    The proposals that the second half of `forward` sees are given, not those of the first, which would take weights
    that know something. `detect` takes the first half's.
    """

    deviations: Sequence[Sequence[float]] = ((0.1, 0.1, 0.2, 0.2),)
    """Of the deltas of each pass."""

    def __init__(self, backbone: str, num_classes: int = 80, caffe: bool = False) -> None:
        """`backbone` is a model of the cards; `caffe` as in `ResNet`."""
        super().__init__()
        self.backbone = build_backbone(backbone, caffe=caffe)
        self.neck = FeaturePyramid(self.backbone.channels)
        self.rpn_head = ProposalHead()
        self.roi_head = self.heads(num_classes)

    def heads(self, num_classes: int) -> nn.ModuleDict:
        """Build what classifies, moves and cuts out proposals: `bbox_head` and `mask_head`, or lists, one a pass."""
        head = BoxHead(num_classes, convolutions=0, layers=2)
        return nn.ModuleDict({"bbox_head": head, "mask_head": MaskHead(num_classes)})

    def forward(self, images: Tensor) -> dict[str, list[Tensor]]:
        """Map images (B, 3, height, width) to what every head says.

        `objectness` (B, 3, H_i, W_i) and `anchors` (B, 12, H_i, W_i) of each level; `classes` (B P, K + 1), `boxes`
        (B P, 4 K) and `masks` (B P, K, 28, 28) of each pass: one here, three in a cascade.
        """
        levels = self.levels(images)
        objectness, deltas = zip(*(self.rpn_head(level) for level in levels), strict=True)
        squares = pool_given(levels, PROPOSALS, side=7)
        classes, boxes = zip(*(head(squares) for head in list_heads(self.roi_head["bbox_head"])), strict=True)
        squares = pool_given(levels, MASKS, side=14)
        return {
            "objectness": list(objectness),
            "anchors": list(deltas),
            "classes": list(classes),
            "boxes": list(boxes),
            "masks": [head(squares) for head in list_heads(self.roi_head["mask_head"])],
        }

    def levels(self, images: Tensor) -> list[Tensor]:
        """Map images to five levels; the coarsest, of the proposals alone, is every second place of the one before."""
        levels = self.neck(self.backbone(images))
        return [*levels, F.max_pool2d(levels[-1], kernel_size=1, stride=2)]

    def detect(self, image: Tensor, size: Size, scale: tuple[float, float]) -> Detections:
        """Return what is found in an `image` (1, 3, height, width), the upper left `size` of which is no padding.

        `scale` says how many times the file's width and height that size is. Between passes a proposal becomes the box
        of its best class. The passes' logits are averaged, the boxes are the last one's; masks are averaged as
        probabilities.
        """
        levels = self.levels(image)
        boxes = self.proposals(levels, size)
        said: list[Tensor] = []
        moved = boxes[:, None]
        for head, deviations in zip(list_heads(self.roi_head["bbox_head"]), self.deviations, strict=True):
            if said:
                boxes = moved[torch.arange(len(moved)), said[-1][:, :-1].argmax(dim=1)]
            logits, deltas = head(pool_squares(levels, boxes, side=7))
            moved = decode_boxes(boxes[:, None], deltas.unflatten(1, (-1, 4)), deviations, size)  # (n, K, 4)
            said.append(logits)
        boxes, scores, classes = choose_best(moved, torch.stack(said).mean(dim=0).softmax(dim=1)[:, :-1])
        squares = pool_squares(levels, boxes, side=14)
        chosen = torch.arange(len(boxes))
        masks = [head(squares)[chosen, classes].sigmoid() for head in list_heads(self.roi_head["mask_head"])]
        return Detections(boxes / boxes.new_tensor([*scale, *scale]), scores, classes, torch.stack(masks).mean(dim=0))

    def proposals(self, levels: Sequence[Tensor], size: Size) -> Tensor:
        """Return the best boxes (n, 4) of any class, n at most 1000, suppressed within their level."""
        grids = [(level.shape[2], level.shape[3]) for level in levels]
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for number, (level, places) in enumerate(
            zip(levels, place_anchors(grids, STRIDES, [ANCHOR_SIDE], levels[0].device), strict=True)
        ):
            logits, deltas = self.rpn_head(level)
            scores = logits[0].permute(1, 2, 0).flatten().sigmoid()
            scores, top = scores.topk(min(PROPOSALS, len(scores)))
            boxes = decode_boxes(places[top], deltas[0].permute(1, 2, 0).reshape(-1, 4)[top], ALIKE, size)
            found.append((boxes, scores, torch.full_like(top, number)))
        boxes, scores, numbers = (torch.cat(parts) for parts in zip(*found, strict=True))
        whole = find_with_area(boxes)
        boxes, scores, numbers = boxes[whole], scores[whole], numbers[whole]
        return boxes[batched_nms(boxes, scores, numbers, SAME_PROPOSAL)[:PROPOSALS]]


def list_heads(heads: nn.Module) -> list[nn.Module]:
    """List the head of each pass."""
    return list(heads) if isinstance(heads, nn.ModuleList) else [heads]


def pool_squares(levels: Sequence[Tensor], boxes: Tensor, side: int) -> Tensor:
    """Pool squares of `side` x `side` of the boxes (n, 4) of one image, (n, 256, side, side), by RoIAlign.

    Each from the one of the four finest levels that suits its size: floor(log2(sqrt(area) / 56)).
    """
    sides = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).sqrt()
    suiting = (sides / CANONICAL_SIDE + 1e-6).log2().floor().clamp(0, 3).long()
    squares = boxes.new_zeros(len(boxes), levels[0].shape[1], side, side)
    for number, (level, stride) in enumerate(zip(levels[:4], STRIDES, strict=False)):
        here = suiting == number
        squares[here] = roi_align(level, [boxes[here]], side, spatial_scale=1 / stride, aligned=True)
    return squares


def pool_given(levels: Sequence[Tensor], proposals: int, side: int) -> Tensor:
    """Pool squares around given proposals of every image, (B P, 256, side, side).

    The proposals are whole images, in equal shares on the four finest levels: where they lie changes no cost.
    """
    squares = []
    for level in levels[:4]:
        batch, _, height, width = level.shape
        images = torch.arange(batch, device=level.device).repeat_interleave(proposals // 4).to(level.dtype)
        corners = [torch.full_like(images, float(value)) for value in (0, 0, width, height)]
        squares.append(roi_align(level, torch.stack([images, *corners], dim=1), side, aligned=True))
    return torch.cat(squares)


MODEL = MaskRCNN
