"""The scale `full`: what the folder of checkpoints asks for, and how the workflow says what is missing."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from replication import papers
from replication.papers.parts.weights import read_weights
from replication.plan.digests import digest_images, digest_weights
from replication.plan.evaluations import find_evaluation, group_evaluations
from replication.plan.make import make_plan
from replication.records.rows import Weight
from replication.records.words import UserError
from replication.released import SUFFIXES, Evaluation, find_evaluations, find_named

ROOT = Path(__file__).resolve().parents[2]


def full(checkpoints: Path, **changes: Any) -> dict[str, Any]:
    """The shipped configuration of the full scale, on other folders."""
    config: dict[str, Any] = {}
    for name in ("config", "full"):
        config |= yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    return {**config, "evaluation": {"imagenet": "val", "coco": "coco", "checkpoints": str(checkpoints)}, **changes}


def test_one_evaluation_for_each_checkpoint(tmp_path: Path) -> None:
    for name in ("vit_small_16_224.npz", "swin_b_384.pth", "detr_r50_800.pth", "README.md"):
        (tmp_path / name).touch()
    assert make_plan(full(tmp_path)).evaluations == (
        Evaluation("detr_r50_800", "detr_r50", "coco", 800, f"{tmp_path}/detr_r50_800.pth"),
        Evaluation("swin_b_384", "swin_b", "imagenet", 384, f"{tmp_path}/swin_b_384.pth"),
        Evaluation("vit_small_16_224", "vit_small_16", "imagenet", 224, f"{tmp_path}/vit_small_16_224.npz"),
    )
    assert make_plan(full(tmp_path)).runs == ()  # trains nothing


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".PTH", ".Pth.TAR"])
def test_every_suffix_of_weights_is_taken(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"swin_b_384{suffix}"
    path.touch()
    asked = make_plan(full(tmp_path))
    assert asked.evaluations == (Evaluation("swin_b_384", "swin_b", "imagenet", 384, str(path)),)
    assert asked.notes == ()
    assert find_evaluation(full(tmp_path), "swin_b_384/imagenet/384").checkpoint == str(path)


AUTHORS = [
    (name, one)
    for one in read_weights().values()
    for name in one.called.split()
    if one.task == "classification"
    if not one.obstacle and one.model in papers.list_variants() and "pretrained" not in one.id
]


@pytest.mark.parametrize(("name", "one"), AUTHORS, ids=[f"{one.id}-{name}" for name, one in AUTHORS])
def test_the_authors_names_are_known(tmp_path: Path, name: str, one: Weight) -> None:
    """Each is of the model of its record, at least at its own size, and beside others of the same file."""
    (tmp_path / name).touch()
    asked, notes = find_evaluations(tmp_path, ("imagenet",))
    assert notes == ()
    assert (one.id, one.model, one.image_size) in {(e.weights, e.model, e.image_size) for e in asked}
    assert {e.checkpoint for e in asked} == {str(tmp_path / name)}


def test_two_weights_of_one_model_at_one_size_live_side_by_side(tmp_path: Path) -> None:
    for name in ("swin_base_patch4_window7_224.pth", "swin_base_patch4_window7_224_22kto1k.pth"):
        (tmp_path / name).touch()
    assert [(e.weights, e.model, e.image_size) for e in make_plan(full(tmp_path)).evaluations] == [
        ("swin_b_224", "swin_b", 224),
        ("swin_b_224_in22k", "swin_b", 224),
    ]


def test_weights_are_evaluated_where_printed_numbers_ask_for_them(tmp_path: Path) -> None:
    """CPVT's Table 2 prints DeiT-Ti at sizes that it was not trained at; timm prints it with another preprocessing."""
    (tmp_path / "deit_tiny_patch16_224-a1311bcf.pth").touch()
    assert {(e.weights, e.images, e.image_size) for e in make_plan(full(tmp_path)).evaluations} == {
        *(("deit_ti_224", "imagenet", size) for size in (224, 384, 448, 512)),
        ("deit_ti_224_timm", "imagenet", 224),
    }


