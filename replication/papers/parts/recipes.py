"""The recipes that small experiments share, so that arms of one card are a baseline for those of another.

Keys are the fields of `recipe.Recipe`. Between `papers` and `records`: no torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from replication.records.card import Arm, Experiment, Variant

DIGITS: Mapping[str, Any] = {
    "dataset": "digits",
    "image_size": 28,
    "epochs": 14,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "warmup_epochs": 2,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "clip_norm": 1.0,
}
"""The 3,000 training digits, four by four patches of 7 px.

Chosen by the validation curve of the plain ViT alone, with seeds that no claim uses: shorter trainings end on the
plateau before a ViT finds out where its patches are, and seeds differ by five points.
"""

WINDOWS: Mapping[str, Any] = {**DIGITS, "image_size": 32, "epochs": 10}
"""The same at 32 px, an 8 x 8 grid of patches of 4 px, for models with windows or a pyramid."""

CLUTTERED: Mapping[str, Any] = {
    "dataset": "cluttered_digits",
    "image_size": 24,
    "epochs": 8,
    "batch_size": 50,
    "optimizer": "muon",
    "learning_rate": 1.2e-2,
    "min_learning_rate": 2.4e-4,
    "flat_share": 0.25,
    "warmup_epochs": 1,
    "weight_decay": 0.05,
    "label_smoothing": 0.1,
    "clip_norm": 1.0,
}
"""26,000 cluttered scenes in which what is to be named has no fixed place and size.

At 24 px it is 14 to 19 px large, its source 20, so a larger image shows more of it.

Optimizer, patches and length were settled by the validation curve of the plain ViT on the seed 101, which no claim
uses: three epochs of AdamW (2e-3) end at 69 %, of Muon at 94 %, six at 96 %. The last point of it comes with the last
of the rate's decline, so the rate is down at three quarters: what is gained in the last fifth is then what more epochs
at that rate give, and whether more epochs of all rates would change a difference is what those of twice the length say.
"""

STUDY: Mapping[str, Mapping[str, Any]] = {"study": {}}
"""The scale of trainings long enough for a verdict: minutes each, hours in all. What came of them is published."""

SMALLEST, LARGEST, ZOOM = 0.6, 0.8, 1.25  # objects of cluttered scenes, as shares of the side; ZOOM only in training
SOURCE = 20  # [px] side that their sources fill

RATES = (6e-3, 1.2e-2, 2.4e-2)
"""The learning rates that every arm of a study is tried with."""

SGD: Mapping[str, Any] = {"optimizer": "sgd", "learning_rate": 0.1, "weight_decay": 1e-4}
"""Instead of AdamW: momentum 0.9, and the rate and decay that residual networks are known for."""

SCENES: Mapping[str, Any] = {
    "task": "set_prediction",
    "dataset": "digit_scenes",
    "image_size": 64,
    "epochs": 10,
    "batch_size": 16,
    "learning_rate": 7e-4,
    "warmup_epochs": 0.5,
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
    "clip_norm": 1.0,
}
"""DETR on 6,000 scenes of digits, its backbone pre-trained as in the paper.

