"""From a printed number to a filled cell: every command reaches the evaluator, and one goes the whole way."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image, ImageDraw

from replication import papers
from replication.__main__ import main, make_parser
from replication.evaluable import IMAGES, choose_preprocessing, describe_effort, explain_obstacle, find_worked_side
from replication.evaluation import Asked
from replication.evaluation.images import SIZES
from replication.fill import fill as module
from replication.fill.fill import locate_images, make_plan
from replication.models import build
from replication.papers.parts.weights import read_weights
from replication.records.card import Way
from replication.records.reading import read_records
from replication.records.rows import Evaluated, Published, Weight
from replication.released import check_digest
from replication.report.judge import judge_cells

EVERY = [
    (cell, table.ways[cell.name])
    for card in papers.read_cards().values()
    for table in card.tables
    for cell in table.published
    if cell.name in table.ways and table.ways[cell.name].kind == "evaluate"
]
FILLED = [
    (cell, way)
    for cell, way in EVERY
    if not explain_obstacle(
        read_weights()[way.weights],
        papers.list_variants().get(read_weights()[way.weights].model),
        cell.dataset,
        way.metric,
    )
]


def test_so_many_numbers_have_a_command() -> None:
    commands = {v.id for v in judge_cells([cell for cell, _ in EVERY], [], papers.read_cards()) if v.command}
    assert commands == {cell.id for cell, _ in FILLED}
    assert len(commands) >= 800


@pytest.mark.parametrize(("cell", "way"), FILLED, ids=[cell.id for cell, _ in FILLED])
def test_a_command_reaches_the_evaluator(
    cell: Published, way: Way, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the weights, the image size, the preprocessing and the images of its number, and with nothing else."""
    (verdict,) = judge_cells([cell], [], papers.read_cards())
    arguments = make_parser().parse_args(shlex.split(verdict.command)[3:])
    assert arguments.names == [cell.id]
    one, images = read_weights()[way.weights], locate_images(tmp_path)
    key = IMAGES[cell.dataset].key
    images[key].mkdir(parents=True)
    file = tmp_path / f"{one.id}.pth"
    for name in way.needed:
        (tmp_path / f"{name}.pth").touch()
    reached: list[Asked] = []
    monkeypatch.setattr(module, "fetch_weights", lambda *_: [])
    monkeypatch.setattr(module, "evaluate", lambda asked, *_: reached.extend(asked))
    monkeypatch.setattr(module, "render_filled_tables", lambda *_: [])
    said: list[str] = []
    module.fill(arguments.names, tmp_path, images, tmp_path / "results", said.append)
    assert said[0].startswith(f"{one.id} at {way.image_size} px on ")
    assert tuple(asked.weights for asked in reached) == way.needed
    asked = reached[0]
    assert (asked.model, asked.image_size, asked.weights) == (one.model, way.image_size, one.id)
    assert (asked.checkpoint, asked.images) == (file, images[key])
    assert asked.multi_scale == (way.metric == "miou_ms")
    last = f"{way.image_size}{'_ms' * asked.multi_scale}"
    assert asked.out == tmp_path / "results" / "evaluation" / one.id / key / last
    assert IMAGES[asked.dataset].key == key
    assert asked.dataset == cell.dataset or (asked.dataset, cell.dataset) == ("imagenet-1k", "imagenet-real")
    if one.task == "classification":
        said_by = choose_preprocessing(asked.variant, asked.image_size, one)
        assert one.crop in (None, said_by.ratio)
        assert one.interpolation in ("", said_by.interpolation)
        assert not one.mean or (one.mean == "half") == said_by.half


def test_preprocessing_is_that_of_the_publishers() -> None:
    """torchvision's ResNets are evaluated bilinear, timm's DeiT at a crop of 0.9, the authors' at 0.875."""
    for name, expected in {
        "resnet50_224": (0.875, "bilinear", False),
        "deit_s_224": (0.875, "bicubic", False),
        "deit_s_224_timm": (0.9, "bicubic", False),
        "tnt_s_224": (0.9, "bicubic", True),
        "efficientnet_b4_380": (0.922, "bicubic", False),
    }.items():
        one = read_weights()[name]
        said = choose_preprocessing(papers.find_variant(one.model), one.image_size, one)
        assert (said.ratio, said.interpolation, said.half) == expected, name


def test_a_table_is_planned_once_a_file() -> None:
    plan = make_plan(["pvt/table2"])
    assert len(plan.jobs) == len({job.record.id for job in plan.jobs}) == 13
    assert set(plan.left) == {f"the suite does not build t2t_vit_t_{depth}" for depth in (14, 19, 24)}


def test_a_multi_scale_test_takes_as_long_as_its_pixels() -> None:
    """Six scales and their mirror images have 2 (0.5^2 + 0.75^2 + 1 + 1.25^2 + 1.5^2 + 1.75^2) = 17.4 times as many."""
    assert find_worked_side(512, False) == 512
    assert find_worked_side(512, True) ** 2 / 512**2 == pytest.approx(17.375, rel=1e-3)
    one = read_weights()["upernet_swin_t_512"]
    hours = []
    for multi_scale in (False, True):
        said = describe_effort([(one, "ade20k", find_worked_side(512, multi_scale))])
        (found,) = re.findall(r"([\d.]+) h on two cores", said)
        hours.append(float(found))
    assert hours[1] / hours[0] == pytest.approx(17.375, rel=0.02)