def test_segmenters_are_evaluated_at_several_scales_where_numbers_are_of_these(tmp_path: Path) -> None:
    (tmp_path / "upernet_swin_t_512.pth").touch()
    config = full(tmp_path)
    config["evaluation"]["ade20k"] = "ade20k"
    asked = make_plan(config).evaluations
    assert [(one.name, one.image_size, one.multi_scale) for one in asked] == [
        ("upernet_swin_t_512/ade20k/512", 512, False),
        ("upernet_swin_t_512/ade20k/512_ms", 512, True),
    ]
    assert find_evaluation(config, "upernet_swin_t_512/ade20k/512_ms") == asked[1]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("swin_b.pth", "a checkpoint is a file called <model id>_<image size>.pth"),
        ("swin_b_².pth", "a checkpoint is a file called"),
        ("README.md", "a checkpoint is a file called"),
        ("detr_r50_800x1066.pth", "with the short side of a detector's images, detr_r50_800.pth"),
        ("swim_b_224.pth", "unknown model 'swim_b'; did you mean 'swin_b'?; a checkpoint is called <model id>"),
        ("os:system_224.pth", "unknown model 'os:system'"),
        ("swin_b_225.pth", "swin_b takes image sizes that are"),
        ("atss_swin_t_800.pth", "atss_swin_t cannot be evaluated on coco"),
        ("swin_mlp_base_patch4_window7_224.pth", "the suite does not build swin_mlp_b"),
        ("efficientnet_b3_rwightman-b3899882.pth", "it has torchvision's names of parameters, the suite builds timm's"),
    ],
)
def test_another_file_is_named_and_stops_nothing(tmp_path: Path, name: str, reason: str) -> None:
    for one in (name, "deit_s_224.pth", "._deit_s_224.pth", ".DS_Store"):
        (tmp_path / one).touch()
    asked = make_plan(full(tmp_path))
    assert {e.checkpoint for e in asked.evaluations} == {f"{tmp_path}/deit_s_224.pth"}
    (note,) = asked.notes
    assert note.startswith(f"{tmp_path}/{name} is not evaluated: ")
    assert reason in note


def test_two_files_of_the_same_weights_are_evaluated_once(tmp_path: Path) -> None:
    for name in ("deit_s_224.safetensors", "deit_small_patch16_224-cd65a155.pth"):
        (tmp_path / name).touch()
    asked = make_plan(full(tmp_path))
    assert {e.checkpoint for e in asked.evaluations} == {f"{tmp_path}/deit_s_224.safetensors"}
    (note,) = asked.notes
    assert note.endswith(f"is not evaluated: {tmp_path}/deit_s_224.safetensors is the same weights")


def test_a_folder_without_weights_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (note,) = make_plan(full(tmp_path)).notes
    assert note.startswith(
        f"no released weights are evaluated: {tmp_path} holds none; `python -m replication fetch --w"
    )
    (tmp_path / "deit_s_224.pth").touch()
    assert {e.checkpoint for e in make_plan(full(Path("~"))).evaluations} == {f"{tmp_path}/deit_s_224.pth"}
    for name in ("nowhere", "deit_s_224.pth"):
        asked = make_plan(full(Path("~") / name))
        assert asked.evaluations == ()
        (note,) = asked.notes
        assert f"{tmp_path}/{name}, is no folder" in note


def test_a_detector_needs_coco(tmp_path: Path) -> None:
    config = full(tmp_path, evaluation={"imagenet": "val", "checkpoints": str(tmp_path)})
    for name in ("swin_b_384.pth", "detr_r50_800.pth"):
        (tmp_path / name).touch()
    asked = make_plan(config)
    assert [one.model for one in asked.evaluations] == ["swin_b"]
    (note,) = asked.notes
    assert note.endswith(
        "detr_r50 needs the validation images of COCO 2017; set `evaluation.coco` to the folder that has them"
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow with its package, beside two checkpoints, a folder that is not ImageNet, and none that is COCO."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("replication", "workflow", "config", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", folder)
    (folder / "my weights").mkdir()
    for name in ("deit_ti_224.pth", "detr_r50_800.pth", "README"):
        (folder / "my weights" / name).touch()
    (folder / "my images" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "my images" / "cat" / "1.png")
    return folder


