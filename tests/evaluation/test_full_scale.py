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

from replication.config import ROOT, Evaluation, plan
from replication.records import UserError


def full(checkpoints: Path, **changes: Any) -> dict[str, Any]:
    """The shipped configuration of the full scale, on other folders."""
    config: dict[str, Any] = {}
    for name in ("config", "full"):
        config |= yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    return {**config, "evaluation": {"imagenet": "val", "coco": "coco", "checkpoints": str(checkpoints)}, **changes}


def test_one_evaluation_for_each_checkpoint(tmp_path: Path) -> None:
    assert plan(full(tmp_path)).evaluations == ()
    for name in ("vit_small_16_224.npz", "swin_b_384.pth", "detr_r50_800.pth", "README.md"):
        (tmp_path / name).touch()
    assert plan(full(tmp_path)).evaluations == (
        Evaluation("detr_r50", 800, f"{tmp_path}/detr_r50_800.pth"),
        Evaluation("swin_b", 384, f"{tmp_path}/swin_b_384.pth"),
        Evaluation("vit_small_16", 224, f"{tmp_path}/vit_small_16_224.npz"),
    )
    assert plan(full(tmp_path)).runs == ()  # trains nothing


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["swin_b.pth"], "is called <model id>_<image size>.pth"),
        (["detr_r50_800x1066.pth"], "with the short side of a detector's images, detr_r50_800.pth"),
        (["swim_b_224.pth"], "unknown model 'swim_b'; did you mean 'swin_b'?"),
        (["swin_b_224.pth", "swin_b_224.safetensors"], "are of one model at one size"),
    ],
)
def test_other_names_are_refused(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UserError) as error:
        plan(full(tmp_path))
    assert message in str(error.value)


def test_coco_is_named_where_there_is_a_detector(tmp_path: Path) -> None:
    config = full(tmp_path, evaluation={"imagenet": "val", "checkpoints": str(tmp_path)})
    (tmp_path / "swin_b_384.pth").touch()
    assert len(plan(config).evaluations) == 1
    (tmp_path / "detr_r50_800.pth").touch()
    with pytest.raises(UserError) as error:
        plan(config)
    assert str(error.value) == "detr_r50 is evaluated on COCO; set `evaluation.coco` to the folder of COCO 2017"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workflow with its package, beside two checkpoints, a folder that is not ImageNet, and none that is COCO."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("replication", "workflow", "config", "profiles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "Snakefile", folder)
    (folder / "my weights").mkdir()
    for name in ("deit_ti_224.pth", "detr_r50_800.pth"):
        (folder / "my weights" / name).touch()
    (folder / "my images" / "cat").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "my images" / "cat" / "1.png")
    return folder


def snakemake(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--configfile", "config/full.yaml"]
    folders = "evaluation={imagenet: my images, checkpoints: my weights}"
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [*command, "--config", folders, *arguments], cwd=clone, env=environment, capture_output=True, text=True
    )


def test_what_is_collected_includes_the_evaluations(clone: Path) -> None:
    done = snakemake(clone, "--dry-run", "--", "results/full/verdicts.csv")
    assert done.returncode == 0, done.stderr
    planned = done.stdout + done.stderr
    assert "rule evaluate:" in planned
    assert "rule training:" not in planned
    (collect,) = (line for line in planned.splitlines() if "output: results/full/measured.csv" in line)
    inputs = planned.splitlines()[planned.splitlines().index(collect) - 1]
    assert "results/full/evaluation/deit_ti/224/evaluation.csv" in inputs
    assert "results/full/evaluation/detr_r50/800/evaluation.csv" in inputs


def test_a_missing_checkpoint_is_named(clone: Path) -> None:
    done = snakemake(clone, "--dry-run", "--", "results/full/evaluation/swin_t/224/evaluation.csv")
    assert done.returncode != 0
    assert "my weights/swin_t_224.pth" in done.stdout + done.stderr


def test_a_folder_that_is_not_imagenet_stops_the_job(clone: Path) -> None:
    done = snakemake(clone, "--", "results/full/evaluation/deit_ti/224/evaluation.csv")
    assert done.returncode != 0
    assert "my images is not imagenet-1k: expected 1000 class folders with 50,000 images in all, found 1 with 1" in (
        done.stdout + done.stderr
    )


def test_a_folder_that_is_not_coco_stops_the_job_of_a_detector(clone: Path) -> None:
    done = snakemake(clone, "--", "results/full/evaluation/detr_r50/800/evaluation.csv")
    assert done.returncode != 0
    assert "no data set at data/coco_2017; " in done.stdout + done.stderr