@pytest.fixture
def standing_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three classes of four drawings, taken for ImageNet's validation images, below `data`."""
    monkeypatch.setitem(SIZES, "imagenet-1k", (3, 12))
    for index in range(12):
        path = tmp_path / "data" / "imagenet_1k" / "val" / f"n0000000{index // 4}" / f"{index}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", (300, 260), (40 * (index // 4), 90, 20 * index))
        ImageDraw.Draw(image).ellipse((20 * (index % 4), 30, 200, 220), fill=(250, 60 * (index // 4), 30))
        image.save(path)
    return tmp_path


@pytest.fixture
def release(standing_in: Path) -> Path:
    """PVT-Tiny as its authors call the file, with random weights, for three classes."""
    torch.manual_seed(0)
    folder = standing_in / "release"
    folder.mkdir()
    torch.save(build("pvt_tiny", num_classes=3).state_dict(), folder / "pvt_tiny.pth")
    return folder


def call(folder: Path, *options: str) -> int:
    given = ["fill", "pvt/readme_classification/pvt-tiny-224", "--data", f"{folder}/data"]
    places = ["--checkpoints", f"{folder}/weights", "--out", f"{folder}/results"]
    return main([*given, *places, "--mirror", f"file://{folder}/release", "--offline", "--device", "cpu", *options])


@pytest.mark.slow
def test_the_whole_way(release: Path, standing_in: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(standing_in, "--plan") == 0
    planned = capsys.readouterr().out
    assert planned.startswith(
        "pvt_tiny_224 at 224 px on imagenet-1k: to fetch; Apache-2.0 (recalled)\n1 number by 1 evaluation: "
    )
    assert not (standing_in / "weights").exists()
    assert call(standing_in) == 0
    said = capsys.readouterr().out
    assert "pvt_tiny_224 is pvt_tiny.pth" in said
    assert "no digest is published: its own is kept in digests.json" in said
    (row,) = (line for line in said.splitlines() if line.startswith("| PVT-Tiny"))
    assert "75.1 / " in row
    assert (standing_in / "results/evaluation/pvt_tiny_224/imagenet/224/answers.npz").is_file()
    assert call(standing_in) == 0  # nothing is done twice
    said = capsys.readouterr().out
    assert "lies there as pvt_tiny.pth" in said
    assert "evaluation/pvt_tiny_224/imagenet/224 is there" in said


def wrong(path: Path) -> None:
    torch.save(build("pvt_small", num_classes=3).state_dict(), path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5000])


def pickled(path: Path) -> None:
    torch.save({"state_dict": {}, "harm": check_digest}, path)  # a function: only code could read it


def page(path: Path) -> None:
    path.write_text("<!doctype html><title>Google Drive - Virus scan warning</title>")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (wrong, "does not fit"),
        (cut, "what came is cut off"),
        (pickled, "weights"),
        (page, "a page of HTML came instead of the file; open the address in a browser"),
    ],
)
def test_bad_weights_are_one_line_and_leave_no_result(
    release: Path, standing_in: Path, capsys: pytest.CaptureFixture[str], damage: Any, message: str
) -> None:
    damage(release / "pvt_tiny.pth")
    assert call(standing_in) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert message in line
    assert not list(standing_in.rglob("evaluation.csv"))


def test_a_published_digest_stops_other_weights(
    release: Path, standing_in: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = hashlib.sha256((release / "pvt_tiny.pth").read_bytes()).hexdigest()
    known: dict[str, Weight] = dict(read_weights())
    (release / "deit_tiny_patch16_224-a1311bcf.pth").write_bytes((release / "pvt_tiny.pth").read_bytes())
    places = ["--checkpoints", f"{standing_in}/weights", "--mirror", f"{release}", "--offline"]
    assert main(["fetch", "--weights", "deit_ti_224", *places]) == 2
    assert f"its SHA-256 begins with {digest[:8]}, not with {known['deit_ti_224'].sha256}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--images-folder", "nowhere"), "there is no folder nowhere with the images"),
        (("--device", "cuda"), "PyTorch sees no GPU here"),
    ],
)
def test_what_is_not_there_is_one_line_before_anything_is_fetched(
    release: Path, standing_in: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    if torch.cuda.is_available() and "cuda" in options:
        pytest.skip("there is a GPU")
    assert call(standing_in, *options) == 2
    assert message in capsys.readouterr().err
    assert not (standing_in / "weights").exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("pvt/tabel2", "did you mean 'pvt/table2'?"),
        ("msg/final_imagenet", "published weights fill no number of msg/final_imagenet: none stand for one"),
        ("detr/table5", "the suite does not build detr_panoptic_"),
    ],
)
def test_what_cannot_be_filled_says_why(name: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fill", name, "--plan"]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("option", [("--images", "4"), ("--precision", "bf16")])
def test_a_detector_takes_all_images_in_full_precision(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """And says so before anything is planned or fetched."""
    assert main(["fill", "detr/table1", *option]) != 0
    said = capsys.readouterr()
    assert not said.out
    assert "are for classifiers; detr_" in said.err


@pytest.mark.slow
def test_several_weights_are_evaluated_by_their_names(release: Path, standing_in: Path) -> None:
    """As the workflow does: images are read once, and each has a folder of its own."""
    torch.save(build("deit_ti", num_classes=3).state_dict(), release / "deit_ti_224.pth")
    names = ["pvt_tiny_224/imagenet/224", "deit_ti_224/imagenet/224"]
    places = ["--images", f"{standing_in}/data/imagenet_1k/val", "--out", f"{standing_in}/out", "--device", "cpu"]
    assert main(["evaluations", "--names", *names, "--checkpoints", str(release), *places]) == 0
    for name in names:
        (row, *_) = read_records(standing_in / "out" / name / "evaluation.csv", Evaluated)
        assert (row.weights, row.image_size, row.n) == (name.partition("/")[0], 224, 12)
