"""The options of a rule's command are what the configuration says, quoted, and the command understands them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from replication import papers
from replication.__main__ import make_parser
from replication.plan.make import make_plan
from replication.plan.options import (
    write_arm_options,
    write_fetch_options,
    write_paper_options,
    write_recipe_options,
    write_speed_options,
)


def test_the_papers_are_named_unless_they_are_all() -> None:
    assert write_paper_options(make_plan({"papers": "pvt"})) == "--papers pvt"
    assert (
        write_paper_options(make_plan({"papers": list(papers.read_cards())}))
        == write_paper_options(make_plan({}))
        == ""
    )


def test_recipes_are_changed_for_one_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/blood cells/annotations").mkdir(parents=True)
    changes = {"dataset": "blood cells", "image_size": 160}
    asked = make_plan({"experiments": ["detr_scenes", "vit_data"], "recipes": {"detr_scenes": changes}})
    assert write_recipe_options(asked, "vit_data") == ""
    assert write_recipe_options(asked, "detr_scenes") == """--set 'dataset="blood cells"' image_size=160"""


def test_arms_name_those_whose_weights_they_need() -> None:
    asked = make_plan({"results": "here"})
    start = "--start-from here/training/vit_resolution/pretrain"
    teacher = "--teacher here/training/deit_distillation/convnet"
    assert write_arm_options(asked, "vit_resolution", "pretrain") == ""
    assert write_arm_options(asked, "vit_resolution", "bilinear_2d") == start
    assert write_arm_options(asked, "deit_distillation", "hard") == teacher


def test_data_sets_come_from_where_the_configuration_says() -> None:
    mirror = {"root": "my data", "mirror": "a folder", "offline": True}
    assert write_fetch_options(make_plan({"data": mirror})) == "--root 'my data' --mirror 'a folder' --offline"


@pytest.mark.parametrize("largest", [18.5, 1e-3])
def test_a_condition_is_timed_as_its_name_says_and_memory_once(largest: float) -> None:
    first, second = "cpu_fp32_math_infer_b1", "cuda_amp-bf16_fused_train_b64_compiled_channels-last"
    speed: dict[str, Any] = {"conditions": [first, second], "tables": "swin/table1a", "largest": largest}
    asked = make_plan({"speed": speed, "models": ["all", "mine=timm/resnet10t(in_chans=3)"]})

    def understood(condition: str) -> dict[str, Any]:
        return vars(make_parser().parse_args(["speed", *shlex.split(write_speed_options(asked, condition))]))

    assert understood(first)["memory"] == asked.speed["memory"]
    told = understood(second)
    assert told["memory"] == []
    assert (told["device"], told["precision"], told["attention"], told["mode"]) == (
        "cuda",
        "amp-bf16",
        "fused",
        "train",
    )
    assert (told["batch_size"], told["compiled"], told["channels_last"]) == (64, True, True)
    assert (told["largest"], told["blocks"], told["block_seconds"]) == (largest, 5, 0.16)
    assert (told["tables"], told["models"]) == (["swin/table1a"], ["mine=timm/resnet10t(in_chans=3)"])
