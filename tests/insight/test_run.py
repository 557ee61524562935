"""A model taken apart, from its weights to its files."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from replication import data
from replication.__main__ import main
from replication.data import scenes
from replication.data.detection import Scenes, load_split
from replication.detection.average_precision import evaluate_file, format_results
from replication.insight import take_apart
from replication.insight.density import measure_density
from replication.insight.looks import find_looks
from replication.insight.predictions import predict_split
from replication.insight.run import UNITS
from replication.models.detr import Detr
from replication.papers.parts.recipe import resolve
from replication.records.card import Arm, Experiment, Variant
from replication.records.metrics import METRICS
from replication.records.store import hash_file, read_clock, write_manifest
from replication.records.words import UserError
from replication.training.engine import build

QUERIES = 6
EXPERIMENT = Experiment(
    id="tiny_scenes",
    question="",
    model=Variant(
        id="tiny_detr",
        label="",
        family="detr",
        factory="own/detr",
        architecture={"backbone": "small", "hidden_dim": 16, "num_heads": 2, "dim_feedforward": 8, "dropout": 0.0}
        | {"encoder_layers": 1, "decoder_layers": 2, "num_queries": QUERIES},
        task="detection",
        image_size=64,
        image_sizes_by=8,
        sized=False,
    ),
    recipe={"dataset": "digit_scenes", "image_size": 64, "task": "set_prediction", "epochs": 1, "batch_size": 4}
    | {"learning_rate": 1e-3, "warmup_epochs": 0, "weight_decay": 0.0, "label_smoothing": 0.0, "clip_norm": None},
    arms=(
        Arm("plain"),
        Arm("no_encoder", {"architecture": {"encoder_layers": 0}}),
        Arm("digits", {"dataset": "digits", "task": "classification"}),
    ),
    scales={"laptop": {}},
)
FILES = {"detection.csv", "predictions.json", "layers.csv", "classes.csv", "slots.csv", "attention.npz"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve scenes; among the four of `crowd` one has four objects."""
    folder = tmp_path_factory.mktemp("data")
    scenes.draw(folder / "digit_scenes", {"train": 2, "val": 1, "test": 5, "crowd": 4})
    return folder


def model_of(arm: str, root: Path) -> nn.Module:
    """A random model, sure that everything is a three."""
    recipe = resolve(EXPERIMENT, arm, "laptop")
    model = build(EXPERIMENT, arm, recipe, data.load(recipe.dataset, 64, root=root), seed=0)
    with torch.no_grad():
        model.class_embed.bias[3] += 9  # type: ignore[index, union-attr, operator]
    return model


def trained(arm: str, root: Path, folder: Path) -> Path:
    (folder / "seed2").mkdir(parents=True)
    safetensors.torch.save_file(model_of(arm, root).state_dict(), folder / "seed2" / "weights.safetensors")
    write_manifest(folder / "seed2" / "manifest.json", read_clock(), [folder / "seed2" / "weights.safetensors"])
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_units_are_of_known_metrics() -> None:
    assert {METRICS[name].kind for name in UNITS} == {"accuracy"}


