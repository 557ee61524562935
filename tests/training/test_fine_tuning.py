"""Fine-tuning of published weights: what each printed number's command reaches, and the whole way on a stand-in."""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from replication import data, papers, released
from replication.__main__ import main
from replication.data import small
from replication.data.preprocessing import choose_statistics, make_preprocessing
from replication.data_sources import count_learned, find_usual_name
from replication.models import build_variant
from replication.papers.parts.fine_tuning import make_arms, make_fine_tuning, publish
from replication.papers.parts.recipe import resolve
from replication.papers.parts.transcript import parse_tables
from replication.papers.parts.weights import find_weight, read_weights
from replication.plan import options
from replication.plan.make import make_plan
from replication.plan.plan import Plan
from replication.records.card import Arm, Experiment, Way, find_published
from replication.records.reading import read_records
from replication.records.rows import Measured, Published, Run, Verdict
from replication.records.words import UserError
from replication.report.accuracies import Accuracies
from replication.training import engine
from tests.training.conftest import TINY

FULL = [
    (experiment, arm)
    for _, experiment in papers.list_experiments().values()
    if "full" in experiment.scales
    for arm in experiment.arms
    if experiment.find_origin(arm.id) or arm.start_from
]
TUNED = [
    (cell, way)
    for card in papers.read_cards().values()
    for table in card.tables
    for cell in table.published
    if (way := table.ways.get(cell.name)) and way.experiment
]


class ReachedError(Exception):
    """Raised where a training would read its images."""


@functools.cache
def judges() -> Accuracies:
    return Accuracies({}, papers.read_cards())


@functools.cache
def plan() -> Plan:
    """All experiments that fine-tune, at once."""
    experiments = sorted({experiment.id for experiment, _ in FULL} | {way.experiment for _, way in TUNED})
    return make_plan({"scale": "full", "results": "results/full", "experiments": experiments})


@pytest.mark.parametrize(("cell", "way"), TUNED, ids=[cell.id for cell, _ in TUNED])
def test_every_command_is_of_an_arm_of_the_right_model_size_data_and_weights(cell: Published, way: Way) -> None:
    measured, verdict, _, command, _ = judges().judge(cell)
    found = re.search(r"experiments=\[(\w+)/?(\w*)\]'", command)
    if cell.dataset == "vtab-1k" and cell.metric == "top1_std":
        assert not found  # the deviation of a mean over tasks follows from none of them
        return
    assert found
    assert (verdict, measured) == (way.kind, None)
    experiment = papers.find_experiment(found[1])
    arms = [found[2]] if found[2] else [arm.id for arm in experiment.arms]
    assert len(arms) == (1 if found[2] else 19)
    for name in arms:
        assert f"{found[1]}/{name}" in plan().list_arms(plan().runs)
        recipe = plan().resolve_recipe(found[1], name)
        assert (experiment.choose_variant(name).id, recipe.image_size) == (cell.model, way.image_size)
        learned = {"imagenet-real": "imagenet-1k", "imagenet-v2": "imagenet-1k"}.get(cell.dataset, cell.dataset)
        assert find_usual_name(recipe.dataset) == learned or (cell.dataset == "vtab-1k" and "vtab" in recipe.dataset)
        assert experiment.find_origin(name) == way.weights


