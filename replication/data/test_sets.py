"""What models of ImageNet-1k are tested on besides its validation images: other labels of these, and other images."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import torch
from torchvision.transforms import Compose

from replication.data.photographs import Photographs
from replication.evaluable import FOLDERS, IMAGES
from replication.records.words import UserError


@functools.cache
def load_real_labels() -> Mapping[str, frozenset[int]]:
    """Load ImageNet-ReaL (Beyer et al., arXiv 2006.07159), as timm ships it, as labels by image name."""
    text = (resources.files("timm.data") / "_info" / "imagenet_real_labels.json").read_text(encoding="utf-8")
    return {f"ILSVRC2012_val_{i:08d}.JPEG": frozenset(labels) for i, labels in enumerate(json.loads(text), start=1)}


def read_imagenet_v2(root: Path, testing: Compose, corrupt: str = "strict") -> Photographs | None:
    """Read ImageNet-V2 as it was fetched into `root`, in folders called by the number of their class; None without it.

    Raise `UserError` if it is not whole.
    """
    folder = next((root / place for place in FOLDERS["imagenet_v2"] if (root / place / "0").is_dir()), None)
    if folder is None:
        return None
    files = sorted(path for path in folder.glob("*/*") if path.parent.name.isdecimal())
    if len(files) != IMAGES["imagenet-v2"].count:
        raise UserError(
            f"{folder} is not imagenet-v2: expected {IMAGES['imagenet-v2'].count:,} images, not {len(files):,}"
        )
    return Photographs(tuple(files), torch.tensor([int(path.parent.name) for path in files]), testing, corrupt)
