"""The command `speed`: what is asked for is what is run, and what cannot be is one clear line."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from replication.__main__ import main
from replication.speed.condition import Condition
from replication.speed.run import run


def asked(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[Any, ...]:
    """What `run` is called with."""
    calls: list[tuple[Any, ...]] = []

    def listen(*call: Any) -> list[dict[str, Any]]:
        calls.append(call)
        return []

    monkeypatch.setattr(sys.modules[run.__module__], "run", listen)
    assert main(["speed", *arguments]) == 0
    return calls[0]


def cells(call: tuple[Any, ...]) -> list[tuple[str, Any]]:
    return [(cell.subject, cell.image_size) for cell in call[0]]


def test_every_model_at_every_size_else_at_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    both = asked(monkeypatch, "--models", "swin_t", "deit_s", "--image-sizes", "224", "384")
    assert cells(both) == [("swin_t", 224), ("swin_t", 384), ("deit_s", 224), ("deit_s", 384)]
    assert cells(asked(monkeypatch, "--models", "detr_r50", "swin_t")) == [("detr_r50", "800x1066"), ("swin_t", 224)]


def test_own_models_stand_behind_the_published(monkeypatch: pytest.MonkeyPatch) -> None:
    call = asked(monkeypatch, "--published", "--tables", "deit/table1", "--models", "mine=timm/convnext_tiny", "deit_b")
    assert cells(call) == [("deit_s", 224), ("deit_ti", 224), ("deit_b", 224), ("mine", 224)]


def test_the_condition_is_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    options = ["--precision", "bf16", "--attention", "fused", "--mode", "train", "--batch-size", "8"]
    _, condition, *_ = asked(monkeypatch, "--models", "swin_t", *options, "--compiled", "--channels-last")
    assert condition == Condition("cpu", "bf16", "fused", "train", 8, True, True)
    _, condition, *_ = asked(monkeypatch, "--models", "swin_t", "--device", "auto")
    assert condition.device == ("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--models swin_x --image-sizes 224", "unknown model 'swin_x'; did you mean 'swin_t'?"),
        ("--models swin_t vit_b16 --image-sizes 200", "swin_t takes image sizes that are positive multiples of 32 px"),
        ("--models swin_t --precision fp64", "unknown precision 'fp64'; did you mean 'fp16'?"),
        ("--models swin_t --precision tf32", "a cpu has no precision 'tf32'"),
        ("--models swin_t --attention flash", "unknown attention policy 'flash'; choose from fused, math"),
        ("--models swin_t --mode training", "unknown mode 'training'; did you mean 'train'?"),
        ("--models swin_t --blocks 1", "at least 2 blocks"),
        ("--models swin_t --memory swin_t", "--out"),
        ("--published --tables swin/tabel1a", "did you mean 'swin/table1a'?"),
        ("--image-sizes 224", "name models"),
    ],
)
def test_faults_are_one_line_before_anything_is_timed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: str, said: str
) -> None:
    monkeypatch.setattr(sys.modules[run.__module__], "time_blocks", lambda *args: pytest.fail("something was timed"))
    assert main(["speed", *arguments.split()]) == 2
    [line] = capsys.readouterr().err.strip().splitlines()
    assert said in line


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_cuda_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["speed", "--models", "swin_t", "--device", "cuda", "--out", str(tmp_path / "out")]) == 2
    assert "no GPU" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_batch_has_an_image(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["speed", "--models", "swin_t", "--batch-size", "0"])
    assert stop.value.code == 2
    assert "0 is not a whole number from 1 to 99999" in capsys.readouterr().err
