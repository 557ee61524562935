"""Models as people write them: counted right, or named with what was not counted and why; no cell costs another."""

import csv
import importlib
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

import replication
from replication import papers
from replication.complexity import count_models, counters, merge, sweep, write_crossings, write_scaling
from replication.complexity.counters import GateError
from replication.complexity.sweep import count_cell
from replication.models import add_native_size
from replication.records.rows import MechanismCost
from replication.records.store import write_rows
from replication.records.words import Size, UserError
from replication.report.collect import collect

WIDTH, TOKENS = 16, 16  # of a picture of 64 px
STEM, LINEAR = TOKENS * 16 * 16 * 3 * WIDTH, TOKENS * WIDTH * WIDTH
BASE = STEM + 2 * LINEAR + 10 * WIDTH
ALONE = "no closed form of this family"


class Base(nn.Module):
    """A stem of patches, two linear layers and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTH, 16, 16)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.GELU(), nn.Linear(WIDTH, WIDTH))
        self.head = nn.Linear(WIDTH, 10)

    @property
    def weight(self) -> Any:
        """Of the first linear layer."""
        return self.mlp[0].weight

    def forward(self, x: Tensor) -> Any:
        return self.head(self.mix(self.mlp(self.stem(x).flatten(2).transpose(1, 2))).mean(1))

    def mix(self, x: Tensor) -> Tensor:
        """Of tokens (B, N, D)."""
        return x


@pytest.fixture(autouse=True)
def nets(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file is the user's module `nets`."""
    monkeypatch.setitem(sys.modules, "nets", sys.modules[__name__])


def cell(spec: str, size: Size = 64) -> dict[str, Any]:
    variant = add_native_size(papers.find_variant(spec))
    return vars(count_cell(variant, size)[0])


def peaks(row: dict[str, Any]) -> list[int | None]:
    return [value for name, value in row.items() if name.startswith("peak_memory")]


# --- views of parameters ----------------------------------------------------------------------------


