from __future__ import annotations

import pytest

from replication.records import Arm, Experiment, Variant

TINY = Variant(
    id="tiny",
    label="tiny",
    family="vit",
    factory="timm/vit_tiny_patch16_224",
    architecture={
        "patch_size": 14,
        "embed_dim": 16,
        "depth": 1,
        "num_heads": 2,
        "in_chans": 1,
        "proj_drop_rate": 0.1,  # so that resuming has a random stream to lose
    },
    image_size=28,
    image_sizes_by=14,
)
RECIPE = {
    "dataset": "digits",
    "image_size": 28,
    "images": 50,
    "epochs": 3,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "warmup_epochs": 1,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "clip_norm": 1.0,
}


@pytest.fixture(scope="session")
def experiment() -> Experiment:
    """Thirty digits, four tokens, one block; `as_it_was_*` are not trained, so they show what a run starts with."""
    return Experiment(
        id="tiny_resolution",
        question="",
        model=TINY,
        recipe=RECIPE,
        arms=(
            Arm("pretrain"),
            Arm("again"),
            Arm("slower", {"learning_rate": 1e-4}),
            Arm("longer", {"epochs": 40}),
            Arm("overfit", {"epochs": 40, "learning_rate": 1e-2, "label_smoothing": 0.0}),
            Arm("exploding", {"learning_rate": 1e30}),
            Arm("bilinear_2d", {"image_size": 56, "positions": "bilinear"}, start_from="pretrain"),
            Arm("as_it_was_2d", {"image_size": 56, "positions": "bilinear", "epochs": 0}, start_from="pretrain"),
            Arm("as_it_was_reinit", {"image_size": 56, "positions": "none", "epochs": 0}, start_from="untrained"),
            Arm("untrained", {"epochs": 0}),
        ),
        scales={"smoke": {}, "laptop": {"images": 100}},
    )
