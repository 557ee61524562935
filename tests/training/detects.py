"""A detector that learns from a few scenes, which lie in memory or are read from files and changed."""

from __future__ import annotations

import dataclasses

from replication.papers.parts import small_models
from replication.papers.parts.recipes import SCENES
from replication.records.card import Arm, Experiment

DETECTS = Experiment(
    id="tiny_scenes",
    question="",
    model=dataclasses.replace(
        small_models.DETR,
        architecture={**small_models.DETR.architecture, "encoder_layers": 1, "decoder_layers": 1, "num_queries": 4},
    ),
    recipe={**SCENES, "epochs": 2, "batch_size": 4, "images": None},
    arms=(Arm("in_memory"), Arm("from_files", {"short_sides": (56, 64), "long_side": 90, "crop_sides": (32, 60)})),
    scales={"smoke": {}},
)