class Queries(Base):
    """Learned queries go into a block as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.zeros(1, 4, WIDTH))

    def mix(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.query.expand(len(x), -1, -1)).mean(1, keepdim=True)


class QueriesFirst(Queries):
    """Nothing of the picture has been seen when a linear layer is applied to them, however many there are."""

    def forward(self, x: Tensor) -> Any:
        pooled = self.mlp((0.5 * self.query).expand(len(x), -1, -1)).mean(1)
        return self.head(pooled + self.stem(x).flatten(2).mean(2))


@pytest.mark.parametrize("size", [64, 32])  # of 16 positions, and of 4 as there are queries
def test_queries_that_come_before_the_picture_are_no_tokens(size: int) -> None:
    row = cell("nets:QueriesFirst", size)
    assert row["tokens"] is None
    assert "no tokens: no linear map is applied to the positions of a map" in row["gate"]


def test_learned_queries_are_counted() -> None:
    row = cell("nets:Queries")
    assert row["macs_fvcore"] == row["macs_dispatch"] == row["macs"] == BASE + 2 * 4 * WIDTH * WIDTH
    assert None not in peaks(row)


@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("pit_ti_224", 699_059_456),
        ("cait_xxs24_224", 2_523_475_200),
        ("vit_base_patch16_siglip_224", 17_708_292_096),
    ],
)
def test_class_tokens_and_pooling_queries_of_timm_s_models_are_counted(name: str, macs: int) -> None:
    """The same by both counters with the parameters frozen by hand."""
    row = cell(f"timm/{name}", 224)
    assert row["macs_fvcore"] == row["macs_dispatch"] == row["macs"] == macs


# --- one counter alone, or none ---------------------------------------------------------------------


class Recurrent(Base):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(WIDTH, WIDTH, batch_first=True)

    def mix(self, x: Tensor) -> Tensor:
        return self.rnn(x)[0]


class Added(Base):
    def mix(self, x: Tensor) -> Tensor:
        return torch.baddbmm(torch.zeros(1, 1, 1), x, x.transpose(1, 2))[..., :WIDTH]


class Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        a, b = ctx.saved_tensors
        return gradients[0] @ b.t(), a.flatten(0, 1).t() @ gradients[0].flatten(0, 1)


class Function(Base):
    def mix(self, x: Tensor) -> Tensor:
        product: Any = Product.apply
        return product(x, self.weight)


@pytest.mark.parametrize(
    ("spec", "operator", "macs"),
    [
        ("Recurrent", "aten::lstm", TOKENS * 8 * WIDTH * WIDTH),
        ("Added", "aten::baddbmm", TOKENS * TOKENS * WIDTH),
        ("Function", "prim::PythonOp.Product", LINEAR),
    ],
)
def test_an_operator_that_one_counter_knows_is_named(spec: str, operator: str, macs: int) -> None:
    row = cell(f"nets:{spec}")
    assert row["macs"] == row["macs_dispatch"] == row["macs_fvcore"] + macs == BASE + macs
    assert row["gate"].startswith(f"one count alone: fvcore has no rule for {operator} (")


@torch.library.custom_op("users::project", mutates_args=())
def project(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.T


@project.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


UNKNOWN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "users::project": project,
    "aten::_fft_c2c": lambda x, weight: torch.fft.fft2(x).real,
    "aten::_cdist_forward": lambda x, weight: torch.cdist(x, x),
    "aten::mv": lambda x, weight: x + torch.mv(x.flatten(0, 1), weight[0]).view(len(x), -1, 1),
    "aten::_trilinear": lambda x, weight: F.bilinear(x, x, weight[None]),
    "aten::addbmm": lambda x, weight: torch.addbmm(weight, x.transpose(1, 2), x)[None],
    "aten::linalg_inv_ex": lambda x, weight: torch.linalg.inv(x),
    "aten::grid_sampler_2d": lambda x, weight: F.grid_sample(x[:, None], torch.zeros(len(x), 4, 4, 2)).flatten(2),
    "torchvision::roi_align": lambda x, weight: torchvision.ops.roi_align(x[:, None], torch.zeros(1, 5), 4).flatten(2),
}


class Unknown(Base):
    def __init__(self, operator: str) -> None:
        super().__init__()
        self.operator = operator

    def mix(self, x: Tensor) -> Tensor:
        return x.mean() + UNKNOWN[self.operator](x, self.weight)[..., :1].expand(-1, -1, WIDTH)


@pytest.mark.parametrize("operator", UNKNOWN)
def test_an_operator_that_no_counter_knows_is_named(operator: str) -> None:
    row = cell(f"nets:Unknown(operator={operator!r})")
    assert row["macs"] == BASE
    assert row["gate"].startswith(f"incomplete: no counter knows {operator}; the counts of the rest agree")


class Turned(Base):
    def mix(self, x: Tensor) -> Tensor:
        turned = torch.complex(x, x)
        return x + torch.bmm(turned, turned.transpose(1, 2)).real.mean()


def test_a_product_of_complex_numbers_is_counted_as_real_and_named() -> None:
    """It takes four products of real numbers, or three; both counters take it for one."""
    gate = cell("nets:Turned()")["gate"]
    assert gate.startswith("incomplete: no counter knows aten::bmm of complex numbers; the counts of the rest agree")


KNOWN: list[Callable[[Tensor], Tensor]] = [
    lambda x: F.normalize(x),
    lambda x: F.interpolate(x, scale_factor=2.0, mode="linear"),
    lambda x: x.sort(-1)[0].cumsum(-1),
    lambda x: F.avg_pool1d(x, 2),
    lambda x: F.embedding(x.argmax(-1), x[0]),
]


class Known(Base):
    def mix(self, x: Tensor) -> Tensor:
        return torch.cat([function(x).mean(-1, keepdim=True) for function in KNOWN], 1).expand(-1, -1, WIDTH)


def test_operators_without_products_are_not_named() -> None:
    assert cell("nets:Known")["gate"] == f"two counts agree; {ALONE}"


class Deformable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.offset = nn.Conv2d(3, 18, 3, padding=1)
        self.deform = torchvision.ops.DeformConv2d(3, WIDTH, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.deform(x, self.offset(x)).mean((2, 3))


def test_a_deformable_convolution_is_a_convolution() -> None:
    row = cell("nets:Deformable")
    assert row["macs_fvcore"] == row["macs"] == 64 * 64 * 9 * 3 * (18 + WIDTH)
    assert row["gate"].startswith(f"two counts agree; {ALONE}")


# --- by keyword and by position ---------------------------------------------------------------------


class Attention(Base):
    """Heads of 4 channels; a learned bias of the weights where one is asked for."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.bias = nn.Parameter(torch.zeros(1, 4, TOKENS, TOKENS))

    def mix(self, x: Tensor) -> Tensor:
        q = k = v = x.unflatten(2, (4, 4)).transpose(1, 2)
        few, bias, drop, f = k[:, :2], self.bias + 0, 0.1 * self.training, F.scaled_dot_product_attention
        calls: dict[str, Callable[[], Tensor]] = {
            "plain": lambda: f(q, k, v),
            "plain, by keyword": lambda: f(value=v, key=k, query=q),
            "bias": lambda: f(q, k, v, bias),
            "bias, by keyword": lambda: f(q, k, value=v, attn_mask=bias),
            "dropout": lambda: f(q, k, v, None, drop),
            "dropout, by keyword": lambda: f(q, k, v, dropout_p=drop),
            "causal": lambda: f(q, k, v, None, 0.0, True),
            "causal, by keyword": lambda: f(query=q, key=k, value=v, is_causal=True),
            "few": lambda: f(q, few, few, enable_gqa=True),
            "few, by keyword": lambda: f(query=q, key=few, value=few, enable_gqa=True),
        }
        return calls[self.how]().transpose(1, 2).flatten(2)


