"""A faulty configuration is one clear line that names the nearest valid word."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from replication import papers
from replication.plan.check import check_config
from replication.plan.digests import digest_experiment
from replication.plan.make import list_speed_tables, make_plan
from replication.plan.plan import Run
from replication.records.words import UserError
from replication.schema import fill_defaults, read_schema
from replication.speed.published import list_published_cells
from tests.plan.keys import README, leaves, readme

ROOT = Path(__file__).resolve().parents[2]
CONFIG = fill_defaults({})


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


@pytest.mark.parametrize("path", [*(ROOT / "config").glob("*.yaml"), ROOT / ".test/config/config.yaml"], ids=str)
def test_shipped_configurations_are_valid(path: Path) -> None:
    check_config(yaml.safe_load(path.read_text()))


def test_the_readme_has_every_key_with_its_default() -> None:
    assert README.read_text(encoding="utf-8") == readme(), "run: make config/README.md"


def test_every_key_but_those_of_released_weights_has_a_default_which_is_valid() -> None:
    without = {path for path, part in leaves(read_schema()) if "default" not in part}
    images = ("imagenet", "imagenet_v2", "coco", "ade20k")
    assert without == {"evaluation.checkpoints", *(f"evaluation.{key}" for key in images)}
    check_config(CONFIG)
    assert "evaluation" not in CONFIG


def test_what_a_configuration_says_stays() -> None:
    said = {"scale": "smoke", "training": {"seeds": 3}, "speed": {"conditions": []}}
    filled = fill_defaults(said)
    assert filled["training"] == {"seeds": 3, "device": "cpu", "processes": 1}
    assert filled["speed"] == {**CONFIG["speed"], "conditions": []}
    assert said == {"scale": "smoke", "training": {"seeds": 3}, "speed": {"conditions": []}}


def test_an_empty_configuration_is_the_default() -> None:
    assert make_plan({}) == make_plan(CONFIG)


def test_one_papers_part_is_what_its_numbers_and_claims_are_about() -> None:
    asked = make_plan(changed(papers="pvt"))
    assert asked.papers == ("pvt",)
    assert {name.split("/")[0] for name in asked.tables} == {"pvt"}
    assert {run.experiment for run in asked.runs} == {"pvt_pyramid"}
    assert asked.speed["tables"] == ["pvt/table11"]
    assert "deit_s" in asked.models["deit"]  # PVT's tables compare with it
    assert "swin" not in asked.models
    assert set(asked.models["pvt"]) == set(make_plan(CONFIG).models["pvt"])


def test_all_papers_are_no_other_plan_than_no_word_on_them() -> None:
    asked = make_plan(changed(papers=list(papers.read_cards())))
    assert asked == make_plan(CONFIG)


def test_a_part_without_speeds_times_nothing_and_says_so() -> None:
    (note,) = make_plan(changed(papers=["baselines"])).notes
    assert note == "nothing is timed: no table of speeds that is asked for is of baselines"


@pytest.mark.parametrize("key", papers.read_cards())
def test_every_paper_can_be_asked_for_alone(key: str) -> None:
    assert make_plan(changed(papers=[key])).models


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"modells": "all"}, "unknown config key 'modells'; did you mean 'models'?"),
        ({"training__seed": 3}, "unknown config key under training 'seed'; did you mean 'seeds'?"),
        ({"training__seeds": -1}, "config training.seeds: -1 is less than the minimum of 2"),
        ({"complexity__image_sizes": [0]}, "config complexity.image_sizes.0: 0 is less than the minimum of 1"),
        ({"complexity__image_sizes": [224, 225]}, "no chosen model takes 225 px"),
        ({"papers": ["pvd"]}, "unknown paper 'pvd'; did you mean 'pvt'?"),
        ({"papers": ["cpvt"], "models": ["swin_b"]}, "config models: none of them is what the numbers of cpvt are"),
        ({"models": ["pvt_smal"]}, "unknown model 'pvt_smal'; did you mean 'pvt_small'?"),
        ({"experiments": ["vit_resolutoin"]}, "unknown experiment 'vit_resolutoin'; did you mean 'vit_resolution'?"),
        ({"recipes": {"detr_scene": {}}}, "unknown experiment under recipes 'detr_scene'; did you mean 'detr_scenes'?"),
        ({"scale": "laptob"}, "config scale: 'laptob' is not one of"),
        ({"models": "swim_t"}, "unknown model 'swim_t'; did you mean 'swin_t'?"),
        ({"models": 3}, "config models: 3 is not of type 'string', 'array'"),
        ({"experiments": "none"}, "unknown experiment 'none'"),
        ({"mod\nels": "all"}, "unknown config key 'mod\\nels'; did you mean 'models'?"),
        ({"training__seeds": 1_000_000}, "config training.seeds: 1000000 is greater than the maximum of 1000"),
        ({"training__seeds": 2.5}, "config training.seeds: 2.5 is not of type 'integer'"),
        ({"training__seeds": True}, "config training.seeds: True is not of type 'integer'"),
        ({"results": "a/" * 4 + "b" * 5000}, "cannot write to the results folder"),
        ({"results": "a{b}"}, "config results: 'a{b}' is no folder for results or data"),
        ({"results": "-x"}, "config results: '-x' is no folder for results or data"),
        ({"results": "~nobody-of-this-name/x"}, "config results: '~nobody-of-this-name/x'"),
        ({"recipes": {1: {}}}, "config.recipes: the key 1 is no text; write it in quotes"),
        ({"recipes": {True: {}}}, "config.recipes: the key True is no text"),
        ({"recipes": {None: {}}}, "config.recipes: the key None is no text"),
        (
            {"recipes": {"detr_scenes": {"epoch": 2}}},
            "unknown recipe key of detr_scenes 'epoch'; did you mean 'epochs'?",
        ),
        ({"recipes": {"detr_scenes": {"epochs": {2}}}}, "config.recipes.detr_scenes.epochs is {2}, no text, number"),
        ({"recipes": {"vit_shape": {"learning_rate": "fast"}}}, "learning_rate is 'fast', not a number"),
        ({"recipes": {"vit_shape": {"architecture": {"depth": "many"}}}}, "architecture.depth is 'many', not a whole"),
        (
            {"recipes": {"vit_shape": {"architecture": {"dept": 3}}}},
            "unknown keyword of the model of vit_shape/pooling 'dept'; did you mean 'depth'?",
        ),
        (
            {"recipes": {"detr_scenes": {"architecture": {"num_querys": 32}}}},
            "unknown keyword of the model of detr_scenes/baseline 'num_querys'; did you mean 'num_queries'?",
        ),
        ({"recipes": {"vit_shape": {"image_size": 27}}}, "takes image sizes that are positive multiples of"),
        (
            {"recipes": {"vit_shape": {"dataset": "mist"}}},
            "(there is no data/mist/annotations) 'mist'; did you mean 'mnist'?",
        ),
        ({"recipes": {"vit_shape": {"dataset": "coco_2017"}}}, "coco_2017 is no data set for classification"),
        ({"recipes": {"detr_scenes": {"dataset": "digits"}}}, "digits is no data set for set_prediction"),
        ({"recipes": {"vit_shape": {"images": 60}}}, "digits: images must be a multiple of 50 up to 5000, not 60"),
        ({"recipes": {"vit_shape": {"train_images": 65}}}, "digits: train_images must be a multiple of 10 up to "),
        (
            {"recipes": {"vit_shape": {"dataset": "mnist", "images": 500}}},
            "mnist has not as many images of each class; say train_images instead of images",
        ),
        (
            {"recipes": {"vit_shape": {"dataset": "flowers_102", "images": 500}}},
            "flowers_102: images is for data in memory; say train_images instead",
        ),
        ({"speed__tables": ["nope"]}, "unknown table of speeds 'nope'"),
        ({"speed__conditions": ["cpu_tf32_math_infer_b1"]}, "'cpu_tf32_math_infer_b1' is not a condition: cpu or cuda"),
        ({"speed__conditions": ["cpu_fp32_math_infer_b1\n"]}, "is not a condition: cpu or cuda"),
        ({"speed__block_seconds": 0}, "config speed.block_seconds: 0 is less than the minimum"),
        ({"speed__block_seconds": float("inf")}, "config.speed.block_seconds is inf, not a finite number"),
        ({"speed__largest": float("nan")}, "config.speed.largest is nan, not a finite number"),
        ({"speed__blocks": -1}, "config speed.blocks: -1 is less than the minimum of 5"),
    ],
)
def test_a_fault_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as error:
        make_plan(changed(**changes))
    assert "\n" not in str(error.value)


def test_a_name_that_is_too_long_is_no_folder_of_weights() -> None:
    (note,) = make_plan(changed(evaluation={"imagenet": "here", "checkpoints": "b" * 5000})).notes
    assert "is no folder" in note


def test_a_name_alone_and_a_whole_number_with_a_point_are_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/tmp")
    as_it_is = make_plan(changed(models=["swin_t"], results="/tmp/here", experiments=["vit_shape"]))
    written = {"models": "swin_t", "results": "~/here", "experiments": "vit_shape", "training__seeds": 5.0}
    sizes = [float(size) for size in CONFIG["complexity"]["image_sizes"]]
    asked = make_plan(changed(**written, complexity__image_sizes=sizes, complexity__batch_sizes=[1, 64.0]))
    assert repr(asked) == repr(as_it_is)


def test_every_table_that_may_be_timed_is() -> None:
    timed = {cell.subject for cell in list_published_cells()}
    assert timed  # so that the names below are not all unknown
    for name in list_speed_tables():
        assert list_published_cells([name])


def test_recipes_are_changed_for_one_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/blood cells/annotations").mkdir(parents=True)
    as_it_is = make_plan(changed(experiments=["detr_scenes", "vit_data"]))
    changes = {"dataset": "blood cells", "image_size": 160}
    asked = make_plan(changed(experiments=["detr_scenes", "vit_data"], recipes={"detr_scenes": changes}))
    assert as_it_is.list_fetched("detr_scenes", "baseline") == ["data/digit_scenes/manifest.json"]
    assert asked.list_fetched("detr_scenes", "baseline") == []  # the user brings it along
    assert digest_experiment(asked, "detr_scenes") != digest_experiment(as_it_is, "detr_scenes")
    assert digest_experiment(asked, "vit_data") == digest_experiment(as_it_is, "vit_data")
    assert {run.arm for run in asked.detectors} == {"baseline"}


def test_results_below_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write to the results folder"):
        make_plan(changed(results=str(tmp_path / "file" / "results")))


def test_plan_enumerates_models_sizes_and_runs() -> None:
    asked = make_plan(changed(models=["swin_b", "pvt_tiny"], results="here"))
    assert asked.models == {"pvt": ("pvt_tiny",), "swin": ("swin_b",)}
    assert list(asked.sweep) == CONFIG["complexity"]["image_sizes"]
    runs = [run for run in asked.runs if run.experiment == "vit_resolution"]
    assert Run("vit_resolution", "pretrain", 0) in runs
    assert asked.list_start_weights("vit_resolution", "pretrain") == []
    start = asked.list_start_weights("vit_resolution", "bilinear_2d")
    assert start[1] == "here/training/vit_resolution/pretrain/seed1/weights.safetensors"
    assert len(start) == CONFIG["training"]["seeds"]
    assert asked.list_teacher_weights("deit_distillation", "hard")[0].startswith(
        "here/training/deit_distillation/convnet/"
    )


def test_an_experiment_is_run_at_the_scales_it_names() -> None:
    chosen = {run.experiment for run in make_plan(changed(scale="smoke", experiments="all")).runs}
    assert chosen == {"vit_resolution", "detr_scenes"}
    with pytest.raises(UserError, match="swin_windows is not run at the scale smoke, only at: laptop, gpu"):
        make_plan(changed(scale="smoke", experiments=["swin_windows"]))


def test_what_an_experiment_learns_from_is_fetched() -> None:
    there = make_plan(changed(scale="laptop"))
    assert there.list_fetched("vit_resolution", "pretrain") == []
    mirror = {"root": "my data", "mirror": "a folder", "offline": True}
    asked = make_plan(changed(scale="gpu", experiments=["vit_resolution"], data=mirror))
    assert asked.list_fetched("vit_resolution", "pretrain") == ["my data/fashion_mnist/manifest.json"]
    for refused in ("https://user:secret@host", "s3://bucket"):
        with pytest.raises(UserError, match="mirror") as error:
            make_plan(changed(data={"mirror": refused}))
        assert "secret" not in str(error.value)
    with pytest.raises(UserError, match="did you mean 'mirror'"):
        make_plan(changed(data={"miror": ""}))
