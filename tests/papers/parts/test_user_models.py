"""A user's own model, named by one line, is planned, counted and shown beside the papers' models."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from replication import papers, report
from replication.complexity import count_models, write_crossings, write_scaling
from replication.complexity.counters import count_tokens
from replication.complexity.formulas import count_cost
from replication.complexity.sweep import build_skeleton
from replication.complexity.tracing import count_fvcore
from replication.models import add_native_size, build
from replication.papers.parts.user_models import find_sources, read_spec, write_spec
from replication.plan.digests import digest_variants, list_own_sources
from replication.plan.make import make_plan
from replication.records.reading import read_records
from replication.records.rows import Measured, MechanismCost
from replication.records.store import write_rows
from replication.records.words import UserError
from replication.report.page.index import read_own_models

MODULE = """
import torch
from torch import nn
from torch.nn import functional


class Patches(nn.Module):
    # as many models are written: reads values while it is built, makes tensors without saying where

    def __init__(self, width=8, classes=10, img_size=64):
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]
        self.embed = nn.Conv2d(3, width, 16, stride=16)
        self.positions = nn.Parameter(torch.zeros(1, (img_size // 16) ** 2, width))
        self.mix = nn.Linear(width, width)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2) + self.positions
        x = self.mix(x) * torch.arange(x.shape[1])[:, None]
        return self.head(x.mean(1))


class Reads(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)

    def forward(self, x):
        x = x.mean((2, 3))
        return super().forward(x) if x.sum() > 0 else x


class Map(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 5, 32, stride=32, padding="valid")


class Convolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.of_images = nn.Conv2d(3, 4, 4, padding="same")
        self.of_rows = nn.Conv1d(4, 5, 3, padding=1)
        self.up = nn.ConvTranspose1d(5, 2, 2, stride=2)

    def forward(self, x):
        x = functional.conv2d(self.of_images(x), torch.ones(4, 4, 1, 1))
        return self.up(self.of_rows(x.flatten(2)))


def handed_on(pretrained=False, **kwargs):
    # as the factories of most papers' repositories
    return Patches(**kwargs)


def any_keywords(width=8, **ignored):
    return Patches(width)


def fixed():
    return Patches()


class Mixed(nn.Module):
    # linear maps over tokens, or over pairs of tokens, heads or padded windows, none over what has its positions

    def __init__(self, how, img_size=64):
        super().__init__()
        self.how, self.patches = how, (img_size // 4) ** 2
        self.embed = nn.Conv2d(3, 24, 4, stride=4)
        inner = {"channels": self.patches, "pairs": 1, "heads": 12}.get(how, 24)
        self.mix = nn.Linear(inner, inner)
        self.mlp = nn.Linear(24, 24)
        self.head = nn.Linear(24, 10)

    def forward(self, x):
        x = self.embed(x).flatten(2).transpose(1, 2)
        B, N, C = x.shape
        if self.how == "channels":
            self.mix(x.transpose(1, 2))
        elif self.how == "pairs":
            self.mix((x @ x.transpose(1, 2))[..., None])
        elif self.how == "heads":
            self.mix(x.unflatten(2, (2, 12)).transpose(1, 2))
        elif self.how == "windows":
            side = int(N**0.5)
            padded = functional.pad(x.view(B, side, side, C), (0, 0, 0, -side % 7, 0, -side % 7))
            self.mix(padded.unflatten(1, (-1, 7)).unflatten(3, (-1, 7)).transpose(2, 3).reshape(-1, 49, C))
        elif self.how == "pruned":
            return self.head(self.mlp(x[:, : N // 2]).mean(1))
        return self.head(self.mlp(x).mean(1))


def number():
    return 3


def broken(width):
    raise RuntimeError(f"no width of\\n{width}")
"""
CONFIG: dict[str, Any] = {
    "scale": "smoke",
    "models": ["pvt_tiny"],
    "complexity": {"image_sizes": [224], "batch_sizes": [1]},
    "experiments": [],
    "training": {"seeds": 2},
}


@pytest.fixture(autouse=True)
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with the package `toys` of a user."""
    (tmp_path / "toys").mkdir()
    (tmp_path / "toys" / "nets.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("toys.nets", "toys"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize(
    ("spec", "model", "native", "keywords"),
    [
        ("timm/convnext_atto.d2_in1k", "convnext_atto_d2_in1k", 224, {}),
        ("mine=timm/vit_tiny_patch16_224(depth=3)", "mine", 224, {"depth": 3}),
        ("toys.nets:Patches", "Patches", 224, {}),
        ("p=toys.nets:Patches(width=4, img_size=96)", "p", 96, {"width": 4, "img_size": 96}),
        ("p=a:f(b=[2, -1], c='x) (', d=None)", "p", 224, {"b": [2, -1], "c": "x) (", "d": None}),
    ],
)
def test_a_spec_is_a_name_a_factory_and_literal_keywords(spec: str, model: str, native: int, keywords: object) -> None:
    variant = papers.find_variant(spec)
    assert (variant.id, variant.image_size, variant.architecture) == (model, native, keywords)
    assert read_spec(write_spec(variant)) == variant


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("experiment/arm", "'experiment/arm' is no model: write a model id, or [name=]timm/"),
        ("a b=timm/resnet10t", "the name 'a b' is not made of letters"),
        ("swin_t=timm/resnet10t", "swin_t is a model of the papers; name yours: my_swin_t=timm/resnet10t"),
        ("timm/resnet50", "resnet50 is a model of the papers; name yours: my_resnet50=timm/resnet50"),
        ("timm/resnet10", "unknown timm model 'resnet10'; did you mean 'resnet1"),
        ("timm/resnet10t.c3_in1", "unknown timm model 'resnet10t.c3_in1'; did you mean 'resnet10t.c3_in1k'?"),
        ("timm/vit_tiny_patch16_224(depht=3)", "unexpected keyword argument 'depht'"),
        ("toys.nest:Patches", "cannot import toys.nest: ModuleNotFoundError: No module named 'toys.nest'"),
        ("toys.nets:Patch", "unknown factory of toys.nets 'Patch'; did you mean 'Patches'?"),
        ("toys.nets:Patches(widht=4)", "unknown keyword of toys.nets:Patches 'widht'; did you mean 'width'?"),
        ("toys.nets:broken", "toys.nets:broken at 224 px: TypeError: broken() missing 1 required"),
        ("toys.nets:broken(width=7)", "toys.nets:broken(width=7) at 224 px: RuntimeError: no width of 7"),
        ("toys.nets:number", "toys.nets:number: the factory returns a int, not an nn.Module"),
        ("toys.nets:Patches(3)", "'(3)' is not (key=value, ...) with Python literals"),
        ("toys.nets:Patches(width=open('x'))", "is not (key=value, ...) with Python literals"),
        ("toys.nets:Patches(**{'width': 3})", "is not (key=value, ...) with Python literals"),
        ("toys.nets:Patches(width=3, width=4)", "is not (key=value, ...) with Python literals"),
        ("mine=timm/x(depth=3", "in a list, a spec with a comma stands in quotes"),  # a comma has split it
        ("toys.nets:Patches(width={[]: 1})", "is not (key=value, ...) with Python literals"),
        ("toys.nets:Patches(width={[1]})", "is not (key=value, ...) with Python literals"),
        ("toys.nets:Patches(width={'p', 'q'})", "a set has no order that repeats; write a list"),
        (f"toys.nets:Patches(width={'-' * 900}1)", "is not (key=value, ...) with Python literals"),
        (f"toys.nets:Patches(width={'-' * 20_000}1)", "a spec has at most 1000 letters"),
        ("toys.nets:Patches\n(3", "is no model"),
        ("toys.nets:Patches(img_size=(64, 32))", "img_size is the side of a square image"),
    ],
)
def test_a_fault_is_one_line(spec: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        build(spec)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_the_factory_is_told_the_image_size_if_it_takes_it() -> None:
    assert build("toys.nets:Patches(width=4)", 32)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert build("timm/vit_tiny_patch16_224(depth=1)", 64)(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
    assert build("timm/resnet10t", 64, num_classes=4)(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


@pytest.mark.parametrize("spec", ["handed_on", "handed_on(img_size=32)", "handed_on(width=8, img_size=64)", "Patches"])
def test_a_factory_is_told_the_size_among_its_keywords(spec: str) -> None:
    for model in (build(f"toys.nets:{spec}", img_size=48), build(f"toys.nets:{spec}", 48)):
        assert model.positions.shape == (1, 9, 8)


@pytest.mark.parametrize("spec", ["toys.nets:any_keywords", "toys.nets:fixed", "torchvision.models:vit_b_16"])
def test_a_model_that_cannot_be_told_the_size_and_does_not_take_it_is_refused(spec: str) -> None:
    with pytest.raises(UserError, match=f"{spec} does not take images of 96 px: "):
        build(spec, img_size=96)


def test_a_model_that_takes_any_size_need_not_be_told(nets: Path) -> None:
    model = build("toys.nets:Reads", img_size=96)  # reads values, so it is run for real
    assert model.training
    assert build("mine=torchvision.models:squeezenet1_0", (64, 96)).training


@pytest.mark.parametrize(
    ("spec", "native"),
    [
        ("timm/vit_base_patch16_384", 384),
        ("timm/vit_base_patch16_384(img_size=96)", 96),
        ("toys.nets:Patches", 64),  # the default of its own img_size
        ("toys.nets:Patches(img_size=32)", 32),
        ("toys.nets:Map", 224),
    ],
)
def test_the_native_size_is_that_of_the_spec_or_of_timm_or_of_the_factory(spec: str, native: int) -> None:
    assert add_native_size(papers.find_variant(spec)).image_size == native


# --- counts -----------------------------------------------------------------------------------------


def test_counts_are_those_written_out_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count_models(["net=toys.nets:Patches(width=8)"], [8, 32, 48], [1, 2], tmp_path, printed=True)
    rows = pd.read_csv(tmp_path / "counts.csv").set_index("image_size")
    assert list(rows.index) == [32, 48, 64]  # no patch fits 8 px; 64 is native
    assert "not counted: net=toys.nets:Patches(width=8) at 8 px" in capsys.readouterr().err
    for size, row in rows.iterrows():
        patches = (int(str(size)) // 16) ** 2
        assert row["tokens"] == patches
        assert row["macs"] == row["macs_fvcore"] == patches * (16 * 16 * 3 * 8 + 8 * 8) + 8 * 10
        assert row["params"] == (16 * 16 * 3 * 8 + 8) + patches * 8 + (8 * 8 + 8) + (8 * 10 + 10)
        assert row["gate"] == "two counts agree; no closed form of this family"
        assert row["peak_memory_train_math"] > row["peak_memory_infer_math"] > 4 * row["params"]
    memory = pd.read_csv(tmp_path / "memory.csv")
    assert set(memory[memory["batch_size"] == 2]["image_size"]) == {64}


def test_a_model_that_returns_no_logits_has_no_training_step(tmp_path: Path) -> None:
    count_models(["toys.nets:Map"], [224], [1], tmp_path)
    (row,) = pd.read_csv(tmp_path / "counts.csv").to_dict("records")
    assert row["macs"] == 7 * 7 * 32 * 32 * 3 * 5
    assert pd.isna(row["peak_memory_train_math"])
    assert pd.isna(row["tokens"])  # convolutions alone


def test_all_are_the_models_of_the_papers_on_the_command_line_too() -> None:
    found = papers.choose_variants(["toys.nets:Patches", "all", "deit_s", "all"])
    assert [variant.id for variant in found] == ["Patches", *papers.list_variants()]


def test_two_models_of_one_name_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two models are called Patches"):
        count_models(["toys.nets:Patches", "toys.nets:Patches(width=4)"], [32], [1], tmp_path)


def test_tracing_on_meta_sees_every_kind_of_convolution() -> None:
    with torch.device("meta"):
        macs, _ = count_fvcore(build("toys.nets:Convolutions"), 8)
    pixels = 8 * 8
    assert macs == pixels * (3 * 4 * 4 * 4 + 4 * 4 + 4 * 5 * 3 + 5 * 2 * 2)


@pytest.mark.parametrize("model", ["vit_ti16", "pvt_tiny", "swin_t", "msg_t", "twins_svt_s"])
def test_tokens_that_are_seen_are_those_of_the_closed_form(model: str) -> None:
    variant = papers.find_variant(model)
    assert count_tokens(build_skeleton(variant, 224), 224) == count_cost(variant, 224).tokens


@pytest.mark.parametrize("size", [64, 96])
@pytest.mark.parametrize("how", ["channels", "pairs", "heads", "windows", "nothing"])
def test_tokens_are_positions_and_nothing_else_that_has_many_rows(how: str, size: int) -> None:
    assert count_tokens(build_skeleton(read_spec(f"toys.nets:Mixed(how='{how}')"), size), size) == (size // 4) ** 2


def test_what_pruning_leaves_is_not_the_tokens_and_the_row_says_so(tmp_path: Path) -> None:
    (row,) = count_models(["toys.nets:Mixed(how='pruned')"], [64], [1], tmp_path)
    assert row.tokens is None
    assert row.gate.endswith("no tokens: no linear map is applied to the positions of a map")


@pytest.mark.parametrize(
    ("name", "size", "tokens"),
    [
        ("mixer_s16_224", 64, 16),
        ("mixer_s16_224", 224, 196),
        ("gmlp_ti16_224", 224, 196),
        ("convit_tiny", 224, 197),  # a class token, from its tenth block on
        ("swin_tiny_patch4_window7_224", 256, 4096),  # its windows cover 70 x 70
        ("vit_small_patch14_reg4_dinov2", 224, 16 * 16 + 5),
        ("halonet26t", 256, None),
    ],
)
def test_tokens_of_timms_models(name: str, size: int, tokens: int | None) -> None:
    assert count_tokens(build_skeleton(read_spec(f"mine=timm/{name}"), size), size) == tokens


# --- beside the papers' models ----------------------------------------------------------------------


def test_the_plan_counts_own_models_in_a_folder_of_their_own(nets: Path) -> None:
    specs = ["toys.nets:Patches", "deep=toys.nets:Patches(width=16)"]
    asked = make_plan({**CONFIG, "results": str(nets / "results"), "models": ["all", *specs]})
    assert asked.models["own"] == tuple(specs)
    assert set(asked.models) == {*(key for key, card in papers.read_cards().items() if card.variants), "own"}
    assert list_own_sources(asked, "own") == ["toys/nets.py"]
    assert list_own_sources(asked, "pvt") == []
    assert "toys.nets" not in sys.modules  # planning runs none of the user's code
    digest = digest_variants(asked, "own")
    wider = make_plan({**CONFIG, "results": "results", "models": [specs[0], "deep=toys.nets:Patches(width=32)"]})
    assert set(wider.models) == {"own"}
    assert digest_variants(wider, "own") != digest


def test_timm_models_and_installed_packages_have_no_sources_to_watch() -> None:
    assert find_sources(read_spec("timm/resnet10t")) == find_sources(read_spec("torch.nn:Identity")) == []


@pytest.mark.slow
def test_they_are_fitted_measured_and_drawn_beside_the_papers_models(tmp_path: Path) -> None:
    results = tmp_path / "results"
    complexity = results / "complexity"
    models = ["pvt_tiny", "net=toys.nets:Patches", "second=toys.nets:Patches(width=4)"]
    count_models(models, [32, 64, 96, 128], [1], complexity / "own", printed=True)
    for name in ("counts.csv", "memory.csv"):
        (complexity / name).write_bytes((complexity / "own" / name).read_bytes())
    write_rows(complexity / "mechanisms.csv", [], MechanismCost)
    write_scaling(complexity / "counts.csv", complexity / "mechanisms.csv", complexity / "scaling.csv")
    write_crossings(complexity / "counts.csv", complexity / "crossings.csv")
    report.collect(results, "smoke", seeds=2)
    found = {(m.model, m.metric): m.value for m in read_records(results / "measured.csv", Measured)}
    assert found["net", "slope_macs_whole"] == pytest.approx(1, abs=0.01)  # linear maps alone
    assert found["net", "params"] > found["second", "params"]

    (first, second) = read_own_models(complexity)
    assert (first["model"], first["spec"], first["image_size"]) == ("net", "net=toys.nets:Patches", 64)
    assert second["spec"] == "second=toys.nets:Patches(width=4)"
    assert set(json.loads((complexity / "own" / "counts.json").read_text())["own"]) == {"net", "second"}
