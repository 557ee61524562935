"""A faulty configuration is one clear line that names the nearest valid word."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from replication.config import ROOT, Run, check, plan, sources
from replication.records import UserError

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def changed(**changes: Any) -> dict[str, Any]:
    """The default configuration with some values replaced; `a__b` is the key b under a."""
    config = copy.deepcopy(CONFIG)
    for path, value in changes.items():
        *parents, key = path.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        place[key] = value
    return config


def test_shipped_configurations_are_valid() -> None:
    check(CONFIG)
    smoke = yaml.safe_load((ROOT / "config/smoke.yaml").read_text())
    check({**CONFIG, **smoke})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modells": "all"}, "unknown config key 'modells'; did you mean 'models'?"),
        ({"training__seed": 3}, "unknown config key under training 'seed'; did you mean 'seeds'?"),
        ({"training__seeds": -1}, "config training.seeds: -1 is less than the minimum of 2"),
        ({"complexity__image_sizes": [0]}, "config complexity.image_sizes.0: 0 is less than the minimum of 1"),
        ({"complexity__image_sizes": [224, 225]}, "no chosen model takes 225 px"),
        ({"models": ["pvt_smal"]}, "unknown model 'pvt_smal'; did you mean 'pvt_small'?"),
        ({"experiments": ["vit_resolutoin"]}, "unknown experiment 'vit_resolutoin'; did you mean 'vit_resolution'?"),
        ({"recipes": {"detr_scene": {}}}, "unknown experiment under recipes 'detr_scene'; did you mean 'detr_scenes'?"),
        ({"scale": "laptob"}, "config scale: 'laptob' is not one of"),
    ],
)
def test_faults_name_the_nearest(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        plan(changed(**changes))


def test_recipes_are_changed_for_one_experiment() -> None:
    as_it_is = plan(changed(experiments=["detr_scenes", "vit_data"]))
    changes = {"dataset": "blood cells", "image_size": 160}
    asked = plan(changed(experiments=["detr_scenes", "vit_data"], recipes={"detr_scenes": changes}))
    assert as_it_is.changes("detr_scenes") == asked.changes("vit_data") == ""
    assert asked.changes("detr_scenes") == """--set 'dataset="blood cells"' image_size=160"""
    assert as_it_is.fetched("detr_scenes", "baseline") == ["data/digit_scenes/manifest.json"]
    assert asked.fetched("detr_scenes", "baseline") == []  # the user brings it along
    assert asked.experiment_digest("detr_scenes") != as_it_is.experiment_digest("detr_scenes")
    assert asked.experiment_digest("vit_data") == as_it_is.experiment_digest("vit_data")
    assert {run.arm for run in asked.detectors} == {"baseline"}


def test_results_below_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to the results folder"):
        plan(changed(results=str(tmp_path / "file" / "results")))


def test_plan_enumerates_models_sizes_and_runs() -> None:
    asked = plan(changed(models=["swin_b", "pvt_tiny"], results="here"))
    assert asked.models == {"pvt": ("pvt_tiny",), "swin": ("swin_b",)}
    assert list(asked.sweep) == CONFIG["complexity"]["image_sizes"]
    runs = [run for run in asked.runs if run.experiment == "vit_resolution"]
    assert Run("vit_resolution", "pretrain", 0) in runs
    assert asked.start_weights("vit_resolution", "pretrain") == []
    start = asked.start_weights("vit_resolution", "bilinear_2d")
    assert start[1] == "here/training/vit_resolution/pretrain/seed1/weights.safetensors"
    assert len(start) == CONFIG["training"]["seeds"]
    assert asked.teacher_weights("deit_distillation", "hard")[0].startswith("here/training/deit_distillation/convnet/")
    assert asked.other_arms("vit_resolution", "bilinear_2d") == "--start-from here/training/vit_resolution/pretrain"
    assert asked.other_arms("deit_distillation", "hard") == "--teacher here/training/deit_distillation/convnet"


def test_an_experiment_is_run_at_the_scales_it_names() -> None:
    chosen = {run.experiment for run in plan(changed(scale="smoke", experiments="all")).runs}
    assert chosen == {"vit_resolution", "detr_scenes"}
    with pytest.raises(UserError, match="swin_windows is not run at the scale smoke, only at: laptop, gpu"):
        plan(changed(scale="smoke", experiments=["swin_windows"]))


def test_sources_are_real_files_of_the_stage() -> None:
    found = sources("report/figures", "training")
    assert "replication/report/figures.py" in found
    assert all(Path(path).is_file() for path in found)
    assert not any("complexity" in path for path in found)


def test_what_an_experiment_learns_from_is_fetched() -> None:
    there = plan(changed(scale="laptop"))
    assert there.fetched("vit_resolution", "pretrain") == []
    mirror = {"root": "my data", "mirror": "a folder", "offline": True}
    asked = plan(changed(scale="gpu", experiments=["vit_resolution"], data=mirror))
    assert asked.fetched("vit_resolution", "pretrain") == ["my data/fashion_mnist/manifest.json"]
    assert asked.fetch_options == "--root 'my data' --mirror 'a folder' --offline"
    with pytest.raises(UserError, match="did you mean 'mirror'"):
        plan(changed(data={"miror": ""}))