def test_files_of_a_model_taken_apart(root: Path, tmp_path: Path) -> None:
    weights = trained("plain", root, tmp_path / "trained")
    take_apart(EXPERIMENT, "plain", [2], "laptop", weights, tmp_path / "out", root)
    out = tmp_path / "out" / "seed2"
    assert {path.name for path in out.iterdir()} == {*FILES, "crowd.csv", "manifest.json"}
    assert out.joinpath("manifest.json").stat().st_mtime_ns == max(path.stat().st_mtime_ns for path in out.iterdir())

    numbers = {row["metric"]: row for row in rows(out / "detection.csv")}
    # All is a three, so the slot says nothing of the class; and no image has as many objects as queries.
    assert set(UNITS) - set(numbers) <= {"slot_class", "found_full", "attention_inside"}
    for metric, row in numbers.items():
        assert (row["experiment"], row["arm"], row["seed"], row["dataset"]) == (
            *("tiny_scenes", "plain", "2", "digit_scenes"),
        )
        assert (row["unit"], row["n"]) == (UNITS[metric], "4" if metric.startswith("found") else "5")

    model, file = model_of("plain", root), scenes.locate_annotations(root / "digit_scenes", "test")
    assert isinstance(model, Detr)
    said = predict_split(model.eval(), load_split(root / "digit_scenes", "test", 64), batch=4)
    assert json.loads((out / "predictions.json").read_text()) == said.results

    layers = {(row["layer"], row["nms"]): row for row in rows(out / "layers.csv")}
    assert list(layers) == [("1", "no"), ("1", "yes"), ("2", "no"), ("2", "yes")]
    assert float(layers["2", "no"]["ap_box"]) == evaluate_file(file, out / "predictions.json")["ap_box"]

    objects = json.loads(file.read_text())["annotations"]
    classes = rows(out / "classes.csv")
    assert [row["name"] for row in classes] == [str(digit) for digit in range(10)]
    assert sum(int(row["objects"]) for row in classes) == len(objects)
    assert all((row["ap_box"] == "") == (row["objects"] == "0") for row in classes)

    slots = rows(out / "slots.csv")
    assert [row["query"] for row in slots] == [str(query) for query in range(QUERIES)] * 5
    assert {row["category_id"] for row in slots} == {"3"}
    assert [row["objects"] for row in rows(out / "crowd.csv")] == ["1", "2", "3", "4"]

    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["weights_sha256"] == hash_file(weights / "seed2" / "weights.safetensors")
    assert manifest["images_per_second"] > 0
    assert manifest["diagnosis"]  # of a random model


def test_results_repeat_to_the_byte(root: Path, tmp_path: Path) -> None:
    weights = trained("plain", root, tmp_path / "trained")
    for name in "ab":
        torch.rand(7)  # whatever happened in the process before
        take_apart(EXPERIMENT, "plain", [2], "laptop", weights, tmp_path / name, root)
    one, other = ({n: (tmp_path / name / "seed2" / n).read_bytes() for n in (*FILES, "crowd.csv")} for name in "ab")
    assert one == other


class Knows(nn.Module):
    """In place of the heads: two queries say where two objects are, whatever the image."""

    def __init__(self, boxes: torch.Tensor) -> None:
        super().__init__()
        self.boxes = boxes

    def forward(self, decoded: torch.Tensor) -> torch.Tensor:
        return self.boxes.expand(*decoded.shape[:2], *self.boxes.shape)


def knowing(root: Path, arm: str = "plain") -> tuple[Detr, Scenes, torch.Tensor, int]:
    """A model that finds the first two objects of one test image; the split, these boxes, and which image that is."""
    split = load_split(root / "digit_scenes", "test", 64)
    image = next(i for i, one in enumerate(split.images) if len(one.labels) > 1)
    true = split.images[image].target["boxes"][:2]
    model = model_of(arm, root)
    assert isinstance(model, Detr)
    far = torch.tensor([[0.5, 0.5, 0.01, 0.01]]).repeat(QUERIES - 2, 1)
    model.bbox_embed = Knows(torch.cat([true, far]))  # type: ignore[assignment]
    return model.eval(), split, true, image


