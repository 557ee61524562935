"""Measured memory: true to the count, and a row for every cell that cannot be measured."""

import csv
import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from replication import papers
from replication.complexity.memory import count_peak
from replication.records.rows import MemoryCell, list_columns
from replication.records.words import UserError
from replication.speed import memory
from replication.speed.memory import Cell, measure_cell, write_memory
from replication.speed.onednn import ConvolutionCopies

CELL = Cell("deit_ti", 224, 2, "train", "math", "cpu")
MIB = 2**20


def row(**changes: object) -> dict[str, object]:
    cell = dataclasses.replace(CELL, **changes)  # type: ignore[arg-type]
    return vars(measure_cell(papers.find_variant(cell.subject), cell))


@pytest.mark.slow
def test_measured_rise_is_what_shapes_say() -> None:
    measured = row()
    assert measured["status"] == "measured"
    assert int(str(measured["measured"])) > 50 * MIB
    assert measured["difference"] == pytest.approx(0, abs=2)


def test_csv_has_a_row_for_every_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector is not trained here, a size need not fit; and neither stops the others."""
    monkeypatch.setattr(memory, "_run_in_fresh_process", lambda cell: {"measured": 1000, "status": "measured"})
    monkeypatch.setattr(memory, "read_available", lambda: 10**12)
    write_memory(["deit_ti", "detr_r50"], 96, 1, ["infer", "train"], ["math"], tmp_path / "memory.csv")
    with (tmp_path / "memory.csv").open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [(r["subject"], r["mode"], r["status"], r["reason"]) for r in reader]
    assert list(reader.fieldnames or ()) == list(list_columns(MemoryCell))
    assert rows == [
        ("deit_ti", "infer", "measured", ""),
        ("deit_ti", "train", "measured", ""),
        ("detr_r50", "infer", "measured", ""),
        ("detr_r50", "train", "not supported", "no training step for detection here"),
    ]
    assert (tmp_path / "memory.json").exists()


def test_size_that_does_not_fit_the_model_says_which_do() -> None:
    refused = row(image_size=100)
    assert refused["status"] == "not supported"
    assert "deit_ti takes image sizes that are positive multiples of 16 px, not 100" in str(refused["reason"])


def test_rectangular_images_are_predicted_as_the_square_of_as_many_pixels() -> None:
    """Sides in multiples of 128 px, so that no grid of a ResNet is cut."""
    rise = [
        memory.predict(papers.find_variant("resnet50"), Cell("resnet50", size, 2, "infer", "math", "cpu"))[0]
        for size in (512, "256x1024")
    ]
    assert rise[0] == rise[1]


def test_cell_larger_than_the_machine_is_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "read_available", lambda: 10**6)
    refused = row()
    assert (refused["status"], refused.get("measured")) == ("too large", None)
    assert "1000000 are available" in str(refused["reason"])


def exhausted(cell: Cell) -> dict[str, int]:
    torch.empty(2**60, dtype=torch.uint8)
    return {}


def killed(cell: Cell) -> dict[str, int]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def crashed(cell: Cell) -> dict[str, int]:
    os.kill(os.getpid(), signal.SIGSEGV)
    return {}


def broken(cell: Cell) -> dict[str, int]:
    raise ValueError("no such thing\nand more")


def gone(cell: Cell) -> dict[str, int]:
    os._exit(3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("measure", "status", "reason"),
    [
        (exhausted, "out of memory", "can't allocate memory"),
        (killed, "out of memory", "killed"),
        (crashed, "failed", "SIGSEGV"),
        (broken, "failed", "ValueError: no such thing"),
        (gone, "failed", "status 3"),
    ],
)
def test_process_that_fails_or_is_killed_is_a_row(measure: Callable[[Cell], dict], status: str, reason: str) -> None:
    answer = memory._run_in_fresh_process(CELL, measure)
    assert answer["status"] == status
    assert reason in answer["reason"]
    assert "\n" not in answer["reason"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_ids": ["deit_tiny"]}, "unknown model 'deit_tiny'; did you mean"),
        ({"modes": ["trian"]}, "unknown mode 'trian'; did you mean 'train'"),
        ({"attentions": ["fuse"]}, "unknown attention policy 'fuse'; did you mean 'fused'"),
        ({"batch_size": 0}, "at least one image, not 0"),
    ],
)
def test_what_the_user_can_mend_is_one_line(changes: dict, message: str, tmp_path: Path) -> None:
    cells = {"model_ids": ["deit_ti"], "image_size": 224, "batch_size": 1, "modes": ["infer"], "attentions": ["math"]}
    with pytest.raises(UserError, match=message):
        write_memory(**cells | changes, out=tmp_path / "memory.csv")


def test_without_proc_memory_is_predicted_and_the_row_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PROC", Path("/nowhere"))
    assert memory.read_available() > 0
    answer = row()
    assert answer["predicted"]
    assert (answer["status"], answer.get("measured")) == ("not supported", None)
    assert "measure on Linux" in str(answer["reason"])


# --- the copies of convolutions ---------------------------------------------------------------------

B, C, K, SIDE = 2, 20, 40, 8  # images, channels in and out, pixels a side


def peak(channels: int, layout: torch.memory_format, training: bool, block: int) -> int:
    """Of one 1 x 1 convolution, in numbers beside the images and the weights."""
    x = torch.empty(B, channels, SIDE, SIDE, device="meta", requires_grad=training).contiguous(memory_format=layout)
    weight = torch.empty(K, channels, 1, 1, device="meta", requires_grad=training)

    def step() -> None:
        with ConvolutionCopies(block):
            y = functional.conv2d(x, weight)
            if training:
                y.backward(gradient)

    gradient = torch.empty(B, K, SIDE, SIDE, device="meta") if training else torch.empty(0, device="meta")
    held = x.numel() + weight.numel() + gradient.numel()
    return count_peak(step, [x, weight, gradient], "train" if training else "infer") // 4 - held


def test_convolution_copies_images_into_blocks_of_channels_and_results_out_of_them() -> None:
    pixels, weights = B * SIDE**2, C * K
    assert peak(C, torch.contiguous_format, False, block=16) == pixels * 48 + max(pixels * 32 + weights, pixels * K)
    assert peak(C, torch.contiguous_format, False, block=8) == pixels * 40 + max(pixels * 24 + weights, pixels * K)
    assert peak(3, torch.contiguous_format, False, block=16) == pixels * 48 + pixels * K  # the image is taken as it is


def test_channels_last_images_and_unknown_processors_copy_none() -> None:
    pixels, weights = B * SIDE**2, C * K
    assert peak(C, torch.channels_last, False, block=16) == pixels * K + weights
    assert peak(C, torch.contiguous_format, False, block=0) == pixels * K


def test_with_channels_last_images_the_weights_and_their_gradient_are_made_in_blocks() -> None:
    """Alive in backward beside them: the result, and the gradient of the weights."""
    x = torch.empty(2, 64, 2, 2, device="meta").contiguous(memory_format=torch.channels_last)
    weight = torch.empty(64, 64, 1, 1, device="meta", requires_grad=True)
    gradient = torch.empty(2, 64, 2, 2, device="meta")

    def step() -> None:
        with ConvolutionCopies(16):
            functional.conv2d(x, weight).backward(gradient)

    held = x.nbytes + weight.nbytes + gradient.nbytes
    assert (
        count_peak(step, [x, weight, gradient], "train") - held == gradient.nbytes + weight.nbytes + 2 * weight.nbytes
    )


@pytest.mark.parametrize(
    ("channels", "groups", "copied"),
    [
        (168, 3, 168),  # RegNetY-8GF: 56 channels a group are seven blocks of 8
        (96, 3, 96),  # 32 a group are two blocks of 16
        (24, 24, 32),  # one a group: all channels together in blocks of 16
    ],
)
def test_a_group_of_several_channels_is_whole_blocks(channels: int, groups: int, copied: int) -> None:
    x = torch.empty(B, channels, SIDE, SIDE, device="meta")
    weight = torch.empty(channels, channels // groups, 3, 3, device="meta")

    def step() -> None:
        with ConvolutionCopies(16):
            functional.conv2d(x, weight, padding=1, groups=groups)

    peak = count_peak(step, [x, weight], "infer") // 4 - x.numel() - weight.numel()
    assert peak == 2 * copied * B * SIDE**2 + weight.numel()  # images, results, weights


def test_backward_of_a_convolution_copies_images_and_both_gradients() -> None:
    pixels, weights = B * SIDE**2, C * K
    gradients, result = pixels * C + weights, pixels * K
    copies = pixels * 32 + pixels * 48 + weights
    assert peak(C, torch.contiguous_format, True, block=16) == gradients + result + copies