def snakemake(
    clone: Path, *arguments: str, commands: Path = Path(sys.executable).parent
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "config/full.yaml"]
    folders = "evaluation={imagenet: my images, checkpoints: my weights}"
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    return subprocess.run(
        [*command, "--config", folders, *arguments], cwd=clone, env=environment, capture_output=True, text=True
    )


@pytest.mark.slow
def test_what_is_collected_includes_the_evaluations(clone: Path) -> None:
    done = snakemake(clone, "--dry-run", "--", "results/full/verdicts.csv")
    assert done.returncode == 0, done.stderr
    planned = done.stdout + done.stderr
    assert "rule evaluate_deit_ti_224_imagenet_224:" in planned
    assert "rule evaluate:" not in planned
    assert "rule training:" not in planned
    assert planned.count("README is not evaluated: a checkpoint is a file called <model id>_<image size>.pth") == 1
    (collect,) = (line for line in planned.splitlines() if "output: results/full/measured.csv" in line)
    inputs = planned.splitlines()[planned.splitlines().index(collect) - 1]
    assert "results/full/evaluation/deit_ti_224/imagenet/224/evaluation.csv" in inputs
    assert "results/full/evaluation/detr_r50_800/coco/800/evaluation.csv" in inputs


@pytest.mark.slow
def test_a_missing_checkpoint_is_fetched_or_named(clone: Path) -> None:
    done = snakemake(clone, "--dry-run", "--", "results/full/evaluation/swin_t_224/imagenet/224/evaluation.csv")
    assert done.returncode == 0, done.stderr
    assert "rule fetch_weights:" in done.stdout + done.stderr
    done = snakemake(clone, "--dry-run", "--", "results/full/evaluation/mine_224/imagenet/224/evaluation.csv")
    assert done.returncode != 0
    assert "no weights mine_224 lie in my weights, and none are published of that name" in done.stdout + done.stderr


def test_classifiers_that_prepare_images_alike_are_one_job(tmp_path: Path) -> None:
    """DeiT's and PVT's images are cut alike; TNT's otherwise, and timm's DeiT; DETR is alone."""
    for name in ("deit_ti_224.pth", "deit_s_224.pth", "pvt_tiny_224.pth", "tnt_s_224.pth", "detr_r50_800.pth"):
        (tmp_path / name).touch()
    plan = make_plan(full(tmp_path))
    groups = group_evaluations(plan.evaluations)
    found = [{one.weights for one in group} for group in groups if group[0].image_size in (224, 800)]
    for together in (
        {"deit_ti_224", "deit_s_224", "pvt_tiny_224"},
        {"deit_ti_224_timm", "deit_s_224_timm"},
        {"tnt_s_224", "tnt_s_224_timm"},
        {"detr_r50_800"},
    ):
        assert together in found
    assert sorted(one.name for group in groups for one in group) == sorted(one.name for one in plan.evaluations)


