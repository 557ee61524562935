"""The three counts of multiply-adds, each against what is known, and the gate between them."""

from collections.abc import Callable

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from replication import papers
from replication.complexity import counters
from replication.complexity.calls import Calls, count_calls
from replication.complexity.dispatch import ProductCounter, count_dispatch
from replication.complexity.formulas import FAMILIES, count_cost
from replication.complexity.memory import CpuAttention
from replication.complexity.tracing import count_fvcore
from replication.models import build_variant
from replication.models.attention import set_attention
from replication.records.card import Variant
from replication.records.words import Size

VARIANTS = [
    variant
    for variant in papers.list_variants().values()
    if variant.family in FAMILIES and not variant.id.startswith(("swin_s_", "swin_b_"))  # what swin_t_* are, in large
]
GOLDEN_GMACS = [
    # model, px, value, how far its rounding and the norms it counts may take it [G], source
    ("vit_b16", 224, 17.58, 0.02, "timm benchmark of vit_base_patch16_224 (norms counted)"),
    ("deit_s", 224, 4.61, 0.02, "timm benchmark of deit_small_patch16_224 (norms counted)"),
    ("swin_t", 224, 4.51, 0.02, "timm benchmark of swin_tiny_patch4_window7_224 (norms counted)"),
    ("swin_t", 224, 4.491, 0.0005, "recount of the released code without norms"),
    ("swin_b", 384, 47.083, 0.0005, "recount of the released code, window 12, without norms"),
    ("pvt_tiny", 224, 1.933, 0.0005, "recount of the released code without norms"),
    ("pvt_small", 224, 3.816, 0.0005, "recount of the released code without norms"),
    ("vit_small_16", 224, 9.9, 0.05, "PVT, Table 2 (ViT-Small/16)"),
]


def on_meta(variant: Variant, image_size: Size) -> nn.Module:
    with torch.device("meta"):
        return build_variant(variant, image_size)