Chosen by the validation curve of the whole model, with a seed that no claim uses. What it takes to learn in minutes: a
backbone that knows digits (in the first try AP50 was 14 % without it and 61 % with it), small batches, and scenes
enough that none is learned by heart.
"""

SCENES_BACKBONE: Mapping[str, Any] = {
    "task": "classification",
    "dataset": "digits",
    "image_size": 28,
    "epochs": 10,
    "batch_size": 64,
    "learning_rate": 3e-3,
    "warmup_epochs": 1,
    "weight_decay": 0.05,
    "crop_padding": 6,
    "architecture": {},  # whatever a configuration changes in the detector
}
"""The pre-training of that backbone: the digits that the scenes to learn from are made of, shifted."""

SCENE_SCALES: Mapping[str, Mapping[str, Any]] = {"laptop": {}, "gpu": {"epochs": 30}}

SCALES: Mapping[str, Mapping[str, Any]] = {
    "laptop": {},
    "gpu": {"dataset": "fashion_mnist", "batch_size": 250, "precision": "bf16"},
}
"""At the scale `gpu` the same models learn from twelve to twenty times as many images."""

WINDOW_SCALES: Mapping[str, Mapping[str, Any]] = {
    **SCALES,
    "gpu": {**SCALES["gpu"], "dataset": "cifar_10", "epochs": 30},
}

IMAGENET: Mapping[str, Any] = {
    "dataset": "imagenet_1k",
    "image_size": 224,
    "epochs": 300,
    "batch_size": 1024,
    "micro_batch": 128,  # the same gradient in less memory
    "precision": "fp16",
    "optimizer": "adamw",
    "learning_rate": 1e-3,  # 5e-4 for every 512 images of a batch
    "warmup_epochs": 5,
    "warmup_learning_rate": 1e-6,
    "min_learning_rate": 1e-5,
    "weight_decay": 0.05,
    "clip_norm": None,
    "label_smoothing": 0.1,
    "drop_path_rate": 0.1,
    "random_resized_crop": (0.08, 1.0),
    "hflip": 0.5,
    "color_jitter": 0.4,
    "rand_augment": "rand-m9-mstd0.5-inc1",
    "mixup": 0.8,
    "cutmix": 1.0,
    "random_erasing": 0.25,
    "repeated_augmentation": 3,
}
"""DeiT's training (Table 9 and the authors' main.py), which the papers after it start from."""


COCO: Mapping[str, Any] = {
    "task": "set_prediction",
    "dataset": "coco_2017",
    "image_size": 800,
    "epochs": 500,
    "batch_size": 64,
    "micro_batch": 4,
    "precision": "fp32",
    "optimizer": "adamw",
    "learning_rate": 1e-4,
    "backbone_learning_rate": 1e-5,
    "warmup_epochs": 0,
    "schedule": "step",
    "step_epochs": 400,
    "weight_decay": 1e-4,
    "decay": "all",
    "label_smoothing": 0.0,
    "clip_norm": 0.1,
    "hflip": 0.5,
    "short_sides": tuple(range(480, 801, 32)),
    "long_side": 1333,
    "crop_sides": (384, 600),
    "architecture": {"pretrained_backbone": True},
}
"""DETR's long schedule (Section 4 and appendix A.4), as the authors' main.py runs it."""

COCO_ABLATION: Mapping[str, Any] = {"epochs": 300, "step_epochs": 200}
"""What the paper's Tables 2 to 4 change in it."""


def search_rates(experiment: Experiment) -> Experiment:
    """Make the search of learning rates for all arms of a study that start from nothing, on a seed no claim uses.

    Trainings have a third of the length. The arm of a rate is called `<arm>_<rate>`.
    """
    recipe = {**experiment.recipe, "epochs": round(experiment.recipe["epochs"] / 3)}
    return replace(
        experiment,
        id=f"{experiment.id}_rates",
        question="Which learning rate suits each arm?",
        recipe=recipe,
        arms=tuple(
            replace(arm, id=f"{arm.id}_{rate:g}", changes={**arm.changes, "learning_rate": rate})
            for arm in experiment.arms
            for rate in RATES
            if not arm.start_from
        ),
        seeds=(100,),
    )


TWICE = (0, 1, 2)
"""The seeds of the trainings of twice the length.

Of a contrast of five seeds that has converged, chance alone moves the difference by more than half of its interval in
27 % of the cases where one seed is trained twice as long, in 9 % where three are.
"""


def lengthen(experiment: Experiment) -> Experiment:
    """Make the same study with trainings of twice the length, which tells whether those of the study had converged."""

    def double(recipe: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**recipe, "epochs": 2 * recipe["epochs"]} if "epochs" in recipe else recipe

    return replace(
        experiment,
        id=f"{experiment.id}_longer",
        question="Had they converged?",
        recipe=double(experiment.recipe),
        arms=tuple(replace(arm, changes=double(arm.changes)) for arm in experiment.arms),
        seeds=TWICE,
    )


def make_imagenet_experiment(
    paper: str,
    recipe: Mapping[str, Any],
    variants: Iterable[Variant],
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    more: tuple[Arm, ...] = (),
) -> Experiment:
    """Make the paper's own training of its models, at the scale `full`: an arm a model, with `changes` by model id."""
    arms = tuple(Arm(variant.id, (changes or {}).get(variant.id, {}), model=variant) for variant in variants)
    assert arms[0].model is not None
    return Experiment(
        id=f"{paper}_imagenet",
        question="Does the paper's recipe give the paper's accuracy?",
        model=arms[0].model,
        recipe=recipe,
        arms=(*arms, *more),
        scales={"full": {}},
    )