def test_examples_are_of_scenes_with_two_objects_found(root: Path) -> None:
    model, split, true, image = knowing(root)
    looks = find_looks(model, split)
    found = looks.examples
    assert set(found) == {
        f"{name}_0" for name in ("image", "boxes", "classes", "truths", "decoder", "points", "encoder")
    }
    assert split.pixels is not None
    assert (found["image_0"] == split.pixels[image, 0].numpy()).all()
    centres = 64 * true[:, :2].numpy()
    np.testing.assert_allclose(found["points_0"], centres, rtol=1e-6)
    np.testing.assert_allclose((found["boxes_0"][:, :2] + found["boxes_0"][:, 2:]) / 2, centres, rtol=1e-5)
    assert found["classes_0"].tolist() == [3, 3]
    assert found["truths_0"].tolist() == split.images[image].labels[:2].tolist()
    for name in ("decoder_0", "encoder_0"):
        assert found[name].shape == (2, 8, 8)
        np.testing.assert_allclose(found[name].sum((1, 2)), 1, rtol=1e-5)
    assert set(looks.numbers) == {"attention_inside", "encoder_attention_own"}
    densities = measure_density(*(torch.from_numpy(array) for array in (found["decoder_0"], found["boxes_0"] / 64)))
    assert looks.numbers["attention_inside"] == pytest.approx(densities.mean().item(), rel=1e-5)  # none found elsewhere
    in_company = sum(len(one.labels) for one in split.images if len(one.labels) > 1)
    assert len(looks.own) == len(looks.others) == in_company

    with zipfile.ZipFile(io.BytesIO(looks.archive)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}  # the format's first
    with np.load(io.BytesIO(looks.archive)) as read:
        assert all((read[name] == array).all() for name, array in found.items())


def test_a_model_without_an_encoder_tells_only_of_its_decoder(root: Path) -> None:
    model, split, _, _ = knowing(root, "no_encoder")
    looks = find_looks(model, split)
    assert "decoder_0" in looks.examples
    assert "encoder_0" not in looks.examples
    assert set(looks.numbers) == {"attention_inside"}


def test_predictions_do_not_depend_on_the_batches(root: Path) -> None:
    model, split = model_of("plain", root), load_split(root / "digit_scenes", "test", 64)
    assert isinstance(model, Detr)
    one, other = (predict_split(model.eval(), split, batch) for batch in (1, 4))
    torch.testing.assert_close(one.boxes_cxcywh, other.boxes_cxcywh)
    assert one.boxes_cxcywh.shape == (len(split), QUERIES, 4)
    ids = [image_id for image_id in split.image_ids for _ in range(QUERIES)]
    for layer in (*one.layers, *other.layers):
        assert [result["image_id"] for result in layer] == ids
    assert len(one.layers) == len(other.layers) == 2
    with torch.no_grad():
        ((images, targets),) = split.read_batches([torch.arange(len(split))], seed=0)
        outputs = model(images)
    sizes = torch.stack([target["size"] for target in targets.objects])
    for layer, expected in zip(one.layers, (*outputs["aux_outputs"], outputs), strict=True):
        scores = [result["score"] for result in format_results(expected, split.image_ids, sizes)]
        assert [result["score"] for result in layer] == pytest.approx(scores, rel=1e-4)


def test_no_crowds_no_file(root: Path, tmp_path: Path) -> None:
    scenes.draw(tmp_path / "data" / "digit_scenes", {"train": 1, "val": 1, "test": 2})
    weights = trained("plain", root, tmp_path / "trained")
    take_apart(EXPERIMENT, "plain", [2], "laptop", weights, tmp_path / "out", tmp_path / "data")
    assert {path.name for path in (tmp_path / "out" / "seed2").iterdir()} == {*FILES, "manifest.json"}
    assert not [row for row in rows(tmp_path / "out" / "seed2" / "detection.csv") if row["metric"].startswith("found")]


def test_only_set_predictors_with_weights_are_taken_apart(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="tiny_scenes/digits is trained for classification; only an arm of set_pred"):
        take_apart(EXPERIMENT, "digits", [0], "laptop", tmp_path, tmp_path / "out", root)
    with pytest.raises(UserError, match=r"there are no weights at .*seed5"):
        take_apart(EXPERIMENT, "plain", [5], "laptop", tmp_path, tmp_path / "out", root)
    assert not list((tmp_path / "out").rglob("*.*"))


def test_the_command_names_what_it_cannot_take_apart(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    where = ["--seeds", "0", "--scale", "smoke", "--weights", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["insight", "--experiment", "vit_resolution", "--arm", "pretrain", *where]) == 2
    assert "vit_resolution/pretrain is trained for classification" in capsys.readouterr().err
