"""Whether attention stays in the box of an object, over a split, with some images to look at.

Shapes: n objects, h w cells of the grid, H W pixels.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import box_convert

from replication.data.detection import Scenes
from replication.insight.attention import Watch, watch_attention
from replication.insight.density import compare_densities, locate_cells, measure_density
from replication.insight.found import pair_queries
from replication.models.detr import Detr

EXAMPLES = 4


@dataclass
class Looks:
    """Densities of attention, in units of that in the whole image, and examples as arrays.

    `decoder` is the density inside the box, for every object found. `own` and `others` are taken from the cell at the
    centre of every object that is not alone in its image, if there is an encoder.
    """

    decoder: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    examples: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """The factors that can be told."""
        numbers = {"attention_inside": float(np.mean(self.decoder))} if self.decoder else {}
        if self.own:
            numbers["encoder_attention_own"] = float(np.mean(self.own) / np.mean(self.others))
        return numbers

    @property
    def archive(self) -> bytes:
        """The examples in numpy's file format, which holds no time of writing."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self.examples)  # type: ignore[arg-type]
        return buffer.getvalue()


@torch.no_grad()
def find_looks(model: Detr, split: Scenes) -> Looks:
    """Find where `model`, in evaluation mode, looks in every image; images come one by one, so that none is padded."""
    looks, shown = Looks(), 0
    with watch_attention(model) as watch:
        for image, targets in split.read_batches(torch.arange(len(split)).split(1), seed=0):
            outputs, true_cxcywh = model(image), targets.objects[0]["boxes"]
            scores, classes = outputs["pred_logits"][0].softmax(dim=1)[:, :-1].max(dim=1)
            predicted = box_convert(outputs["pred_boxes"][0], "cxcywh", "xyxy")
            true = box_convert(true_cxcywh, "cxcywh", "xyxy")
            points = true_cxcywh[:, :2]
            queries, objects = pair_queries(scores, predicted, true)
            decoder = watch.maps(watch.decoder, queries)[0]
            looks.decoder += measure_density(decoder, predicted[queries]).tolist()
            encoder = _map_points(watch, points)
            if encoder is not None and len(true) > 1:
                for densities, found in zip((looks.own, looks.others), compare_densities(encoder, true), strict=True):
                    densities += found.tolist()
            if len(queries) > 1 and shown < EXAMPLES:
                height, width = image.shape[2:]
                arrays = {
                    "image": _restore_pixels(image[0], split),
                    "boxes": predicted[queries] * torch.tensor([width, height, width, height]),
                    "classes": classes[queries],
                    "truths": targets.objects[0]["labels"][objects],
                    "decoder": decoder,
                    "points": points[objects] * torch.tensor([width, height]),
                    **({} if encoder is None else {"encoder": encoder[objects]}),
                }
                looks.examples |= {f"{name}_{shown}": array.numpy() for name, array in arrays.items()}
                shown += 1
    return looks


def _map_points(watch: Watch, points: Tensor) -> Tensor | None:
    """Return the encoder's map from the cell at each point (n, 2) of the one image: (n, h, w)."""
    return None if watch.encoder is None else watch.maps(watch.encoder, locate_cells(points, watch.grid))[0]


def _restore_pixels(image: Tensor, split: Scenes) -> Tensor:
    """Undo the normalisation of an image (C, H, W): (H, W), or (H, W, 3) with colours, uint8."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (split.mean, split.std))
    return ((image * std + mean) * 255).round().clamp(0, 255).to(torch.uint8).movedim(0, 2).squeeze(2)
