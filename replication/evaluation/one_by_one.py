"""Detectors answer for one image at a time, so that no image is padded for the sake of another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from replication.data.detection import Scenes, Targets

CPU = torch.device("cpu")


def answer_one_by_one(
    model: nn.Module,
    split: Scenes,
    what: str,
    answer: Callable[[Tensor, Targets], list[dict[str, Any]]],
    place: torch.device = CPU,
) -> list[dict[str, Any]]:
    """Return the COCO results of every image in turn, as `answer` gives them for the image (1, C, H, W) on `place`."""
    model.to(place)
    results: list[dict[str, Any]] = []
    batches = split.read_batches(torch.arange(len(split)).split(1), seed=0)
    with torch.inference_mode():
        for images, targets in tqdm(batches, desc=what, total=len(split), unit="image"):
            results += answer(images.to(place), targets)
    return results