class Attention(nn.Module):
    """Attention of images (B, h, N, d) with themselves."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.scaled_dot_product_attention(x, x, x)


@pytest.mark.parametrize("mode", [CpuAttention, torch.no_grad], ids=["fused", "unfused"])
def test_one_attention_call_is_four_b_h_n_squared_d_flops(mode: type) -> None:
    B, h, N, d = 2, 3, 20, 8
    query, key, value = (torch.empty(B, h, N, d, device="meta") for _ in range(3))
    with FlopCounterMode(display=False) as counter, mode():
        functional.scaled_dot_product_attention(query, key, value)
    assert counter.get_total_flops() == 4 * B * h * N**2 * d


def test_both_counters_see_an_attention_call_and_fvcore_alone_does_not() -> None:
    h, N = 3, 32  # an image of 32 px is 3 heads of 32 tokens of width 32
    macs, unsupported = count_fvcore(Attention(), N)
    assert macs == 2 * h * N**2 * N
    assert not unsupported
    assert count_dispatch(Attention(), N)[0] == macs
    alone = FlopCountAnalysis(Attention(), torch.zeros(1, h, N, N)).unsupported_ops_warnings(False)
    assert alone.total() == 0


def test_fvcore_without_our_handle_is_low_and_lower_where_tokens_are_many() -> None:
    def missed(image_size: int) -> float:
        model = build_variant(papers.find_variant("vit_ti16"), image_size).eval()
        set_attention(model, "fused")
        alone = FlopCountAnalysis(model, torch.zeros(1, 3, image_size, image_size)).unsupported_ops_warnings(False)
        return 1 - alone.total() / count_fvcore(model.to("meta"), image_size)[0]

    assert 0.1 < missed(224) < missed(384)


def test_tracing_on_meta_counts_what_tracing_real_tensors_counts() -> None:
    layers = (
        nn.Conv2d(3, 8, 7, stride=2, padding=3),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4, bias=False),
        nn.Conv2d(8, 4, (3, 1), stride=(2, 1), padding=(0, 1)),
        nn.Flatten(2),
        nn.Linear(9 * 21, 5),
    )
    model = nn.Sequential(*layers)
    real = FlopCountAnalysis(model, torch.zeros(1, 3, 75, 75)).unsupported_ops_warnings(False).by_operator()
    macs, _ = count_fvcore(model.to("meta"), 75)
    assert macs == real["conv"] + real["linear"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.id)
def test_three_counts_are_the_same_number(variant: Variant) -> None:
    size = variant.image_size
    model = on_meta(variant, size)
    counts = counters.count(model, variant, size)
    assert counts.formula is not None
    assert counts.dispatch == counts.formula.macs
    rounded = 1e-5 if variant.ablation == "sliding_windows" else 0  # fvcore reads an einsum's cost in four digits
    assert counts.fvcore == pytest.approx(counts.dispatch, rel=rounded)
    assert counts.gate == "three counts agree"
    set_attention(model, "fused")
    assert count_dispatch(model, size)[0] == counts.dispatch


def test_a_large_model_is_traced_at_its_own_size_only_and_says_so() -> None:
    variant = papers.find_variant("swin_s")
    counts = counters.count(on_meta(variant, 448), variant, 448)
    assert counts.fvcore is None
    assert counts.gate == "two counts agree; fvcore not run: 463 modules are slow to trace, so only at 224 px"
    assert counts.formula is not None
    assert counts.dispatch == counts.formula.macs


@pytest.mark.parametrize(
    ("model_id", "image_size"),
    [("swin_t", 32), ("swin_t", 320), ("pvt_tiny", 32), ("vit_ti16", 4096), ("r50_vit_b32", 96), ("resnet50", 96)],
)
def test_the_closed_form_follows_odd_sizes(model_id: str, image_size: int) -> None:
    variant = papers.find_variant(model_id)
    dispatch, _ = count_dispatch(on_meta(variant, image_size), image_size)
    assert dispatch == count_cost(variant, image_size).macs


@pytest.mark.parametrize("model_id", ["deit_ti_distilled", "pvt_tiny", "swin_t"])
def test_attention_part_is_what_the_batched_products_count(model_id: str) -> None:
    variant = papers.find_variant(model_id)
    model = set_attention(on_meta(variant, 224), "math")
    with FlopCounterMode(display=False) as counter:
        count_dispatch(model, 224)
    products = counter.get_flop_counts()["Global"][torch.ops.aten.bmm]
    assert products == 2 * count_cost(variant, 224).macs_attention


@pytest.mark.parametrize(("model_id", "image_size", "gmacs", "margin", "source"), GOLDEN_GMACS)
def test_golden_counts(model_id: str, image_size: int, gmacs: float, margin: float, source: str) -> None:
    assert count_cost(papers.find_variant(model_id), image_size).macs / 1e9 == pytest.approx(gmacs, abs=margin), source


@torch.library.custom_op("planted::project", mutates_args=())
def project(x: Tensor, weight: Tensor) -> Tensor:
    return x @ weight.T


@project.register_fake
def _(x: Tensor, weight: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], weight.shape[0])


class Planted(nn.Linear):
    """A linear layer by an operator that no counter knows."""

    def forward(self, x: Tensor) -> Tensor:
        return project(x, self.weight)


def test_the_gate_names_an_operator_that_was_not_counted() -> None:
    variant = papers.find_variant("vit_ti16")
    model = on_meta(variant, 224)
    model.get_submodule("blocks.0.mlp").register_module("fc1", Planted(192, 768, device="meta"))
    with pytest.raises(counters.GateError, match="vit_ti16 at 224 px") as caught:
        counters.count(model, variant, 224)
    message = str(caught.value)
    assert f"formula {count_cost(variant, 224).macs}" in message
    assert f"fvcore {count_cost(variant, 224).macs - 197 * 192 * 768}" in message
    assert "fvcore has no rule for" in message
    assert message.count("planted") == 2  # by both counters


def test_the_gate_stops_a_model_that_is_not_the_card_s() -> None:
    variant = papers.find_variant("vit_ti16")
    with torch.device("meta"):
        model = build_variant(variant, mlp_ratio=3.9)
    with pytest.raises(counters.GateError, match="differ by more than 1%"):
        counters.count(model, variant, 224)


# --- without fvcore's tracer ------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_id",
    ["deit_ti", "pvt_tiny", "swin_t", "twins_svt_s", "tnt_s", "cpvt_s", "msg_t", "r50_vit_b32", "resnet50", "detr_r50"],
)
def test_function_calls_count_what_the_operators_count(model_id: str) -> None:
    variant = papers.find_variant(model_id)
    for attention in ("math", "fused"):
        model = set_attention(on_meta(variant, variant.image_size), attention)
        dispatch, _ = count_dispatch(model, variant.image_size)
        assert count_calls(model, variant.image_size) == dispatch


CALLS: list[Callable[[Tensor, Tensor], object]] = [
    lambda x, w: functional.linear(weight=w, input=x),
    lambda x, w: torch.matmul(other=w, input=x),
    lambda x, w: torch.bmm(x, mat2=w.expand(2, -1, -1)),
    lambda x, w: x @ w,
    lambda x, w: torch.einsum("bnd,ed->bne", x, w),
    lambda x, w: torch.einsum("...d,de", x, w),
    lambda x, w: torch.einsum("bnd,bmd->bnm", [x, x]),
    lambda x, w: torch.einsum("bnd,bnd->bnd", x, x),
    lambda x, w: torch.tensordot(x, w, dims=1),
    lambda x, w: torch.inner(x, w),
    lambda x, w: torch.addmm(w[0], mat1=x[0], mat2=w),
    lambda x, w: torch.baddbmm(w, x.transpose(1, 2), batch2=x),
    lambda x, w: functional.conv1d(input=x, weight=w[:, :4, None], groups=2),
    lambda x, w: functional.conv_transpose1d(x.transpose(1, 2), w[:, :, None].expand(-1, -1, 3), stride=2),
    lambda x, w: functional.scaled_dot_product_attention(query=x, value=x[:, :5], key=x[:, :5]),
    lambda x, w: nn.MultiheadAttention(8, 2, device="meta")(x, value=x[:1], key=x[:1]),
]


@pytest.mark.parametrize("index", range(len(CALLS)))
def test_a_call_counts_what_its_operators_count(index: int) -> None:
    """Tokens (2, 8, 8) and weights of 8 x 8."""
    x, w = torch.empty(2, 8, 8, device="meta"), torch.empty(8, 8, device="meta")
    with torch.no_grad():
        with ProductCounter() as operators:
            CALLS[index](x, w)
        with Calls() as calls:
            CALLS[index](x, w)
    assert calls.macs == operators.macs


def test_without_the_tracer_function_calls_are_the_other_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.jit, "_get_trace_graph")
    variant = papers.find_variant("deit_ti")
    counts = counters.count(on_meta(variant, 64), variant, 64)
    assert counts.fvcore is None
    instead = f"PyTorch {torch.__version__} has no tracer for fvcore: function calls counted in its place"
    assert counts.gate == f"three counts agree; {instead}"
    own = papers.find_variant("timm/vit_tiny_patch16_224(depth=2)")
    counts = counters.count(on_meta(own, 64), own, 64)
    assert counts.gate == f"two counts agree; no closed form of this family; {instead}"
    assert counts.believed == counts.dispatch


def test_without_the_tracer_the_gate_still_stops_a_model_that_is_not_the_card_s(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.jit, "_get_trace_graph")
    variant = papers.find_variant("vit_ti16")
    with torch.device("meta"):
        model = build_variant(variant, mlp_ratio=3.9)
    with pytest.raises(counters.GateError, match=r"formula \d+, calls \d+"):
        counters.count(model, variant, 224)