@pytest.mark.parametrize("how", ["plain", "bias", "dropout", "causal", "few"])
def test_attention_by_keyword_and_by_position_counts_the_same(how: str) -> None:
    given, named = (cell(f"n=nets:Attention(how={name!r})") for name in (how, f"{how}, by keyword"))
    assert given == named
    assert given["macs_fvcore"] == given["macs"] == BASE + 2 * TOKENS * TOKENS * WIDTH


def convolved(how: str, x: Tensor, weight: Tensor, back: Tensor) -> Tensor:
    if how == "positional":
        return F.conv_transpose2d(F.conv2d(x, weight, None, 4), back, None, 2)
    if how == "keywords":
        return F.conv_transpose2d(weight=back, stride=2, input=F.conv2d(stride=(4,), weight=weight, input=x))
    if how == "general":
        x = torch.convolution(x, weight, None, [4, 4], [0, 0], [1, 1], False, [0, 0], 1)
        return torch.conv_transpose2d(input=x, weight=back, stride=[2])
    return torch.stack([F.conv_transpose2d(F.conv2d(one, weight, stride=4), back, stride=2) for one in x])


class Convolutions(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.weight = nn.Parameter(torch.zeros(4, 3, 4, 4))
        self.back = nn.Parameter(torch.zeros(4, 2, 2, 2))

    def forward(self, x: Tensor) -> Tensor:
        return convolved(self.how, x, self.weight, self.back).mean((2, 3))


@pytest.mark.parametrize("how", ["positional", "keywords", "general", "unbatched"])
def test_convolutions_however_called_count_the_same(how: str) -> None:
    row = cell(f"nets:Convolutions(how={how!r})")
    assert row["macs_fvcore"] == row["macs"] == 16 * 16 * (4 * 4 * 3 * 4 + 4 * 2 * 2 * 2)


class MultiHead(Base):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(WIDTH, 4, batch_first=True)

    def mix(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


class Compared(Base):
    """The same, written out."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def mix(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).unflatten(2, (3, 4, -1)).permute(2, 0, 3, 1, 4)
        return self.out((q @ k.transpose(-2, -1)).softmax(-1).matmul(v).transpose(1, 2).flatten(2))


def test_pytorch_s_own_attention_layer_keeps_no_matrix_of_weights() -> None:
    layer, written = cell("nets:MultiHead", 448), cell("nets:Compared", 448)
    tokens = (448 // 16) ** 2
    assert layer["macs"] == written["macs"]
    assert peaks(layer)[2] < peaks(written)[2] - 4 * 4 * tokens**2  # type: ignore[operator]


# --- what is special on `meta` or under a tracer ----------------------------------------------------


@dataclass
class Output:
    logits: Tensor
    loss: float | None = None


class Thing:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


OUTPUTS: dict[str, Callable[[Tensor], Any]] = {
    "a number": lambda y: (y, 0.0),
    "none": lambda y: (y, None),
    "a dataclass": lambda y: Output(y),
    "nested": lambda y: {"of": [{"it": (y, "text", 3)}], "by": {2: True}},
    "an object": lambda y: [Thing(y)],
    "no tensor": lambda y: 1.0,
    "a generator": lambda y: (one for one in y),
}


class Returns(Base):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Any:
        return OUTPUTS[self.what](super().forward(x))


@pytest.mark.parametrize("what", OUTPUTS)
def test_a_model_may_return_anything(what: str) -> None:
    row = cell(f"nets:Returns(what={what!r})")
    assert row["macs"] == BASE
    assert row["gate"].startswith("two counts agree")


def autocast(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast(x.device.type, enabled=False):
        return layer(x)


def autocast_on(layer: nn.Module, x: Tensor) -> Tensor:
    with torch.amp.autocast(device_type=x.device.type, dtype=torch.bfloat16):
        return layer(x.to(torch.get_autocast_dtype(x.device.type)).float())


def generator(layer: nn.Module, x: Tensor) -> Tensor:
    draw = torch.Generator(device=x.device)
    draw.manual_seed(0)
    return layer(x + torch.randn(x.shape, generator=draw, device=x.device))


ASKS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "autocast": autocast,
    "autocast_on": autocast_on,
    "generator": generator,
    "checkpoint": checkpoint,
}


class Asks(Base):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def mix(self, x: Tensor) -> Tensor:
        return ASKS[self.what](self.mlp, x)


@pytest.mark.parametrize("what", ASKS)
def test_what_a_model_asks_its_device_for(what: str) -> None:
    row = cell(f"nets:Asks(what={what!r})")
    assert row["macs"] == BASE + 2 * LINEAR
    assert row["gate"].startswith("two counts agree")
    assert None not in peaks(row)


def compiled_block() -> nn.Module:
    model = Base()
    block: Any = torch.compile(model.mlp)
    model.mlp = block
    return model


def compiled_in_place() -> nn.Module:
    model = Base()
    model.compile()
    return model


def compiled_whole() -> Any:
    return torch.compile(Base())


@pytest.mark.parametrize("factory", ["compiled_block", "compiled_in_place", "compiled_whole"])
def test_what_is_compiled_counts_as_it_was_written(factory: str) -> None:
    row = cell(f"nets:{factory}")
    assert row["macs"] == BASE
    assert row["macs_fvcore"] is None
    assert row["gate"].startswith(f"two counts agree; {ALONE}; fvcore cannot trace it: ")
    assert row["gate"].endswith(": function calls counted in its place")


def scripted() -> nn.Module:
    model = Base()
    block: Any = torch.jit.script(model.mlp)
    model.mlp = block
    return model


def test_of_a_scripted_module_there_is_one_count() -> None:
    row = cell("nets:scripted")
    assert row["macs"] == BASE
    assert row["gate"].startswith(f"one count alone, the other is lower (dispatch {BASE}, calls {BASE - 2 * LINEAR})")


class Lazy(nn.Module):
    def __init__(self, reads: bool = False) -> None:
        super().__init__()
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)] if reads else []
        self.stem, self.head = nn.LazyConv2d(WIDTH, 16, 16), nn.LazyLinear(10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stem(x).flatten(1))


@pytest.mark.parametrize("reads", [False, True])
def test_lazy_modules_take_their_shapes_from_the_image(reads: bool) -> None:
    row = cell(f"nets:Lazy(reads={reads})")
    assert row["macs_fvcore"] == row["macs"] == STEM + TOKENS * WIDTH * 10
    assert row["params"] == (768 + 1) * WIDTH + (TOKENS * WIDTH + 1) * 10


# --- one cell costs no other ------------------------------------------------------------------------


class Reads(Base):
    def mix(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Square(Base):
    def mix(self, x: Tensor) -> Tensor:
        if x.shape[1] != TOKENS:
            raise AssertionError
        return x


class Untrained(Base):
    def mix(self, x: Tensor) -> Tensor:
        return project(x, self.weight)


def test_a_cell_that_cannot_be_counted_is_named_and_the_others_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "complexity" / "own"
    count_models(["deit_ti", "nets:Reads", "nets:Base", "nets:Square", "nets:Untrained"], [64, 96], [2], own, True)
    said = capsys.readouterr().err
    with (own / "counts.csv").open(newline="") as file:
        rows = {(row["model"], row["image_size"]): row for row in csv.DictReader(file)}
    assert [size for model, size in rows if model == "Base"] == ["64", "96", "224"]
    assert all(rows["Base", size]["macs"] for size in ("64", "96", "224"))
    reads, square, untrained = (rows[model, "224"] for model in ("Reads", "Square", "Untrained"))
    assert "meta device, which has shapes and no values" in reads["gate"]
    assert {name for name, value in reads.items() if value} == {"model", "image_size", "gate"}
    assert [size for model, size in rows if model == "Square"] == ["64", "224"]  # 96 px is left out, the native named
    assert square["gate"].endswith(": raise AssertionError")  # its file and line; meta is no cause
    assert untrained["macs"] == rows["Base", "224"]["macs"]
    assert untrained["peak_memory_infer_math"]
    assert not untrained["peak_memory_train_math"]
    assert "no memory of training at batch 1: RuntimeError: Trying to backward through users" in untrained["gate"]
    assert said.count("not counted: nets:Square at 96 px: ") == said.count("not counted: nets:Reads at 224 px: ") == 1

    complexity = tmp_path / "complexity"
    merge([own], complexity)
    write_rows(complexity / "mechanisms.csv", [], MechanismCost)
    write_scaling(complexity / "counts.csv", complexity / "mechanisms.csv", complexity / "scaling.csv")
    write_crossings(complexity / "counts.csv", complexity / "crossings.csv")
    collect(tmp_path, "smoke", seeds=1)
    measured = pd.read_csv(tmp_path / "measured.csv")
    assert {"Base", "Untrained", "deit_ti"} <= set(measured["model"])
    assert "Reads" not in set(measured["model"])


def test_a_model_that_runs_at_no_size_is_one_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    count_models(["nets:Square", "nets:Base"], [96, 128], [1], tmp_path)
    rows = pd.read_csv(tmp_path / "counts.csv")
    assert list(zip(rows["model"], rows["image_size"], rows["macs"].isna(), strict=True)) == [
        ("Square", 96, True),
        ("Base", 96, False),
        ("Base", 128, False),
    ]
    assert capsys.readouterr().err.count("not counted: nets:Square at ") == 2


def fails() -> nn.Module:
    raise ValueError("no weights here")


class Exits(Base):
    """As what a script parses its command line in."""

    def mix(self, x: Tensor) -> Tensor:
        raise SystemExit(3)


def exits() -> nn.Module:
    raise SystemExit("usage: train.py")


@pytest.mark.parametrize("text", ["raise SystemExit('usage: train.py')", "import not_installed", "1 / 0"])
def test_a_module_that_cannot_be_imported_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    count_models(["broken:Net", "nets:Base"], [64], [1], tmp_path / "counts")
    rows = pd.read_csv(tmp_path / "counts" / "counts.csv").set_index("model")
    assert list(rows["macs"].notna()) == [False, True]
    assert "cannot import broken: " in rows["gate"]["Net"]
    with pytest.raises(UserError, match="cannot import brokn: ModuleNotFoundError"):
        count_models(["brokn:Net", "nets:Base"], [64], [1], tmp_path / "none")


def test_a_model_that_cannot_be_built_or_ends_the_process_costs_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count_models(["nets:fails", "nets:exits", "nets:Exits", "nets:Base"], [64, 96], [1], tmp_path)
    rows = pd.read_csv(tmp_path / "counts.csv").set_index(["model", "image_size"])
    assert list(rows.index[rows["macs"].notna()]) == [("Base", 64), ("Base", 96)]
    assert [name for name, _ in rows.index] == ["fails", "exits", "Exits", "Base", "Base"]
    said = capsys.readouterr().err
    assert "not counted: nets:fails at 64 px: ValueError: no weights here\n" in said
    assert "not counted: nets:exits at 64 px: SystemExit: usage: train.py\n" in said
    assert "not counted: nets:Exits at 96 px: SystemExit: 3\n" in said
    with pytest.raises(UserError, match="nets:fails at 64 px: ValueError: no weights here"):
        count_models(["nets:fails", "nets:exits"], [64], [1], tmp_path / "none")
    assert not (tmp_path / "none").exists()


class Sides(Base):
    """A factory that takes height and width, as the default of its `img_size` says."""

    def __init__(self, img_size: tuple[int, int] = (32, 64)) -> None:
        super().__init__()
        height, width = img_size
        self.pos = nn.Parameter(torch.zeros(1, height // 16 * (width // 16), WIDTH))

    def mix(self, x: Tensor) -> Tensor:
        return x + self.pos


@pytest.mark.parametrize(("size", "tokens"), [(64, 16), ("32x64", 8)])
def test_a_factory_that_takes_both_sides_is_told_both(size: Size, tokens: int) -> None:
    assert cell("nets:Sides", size)["tokens"] == tokens
    assert add_native_size(papers.find_variant("nets:Sides")).image_size == "32x64"


def test_the_gate_of_a_paper_s_model_is_an_error_after_the_others_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = counters.count

    def gate(model: nn.Module, variant: Any, size: Size) -> Any:
        if size == 96:
            raise GateError(f"{variant.id} at {size} px: the counts differ")
        return counted(model, variant, size)

    monkeypatch.setattr(sweep, "count", gate)
    with pytest.raises(GateError, match="deit_ti at 96 px"):
        count_models(["deit_ti"], [64, 96, 128], [1], tmp_path)
    rows = pd.read_csv(tmp_path / "counts.csv").set_index("image_size")
    assert list(rows["macs"].isna()) == [False, True, False]
    assert rows.loc[96, "gate"] == "not counted: deit_ti at 96 px: the counts differ"


# --- PyTorch's deprecations -------------------------------------------------------------------------


def test_pytorch_s_deprecations_do_not_reach_users() -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        importlib.reload(replication)
        warnings.warn_explicit("old", FutureWarning, "script.py", 1, module="torch.jit._script")
        warnings.warn_explicit("`torch.meshgrid` is old", DeprecationWarning, "nets.py", 1, module="nets")
        for said in ("None of the inputs have requires_grad=True.", "the use_reentrant parameter should be passed"):
            warnings.warn_explicit(said, UserWarning, "checkpoint.py", 1, module="torch.utils.checkpoint")
        warnings.warn_explicit("of the user's own", FutureWarning, "nets.py", 1, module="nets")
    assert [str(warning.message) for warning in seen] == ["of the user's own"]