@pytest.mark.parametrize(("experiment", "arm"), FULL, ids=[f"{one.id}/{arm.id}" for one, arm in FULL])
def test_every_arm_reaches_its_training_with_the_right_file_and_preprocessing(
    experiment: Experiment, arm: Arm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command that the workflow runs, up to where images are read."""
    given: dict[str, Any] = {}

    def load(*arguments: Any) -> None:
        given["images"] = arguments
        raise ReachedError

    def run_arm(*arguments: Any) -> list[Path]:
        given["start"] = arguments[6]
        return original(*arguments)

    original = engine.run_arm
    monkeypatch.setattr(data, "load", load)
    monkeypatch.setattr(engine, "run_arm", run_arm)
    origin = experiment.find_origin(arm.id)
    folder = tmp_path / "checkpoints"
    here = replace(plan(), results=f"{tmp_path}/r", checkpoints=str(folder))
    folder.mkdir()
    for name in {origin, arm.teacher.removeprefix("weights:")} - {""}:
        (folder / f"{name}.npz").touch()
    for trained in here.list_weights(experiment.id, "" if find_published(arm.start_from) else arm.start_from):
        Path(trained).parent.mkdir(parents=True)
        Path(trained).touch()
    words = options.write_arm_options(here, experiment.id, arm.id).split()
    asked = ["--experiment", experiment.id, "--arm", arm.id, "--seeds", "0", "--scale", "full", "--device", "cpu"]
    with pytest.raises(ReachedError):
        main(["training", *asked, *words, "--data", str(tmp_path), "--out", f"{tmp_path}/o"])
    if arm.start_from.startswith("weights:"):
        assert given["start"] == folder / f"{origin}.npz"
        assert here.list_start_weights(experiment.id, arm.id) == [f"{folder}/.fetched/{origin}"]
    else:
        assert given["start"] == Path(here.list_weights(experiment.id, arm.start_from)[0])
    dataset, image_size, _, root, learning, *_, testing = given["images"]
    recipe = resolve(experiment, arm.id, "full")
    assert (dataset, image_size, root) == (recipe.dataset, recipe.image_size, tmp_path)
    if not origin:
        assert testing is None
        return
    prepared = experiment.choose_variant(arm.id), image_size, find_weight(origin)
    assert str(testing) == str(make_preprocessing(*prepared))
    if learning:
        mean, std = choose_statistics(*prepared)
        assert learning.transforms[-1].mean.tolist() == pytest.approx(mean)
        assert learning.transforms[-1].std.tolist() == pytest.approx(std)
        assert learning.transforms[0].size == (image_size, image_size)


def test_vits_recipes_are_those_of_its_table_4() -> None:
    (table,) = (table for table in papers.find_card("vit").tables if table.id == "table4")
    names = {
        "CIFAR100": "cifar_100", "CIFAR10": "cifar_10", "Oxford IIIT Pets": "oxford_pets",
        "Oxford Flowers 102": "flowers_102", "ImageNet": "imagenet_1k",
    }  # fmt: skip
    seen = set()
    for row in table.rows:
        dataset = names.get(re.sub("[^A-Za-z0-9]", " ", row[0]))
        experiment = papers.find_experiment("vit_transfer")
        for arm in experiment.arms:
            recipe = resolve(experiment, arm.id, "full")
            if recipe.dataset != dataset:
                continue
            seen.add(dataset)
            assert list(recipe.learning_rates) == ast.literal_eval(row[2])
            assert (recipe.batch_size, recipe.optimizer, recipe.momentum) == (512, "sgd", 0.9)
            assert (recipe.weight_decay, recipe.clip_norm, recipe.schedule) == (0, 1.0, "cosine")
            images = count_learned(dataset) * (2 if dataset == "flowers_102" else 1)
            assert recipe.epochs * math.ceil(images / 512) == pytest.approx(int(row[1]), rel=0.02)
    assert seen == set(names.values())


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """A hundred images to learn from and forty to test on, in CIFAR-10's layout: a colour a class, and noise."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data" / "cifar_10" / "cifar-10-binary" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)

    def write(name: str, images: int) -> None:
        labels = np.arange(images, dtype=np.uint8) % 10
        pixels = rng.integers(0, 30, (images, 3 * 32 * 32)) + 20 * labels[:, None]
        (folder / name).write_bytes(np.concatenate([labels[:, None], pixels.astype(np.uint8)], axis=1).tobytes())

    for i in range(1, 6):
        write(f"data_batch_{i}.bin", 20)
    write("test_batch.bin", 40)
    (folder.parents[1] / "manifest.json").write_text("{}")
    small.load.cache_clear()
    return tmp_path / "data"


CELLS = """
## t: T

- source: s
- verified: yes
- column cifar10: top1 [%] dataset=cifar-10
- column cifar10_std: top1_std [%] dataset=cifar-10
- way *: fine-tune tiny_28 in toy_transfer at 42

| model | cifar10 | cifar10_std |
|-------|---------|-------------|
| Tiny  | 99.1    | 0.0         |
"""
RECIPE = {
    **{"epochs": 1, "batch_size": 250, "weight_decay": 0.0, "warmup_epochs": 0.0, "clip_norm": 1.0},
    **{"label_smoothing": 0.0, "random_resized_crop": (0.5, 1.0), "hflip": 0.5, "positions": "bilinear"},
    **{"learning_rate": 0.1, "learning_rates": (0.1, 1e-9), "learn_validation": True, "optimizer": "sgd"},
}


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A card with a tiny model, its released file of 7 classes at 28 px, and an arm that fine-tunes it at 42 px."""
    tiny = replace(TINY, architecture={**TINY.architecture, "proj_drop_rate": 0.0})
    folder = tmp_path / "release"
    folder.mkdir()
    torch.manual_seed(1)
    torch.save({"model": build_variant(tiny, 28, 7).state_dict()}, folder / "tiny_28-abc.pth")
    digest = hashlib.sha256((folder / "tiny_28-abc.pth").read_bytes()).hexdigest()
    record = replace(
        read_weights()["deit_ti_224"], id="tiny_28", model="tiny", image_size=28, sha256=digest[:8],
        urls="https://nowhere.example/tiny_28-abc.pth", called="tiny_28-abc.pth",
    )  # fmt: skip
    monkeypatch.setitem(read_weights(), "tiny_28", record)
    (table,) = parse_tables("toy", CELLS, {"Tiny": "tiny"})
    experiment = make_fine_tuning("toy_transfer", "", RECIPE, make_arms(tiny, 42, publish("tiny_28"), {"cifar_10": {}}))
    card = replace(
        papers.find_card("deit"), key="toy", variants=(tiny,), tables=(table,), claims=(), causes=(),
        experiments=(experiment,),
    )  # fmt: skip
    monkeypatch.setitem(papers.read_cards(), "toy", card)
    released._index_by_name.cache_clear()
    return folder


def test_the_whole_way_on_a_stand_in(cifar: Path, toy: Path, tmp_path: Path) -> None:
    """Fetched, digest checked, searched, fine-tuned twice, collected and judged."""
    weights, results, arm = tmp_path / "checkpoints", tmp_path / "results", "tiny_42_cifar_10"
    fetch = ["fetch", "--weights", "tiny_28", "--checkpoints", str(weights), "--mirror", f"file://{toy}", "--offline"]
    assert main(fetch) == 0
    out = results / "training" / "toy_transfer" / arm
    train = ["training", "--experiment", "toy_transfer", "--arm", arm, "--seeds", "0", "1", "--scale", "full"]
    places = ["--start-from", str(weights), "--data", str(cifar), "--checkpoints", str(tmp_path / "side")]
    assert main([*train, *places, "--device", "cpu", "--out", str(out)]) == 0
    rows = [row for seed in (0, 1) for row in read_records(out / f"seed{seed}" / "test.csv", Run)]
    assert {row.metric for row in rows} == {"top1", "loss"}  # the head is fresh: nothing to test before
    manifest = json.loads((out / "seed0" / "manifest.json").read_text())
    assert set(manifest["tried"]) == {"0.1", "1e-09"}
    chosen = f"{manifest['recipe']['learning_rate']:g}"
    assert manifest["tried"][chosen] == max(manifest["tried"].values())
    assert manifest["start_from"] == "weights:tiny_28"
    assert not list((tmp_path / "side").rglob("state.pt"))

    assert main(["published", "--papers", "toy", "--out", str(results / "published.csv")]) == 0
    assert main(["collect", "--results", str(results), "--scale", "full", "--seeds", "2"]) == 0
    measured = {row.metric: row for row in read_records(results / "measured.csv", Measured) if row.arm == arm}
    top1 = [row.value for row in rows if row.metric == "top1"]
    assert measured["top1"].value == pytest.approx(np.mean(top1))
    assert measured["top1_std"].value == pytest.approx(np.std(top1, ddof=1))
    assert main(["judge", "--results", str(results)]) == 0
    verdicts = {row.column: row for row in read_records(results / "verdicts.csv", Verdict)}
    assert verdicts["cifar10"].measured == measured["top1"].value
    assert verdicts["cifar10"].weights == "tiny_28"
    low, high = measured["top1"].ci_low, measured["top1"].ci_high
    assert low is not None
    assert high is not None
    decided = high < 99.0 or low > 99.2
    assert verdicts["cifar10"].verdict == ("differs" if decided else "fine-tune")
    assert f"of 2 seeds between {low:.2f} and {high:.2f}" in verdicts["cifar10"].reason
    assert f"'experiments=[toy_transfer/{arm}]'" in verdicts["cifar10"].command
    assert verdicts["cifar10_std"].measured == measured["top1_std"].value


def test_a_run_starts_with_the_released_numbers_and_resized_positions(
    cifar: Path, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the head and the positions is as released; the class token's position too, the others as scipy says."""
    from scipy.ndimage import zoom

    experiment = papers.find_experiment("toy_transfer")
    untrained = replace(experiment, recipe={**RECIPE, "epochs": 0, "learning_rates": ()})
    file = toy / "tiny_28-abc.pth"
    engine.run_arm(
        untrained, "tiny_42_cifar_10", 0, "full", tmp_path / "out", tmp_path / "side", file, None, root=cifar
    )
    from safetensors.torch import load_file

    ours, theirs = load_file(tmp_path / "out" / "weights.safetensors"), torch.load(file)["model"]
    assert ours.keys() == theirs.keys()
    for name in theirs.keys() - {"pos_embed", "head.weight", "head.bias"}:
        assert torch.equal(ours[name], theirs[name]), name
    assert ours["head.weight"].shape[0] == 10
    assert torch.equal(ours["pos_embed"][:, :1], theirs["pos_embed"][:, :1])
    grid = theirs["pos_embed"][0, 1:].unflatten(0, (2, 2)).numpy()
    expected = zoom(grid, (1.5, 1.5, 1), order=1)
    assert ours["pos_embed"][0, 1:].numpy() == pytest.approx(expected.reshape(9, -1), abs=1e-6)


def test_the_images_to_validate_on_are_learned_from_only_where_the_recipe_says_so(cifar: Path) -> None:
    testing = make_preprocessing(papers.find_variant("deit_ti"), 32)
    found = data.load("cifar_10", 32, root=cifar, testing=testing)
    joined = found.train.join(found.val)
    assert (len(found.train), len(found.val), len(joined), len(found.test)) == (90, 10, 100, 40)
    ((images, labels),) = joined.read_batches([torch.arange(100)], seed=0)
    assert images.shape == (100, 3, 32, 32)
    assert labels.bincount().tolist() == [10] * 10
    assert (found.mean, found.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    # a colour a class: what is read belongs to its label
    shade = (images * torch.tensor(found.std)[:, None, None] + torch.tensor(found.mean)[:, None, None]).mean((1, 2, 3))
    assert np.corrcoef(shade, labels)[0, 1] > 0.99


@pytest.mark.parametrize(
    ("break_", "message"),
    [
        (lambda folder: (folder / "tiny_28-abc.pth").unlink(), "the weights tiny_28 are not in"),
        (lambda folder: (folder / "tiny_28-abc.pth").write_bytes(b"PK"), "is not the file of its authors"),
    ],
)
def test_weights_that_are_missing_or_others_are_one_line(
    cifar: Path, toy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], break_: Any, message: str
) -> None:
    break_(toy)
    train = ["training", "--experiment", "toy_transfer", "--arm", "tiny_42_cifar_10", "--seeds", "0", "--scale", "full"]
    assert main([*train, "--start-from", str(toy), "--data", str(cifar), "--out", str(tmp_path / "out")]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error: "))
    assert message in line


def test_one_arm_can_be_asked_for_alone() -> None:
    asked = make_plan({"scale": "full", "experiments": ["vit_transfer/vit_b16_384_cifar_10", "tnt_transfer"]})
    arms = asked.list_arms(asked.runs)
    assert [arm for arm in arms if arm.startswith("vit")] == ["vit_transfer/vit_b16_384_cifar_10"]
    assert len(arms) == 1 + len(papers.find_experiment("tnt_transfer").arms)


def test_an_unknown_arm_of_a_configuration_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'vit_b16_384_cifar_10'"):
        make_plan({"scale": "full", "experiments": ["vit_transfer/vit_b16_384_cifar10"]})
