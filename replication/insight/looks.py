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
from replication.insight.attention import Watch, watching
from replication.insight.density import cells_at, inside, own_and_others
from replication.insight.found import pairs
from replication.models.detr import Detr

EXAMPLES = 4


@dataclass
class Looks:
    """Densities of attention, in units of that in the whole image, and examples as arrays.

    `decoder`: inside the box, for every object found; `own` and `others`: from the cell at the centre of every object
    that is not alone in its image, if there is an encoder.
    """

    decoder: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)
    examples: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def numbers(self) -> dict[str, float]:
        """The factors of which there is something to tell."""
        numbers = {"attention_inside": float(np.mean(self.decoder))} if self.decoder else {}
        if self.own:
            numbers["encoder_attention_own"] = float(np.mean(self.own) / np.mean(self.others))
        return numbers

    @property
    def archive(self) -> bytes:
        """The examples as numpy reads them from a file, which says nothing of the time it is written."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **self.examples)  # type: ignore[arg-type]
        return buffer.getvalue()


@torch.no_grad()
def looked(model: Detr, split: Scenes) -> Looks:
    """What `model`, in evaluation mode, looks at in every image, each on its own, so that nothing is padded."""
    looks, shown = Looks(), 0
    with watching(model) as watch:
        for image, targets in split.batches(torch.arange(len(split)).split(1), seed=0):
            outputs, true_cxcywh = model(image), targets.objects[0]["boxes"]
            scores, classes = outputs["pred_logits"][0].softmax(dim=1)[:, :-1].max(dim=1)
            predicted = box_convert(outputs["pred_boxes"][0], "cxcywh", "xyxy")
            true = box_convert(true_cxcywh, "cxcywh", "xyxy")
            points = true_cxcywh[:, :2]
            queries, objects = pairs(scores, predicted, true)
            decoder = watch.maps(watch.decoder, queries)[0]
            looks.decoder += inside(decoder, predicted[queries]).tolist()
            encoder = _from_points(watch, points)
            if encoder is not None and len(true) > 1:
                for densities, found in zip((looks.own, looks.others), own_and_others(encoder, true), strict=True):
                    densities += found.tolist()
            if len(queries) > 1 and shown < EXAMPLES:
                height, width = image.shape[2:]
                arrays = {
                    "image": _pixels(image[0], split),
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


def _from_points(watch: Watch, points: Tensor) -> Tensor | None:
    """The encoder's map from the cell at each point (n, 2) of the one image: (n, h, w)."""
    return None if watch.encoder is None else watch.maps(watch.encoder, cells_at(points, watch.grid))[0]


def _pixels(image: Tensor, split: Scenes) -> Tensor:
    """A normalised image (C, H, W) as it was: (H, W), or (H, W, 3) with colours, uint8."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (split.mean, split.std))
    return ((image * std + mean) * 255).round().clamp(0, 255).to(torch.uint8).movedim(0, 2).squeeze(2)
