from __future__ import annotations

from dataclasses import replace

import pytest

from replication.records.card import Arm, Experiment, Variant

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
        "proj_drop_rate": 0.1,  # so that resuming has a random stream to lose
    },
    image_size=28,
    image_sizes_by=14,
)
DISTILLED = replace(TINY, id="tiny_distilled", factory="timm/deit_tiny_distilled_patch16_224")
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


SHARED = {"images": 500, "epochs": 4, "batch_size": 64, "architecture": {"proj_drop_rate": 0.0}}  # 20 steps


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
            Arm(
                "everything",
                {"mixup": 0.8, "cutmix": 1.0, "random_erasing": 0.25, "ema_decay": 0.9, "micro_batch": 3}
                | {"hflip": 0.5, "crop_padding": 2, "drop_path_rate": 0.1, "clip_norm": None, "precision": "bf16"},
            ),
            Arm("shared_sgd", SHARED | {"optimizer": "sgd", "learning_rate": 0.05}),
            Arm("shared_adamw", SHARED),
            Arm("shared_accumulated", SHARED | {"optimizer": "sgd", "learning_rate": 0.05, "micro_batch": 12}),
            Arm("distilled", {"distillation": "hard"}, teacher="pretrain", model=DISTILLED),
            Arm("masked", {"task": "masked_patches"}),
            Arm("fine_tuned", {"head": "fresh", "epochs": 0}, start_from="masked"),
            Arm("readout", {"trainable": "head", "head": "fresh"}, start_from="masked"),
        ),
        scales={"smoke": {}, "laptop": {"images": 100}},
    )