def test_weights_that_a_configuration_names_are_fetched_and_evaluated(tmp_path: Path) -> None:
    (tmp_path / "deit_s_224.pth").touch()
    config = full(tmp_path)
    config["evaluation"]["weights"] = ["pvt/table2", "deit_s_224"]
    plan = make_plan(config)
    needed = {one.weights: plan.list_needed(one) for one in plan.evaluations}
    assert needed["deit_s_224"] == [f"{tmp_path}/deit_s_224.pth"]
    assert needed["pvt_small_224"] == [f"{tmp_path}/.fetched/pvt_small_224"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("deit_s_224/imagenet", "is not <weights>/<images>/<image size>"),
        ("deit_s_224/images/224", "is not <weights>/<images>/<image size>"),
        ("deit_s_224/imagenet/224", "no weights deit_s_224 lie in "),
        ("mine_224/imagenet/224", "no weights mine_224 lie in "),
    ],
)
def test_an_evaluation_that_is_none_is_named(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        find_named(tmp_path, name)


def test_an_evaluation_is_found_by_its_name(tmp_path: Path) -> None:
    """By the authors' name of a file, and by that of a file which no record has."""
    for name in ("deit_small_patch16_224-cd65a155.pth", "swin_b_384.safetensors", "vit_small_16_224.NPZ"):
        (tmp_path / name).touch()
    plan = make_plan(full(tmp_path))
    assert {find_named(tmp_path, one.name) for one in plan.evaluations} == set(plan.evaluations)


@pytest.mark.slow
def test_a_folder_that_is_not_imagenet_stops_the_job(clone: Path) -> None:
    done = snakemake(clone, "--", "results/full/evaluation/deit_ti_224/imagenet/224/evaluation.csv")
    assert done.returncode != 0
    assert "my images is not imagenet-1k: expected 1000 class folders with 50,000 images in all, found 1 with 1" in (
        done.stdout + done.stderr
    )


@pytest.mark.slow
def test_a_folder_that_is_not_coco_stops_the_job_of_a_detector(clone: Path) -> None:
    done = snakemake(clone, "--", "results/full/evaluation/detr_r50_800/coco/800/evaluation.csv")
    assert done.returncode != 0
    assert "no data set at data/coco_2017; " in done.stdout + done.stderr


@pytest.mark.slow
def test_other_bytes_under_an_old_name_and_an_old_time_are_evaluated_again(clone: Path) -> None:
    target, weights = "results/full/evaluation/deit_ti_224/imagenet/224/evaluation.csv", clone / "my weights"
    stub = clone / "bin" / "python"  # in the place of an evaluation of 50,000 images
    stub.parent.mkdir()
    stub.write_text(
        '#!/bin/sh\nwhile [ "$1" != --names ]; do shift; done\nname=$2\nwhile [ "$1" != --out ]; do shift; done\n'
        'touch "$2/$name/evaluation.csv" "$2/$name/evaluation.json"\n'
    )
    stub.chmod(0o755)
    os.utime(weights / "deit_ti_224.pth", (0, 0))
    done = snakemake(clone, "--", target, commands=stub.parent)
    assert done.returncode == 0, done.stderr
    assert "Nothing to be done" in snakemake(clone, "--dry-run", "--", target).stdout
    (weights / "deit_ti_224.pth").write_bytes(b"other")
    os.utime(weights / "deit_ti_224.pth", (0, 0))
    planned = snakemake(clone, "--dry-run", "--", target).stdout
    assert "rule evaluate_deit_ti_224_imagenet_224:" in planned
    assert "Params have changed since last execution" in planned


def test_weights_and_images_are_known_by_what_they_hold(tmp_path: Path) -> None:
    """An edit that leaves size and name, and an older copy, change what the evaluation is of; other parts do not."""
    weights, val, train = tmp_path / "w/deit_s_224.pth", tmp_path / "data/val/a.png", tmp_path / "data/train/b.png"
    for file in (weights, val, train):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"one")

    def known(of_detector: bool = True) -> tuple[str, str]:
        digest_weights.cache_clear()
        digest_images.cache_clear()
        return digest_weights(str(weights)), digest_images(str(tmp_path / "data"), of_detector)

    before, whole = known(), known(of_detector=False)
    train.write_bytes(b"two")
    assert known() == before
    assert known(of_detector=False) != whole
    for place, file in enumerate((weights, val)):
        file.write_bytes(b"two")
        os.utime(file, (0, 0))
        changed = known()
        assert [new != old for new, old in zip(changed, before, strict=True)] == [place == 0, place == 1]
        file.write_bytes(b"one")
        assert known() == before
    assert digest_images(str(tmp_path / "none"), False) == digest_weights(str(tmp_path / "none")) == ""
