"""The recipes with which papers fine-tune their models, and the experiments that do so from published weights.

An arm is called `<model>_<image size>_<data set>`, and learns at the scale `full` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from replication.data_sources import VTAB
from replication.papers.parts.recipes import IMAGENET
from replication.records.card import PUBLISHED, Arm, Experiment, Variant

VIT: Mapping[str, Any] = {
    **{"batch_size": 512, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.0, "clip_norm": 1.0},
    **{"precision": "bf16", "label_smoothing": 0.0, "random_resized_crop": (0.05, 1.0), "hflip": 0.5},
    "positions": "bilinear",
    "learn_validation": True,
}
"""Table 4 of ViT, and its authors' code: crops of 5 to 100 % of the area, mirrored."""

_RATES = (0.001, 0.003, 0.01, 0.03)
VIT_DATA: Mapping[str, Mapping[str, Any]] = {
    # Steps of 512 images as epochs: 10,000 and 500; the code's 500 steps of warm-up, and a tenth where that is all.
    "cifar_10": {"epochs": 102, "warmup_epochs": 5, "learning_rate": 0.01, "learning_rates": _RATES},
    "cifar_100": {"epochs": 102, "warmup_epochs": 5, "learning_rate": 0.01, "learning_rates": _RATES},
    "oxford_pets": {"epochs": 63, "warmup_epochs": 6, "learning_rate": 0.01, "learning_rates": _RATES},
    "flowers_102": {"epochs": 125, "warmup_epochs": 12, "learning_rate": 0.01, "learning_rates": _RATES},
}
VIT_IMAGENET: Mapping[str, Any] = {
    **{"epochs": 8, "warmup_epochs": 0.2, "learning_rate": 0.01},
    "learning_rates": (0.003, 0.01, 0.03, 0.06),
}
"""20,000 steps; the table lists 0.06 for all models, the text for ResNets and hybrids alone."""

VIT_README: Mapping[str, Mapping[str, Any]] = {
    **{name: {"epochs": 102, "warmup_epochs": 5, "learning_rate": 0.03} for name in ("cifar_10", "cifar_100")},
    "imagenet_1k": {"epochs": 8, "warmup_epochs": 0.2, "learning_rate": 0.03},
}
"""What the configurations of the authors' code say, without a search."""

_UNTURNED = {"random_resized_crop": None, "hflip": 0.0}
_STRUCTURED = ("clevr_count", "clevr_dist", "dmlab", "dspr_loc", "dspr_ori", "kitti_dist", "snorb_azim", "snorb_elev")
VIT_VTAB: Mapping[str, Mapping[str, Any]] = {
    # 2,500 steps of two batches an epoch. A crop or a mirror image has another count, place or angle.
    f"vtab_1k_{task}": {
        **{"epochs": 1250, "warmup_epochs": 125, "learning_rate": 0.01},
        **(_UNTURNED if task in _STRUCTURED else {}),
    }
    for task in VTAB
}

DEIT: Mapping[str, Any] = {
    **IMAGENET,
    **{"color_jitter": 0.3, "positions": "bicubic", "learn_validation": True},
}
_SGD = {
    **{"epochs": 1000, "batch_size": 768, "optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 1e-4},
    **{"random_erasing": 0.0, "drop_path_rate": 0.0},
}
_NATURALIST = {
    **{"epochs": 360, "batch_size": 768, "learning_rate": 7.5e-5, "weight_decay": 0.05},
    **{"random_erasing": 0.1, "drop_path_rate": 0.1},
}
DEIT_DATA: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("cifar_10", "cifar_100", "stanford_cars", "flowers_102"), _SGD),
    **dict.fromkeys(("inaturalist_2018", "inaturalist_2019"), _NATURALIST),
}
"""What an author says in facebookresearch/deit: issue 45 of CIFAR and Cars, 105 of iNaturalist; of Flowers, nothing."""

DEIT_LARGER: Mapping[str, Any] = {
    **{"epochs": 30, "batch_size": 512, "learning_rate": 5e-6, "min_learning_rate": 5e-6, "weight_decay": 1e-8},
    "learn_validation": False,
}
"""ImageNet-1k at another image size: Section 5.3 of DeiT, and the command of its README."""

SWIN: Mapping[str, Any] = {
    **{**IMAGENET, "repeated_augmentation": 1, "clip_norm": 5.0, "positions": "bicubic"},
    **{"epochs": 30, "schedule": "constant", "learning_rate": 1e-5, "weight_decay": 1e-8, "drop_path_rate": 0.1},
}
"""Appendix A2.1 of Swin, with what its pre-training does otherwise."""

TNT: Mapping[str, Any] = {**IMAGENET, "positions": "bicubic_antialias", "learn_validation": True}
TNT_DATA: Mapping[str, Mapping[str, Any]] = {
    **{name: {"epochs": 64} for name in ("cifar_10", "cifar_100")},
    **{name: {"epochs": 300} for name in ("flowers_102", "oxford_pets", "inaturalist_2019")},
}
"""As its pre-training, but for the epochs."""


def name_arm(variant: Variant, image_size: int, dataset: str) -> str:
    """Name the arm that fine-tunes a model at an image size [px] on a data set."""
    return f"{variant.id}_{image_size}_{dataset}"


def make_arms(
    variant: Variant,
    image_size: int,
    start_from: str,
    data: Mapping[str, Mapping[str, Any]],
    changes: Mapping[str, Any] | None = None,
) -> tuple[Arm, ...]:
    """Make an arm for each data set, with what its recipe changes, all from the same start.

    That is another arm, or the id of published weights. The head stays where the data set does.
    """
    return tuple(
        Arm(
            name_arm(variant, image_size, dataset),
            {
                **{"dataset": dataset, "image_size": image_size, "micro_batch": _choose_micro_batch(image_size)},
                **{"head": "start" if dataset == "imagenet_1k" and "pretrained" not in start_from else "fresh"},
                **recipe,
                **(changes or {}),
            },
            start_from=start_from,
            model=variant,
        )
        for dataset, recipe in data.items()
    )


def publish(name: str) -> str:
    """Return how an arm names published weights."""
    return PUBLISHED + name


def make_fine_tuning(name: str, question: str, recipe: Mapping[str, Any], arms: Iterable[Arm]) -> Experiment:
    """Make an experiment of arms that fine-tune at the scale `full`."""
    arms = tuple(arms)
    assert arms[0].model is not None
    return Experiment(name, question, arms[0].model, recipe, arms, {"full": {}})


def _choose_micro_batch(image_size: int) -> int:
    return 128 if image_size <= 256 else 32
