"""Steps of cells: weights shared between models and not within one, what runs is what the condition says."""

import itertools
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from replication import papers
from replication.complexity.dispatch import count_dispatch
from replication.complexity.sweep import build_skeleton
from replication.models.attention import set_attention
from replication.records.words import Size, UserError
from replication.speed.condition import Condition
from replication.speed.published import list_model_cells, list_others, list_published_cells
from replication.speed.subjects import AttentionKernels, Cell, Pool, build, count_need, prepare

CPU = Condition()


def cell(model: str, size: Size = 64) -> Cell:
    return list_model_cells([model], [size])[0]


def pool(*cells: Cell, condition: Condition = CPU) -> Pool:
    return Pool(condition, max(count_need(cell, condition).matrices for cell in cells))


def extents(module: nn.Module) -> list[tuple[int, int]]:
    """Where in memory each matrix begins and ends."""
    matrices = [p for p in module.parameters() if p.dim() > 1]
    return sorted((p.data_ptr(), p.data_ptr() + p.nbytes) for p in matrices)


def of(module: nn.Module, name: str) -> torch.Tensor:
    """A parameter or buffer."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}[name]


# --- shared weights ---------------------------------------------------------------------------------


def test_models_share_the_memory_of_the_largest_and_the_layers_of_one_do_not() -> None:
    cells = cell("pvt_tiny"), cell("deit_ti")
    shared = pool(*cells)
    low = shared.weights.data_ptr()
    for module in (shared.lend(build(one)) for one in cells):
        places = extents(module)
        assert places[0][0] == low
        assert places[-1][1] <= low + shared.weights.nbytes
        assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(places))


def test_vectors_and_buffers_are_a_models_own_and_as_it_was_built() -> None:
    one, shared = cell("swin_t", 32), pool(cell("swin_t", 32))
    first, second, built = shared.lend(build(one)), shared.lend(build(one)), build(one)
    vectors = [name for name, p in built.named_parameters() if p.dim() == 1]
    names = [*vectors, *(name for name, _ in built.named_buffers())]
    for name in names:
        mine, yours, plain = (of(module, name) for module in (first, second, built))
        assert mine.equal(plain)
        assert mine.data_ptr() != yours.data_ptr()


def test_a_matrix_that_two_layers_share_stays_one() -> None:
    tied = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    tied[1].weight = tied[0].weight
    lent: Any = Pool(CPU, 128).lend(tied)
    assert lent[0].weight is lent[1].weight
    assert len(extents(lent)) == 1


def test_a_model_gives_the_same_alone_and_in_company() -> None:
    one = cell("pvt_tiny")
    alone = pool(one)
    expected = prepare(one, CPU, alone).step()
    company = Pool(CPU, alone.weights.numel())
    steps = [prepare(each, CPU, company).step for each in (cell("deit_ti", 32), one, cell("resnet18"))]
    outputs = [step() for step in (*steps, *steps)]
    assert outputs[1].equal(expected)
    assert outputs[4].equal(expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "size"),
    [
        *(("resnet50", 64), ("efficientnet_b0", 64), ("regnety_4gf", 64), ("deit_ti", 64), ("pvt_tiny", 64)),
        *(("cpvt_ti", 64), ("swin_t", 64), ("twins_svt_s", 64), ("tnt_s", 32), ("msg_t", 224)),
    ],
)
def test_outputs_are_numbers_that_say_something(model: str, size: Size) -> None:
    one = cell(model, size)
    logits = prepare(one, CPU, pool(one)).step()
    assert logits.isfinite().all()
    assert logits.std() > 1e-30  # not lost below what a float32 holds


# --- the condition ----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "size", "attention", "mode", "kernel"),
    [
        ("deit_ti", 32, "math", "infer", "math"),
        ("deit_ti", 32, "fused", "infer", "flash"),
        ("deit_ti", 32, "fused", "train", "flash"),
        ("swin_t", 32, "fused", "infer", "flash"),
        ("swin_t", 32, "fused", "train", "math"),  # no CPU kernel has the gradient of the position bias
        ("twins_svt_s", 64, "fused", "infer", "flash+math"),  # windows have five dimensions
        ("resnet18", 64, "fused", "infer", ""),
    ],
)
def test_the_kernel_that_ran_is_told(model: str, size: Size, attention: str, mode: str, kernel: str) -> None:
    condition, one = Condition(attention=attention, mode=mode, batch_size=2), cell(model, size)
    assert prepare(one, condition, pool(one, condition=condition)).attention_kernel == kernel


def test_pytorch_is_asked_about_the_types_that_autocast_will_give() -> None:
    asked: list[torch.dtype] = []

    class Listening(AttentionKernels):
        def _find_kernel(self, *tensors: Any, **options: Any) -> str:
            asked.append(tensors[0].dtype)
            return super()._find_kernel(*tensors, **options)

    q = torch.ones(1, 1, 4, 8)
    with Listening(Condition(precision="amp-bf16")) as kernels:
        nn.functional.scaled_dot_product_attention(q, q, q)
    assert asked == [torch.float32]
    assert kernels.seen == {"flash"}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "amp-bf16"])
def test_models_and_images_have_the_type_of_the_precision(precision: str) -> None:
    condition, one = Condition(precision=precision), cell("deit_ti", 32)
    shared = pool(one, condition=condition)
    module = shared.lend(build(one))
    kinds = {x.dtype for x in (*module.parameters(), *shared.make_inputs(one))}
    assert kinds == {torch.bfloat16 if precision == "bf16" else torch.float32}
    assert prepare(one, condition, shared).step().dtype == condition.types.compute


def test_channels_last_is_for_images_and_convolutions() -> None:
    condition, one = Condition(channels_last=True, batch_size=2), cell("resnet18")
    shared = pool(one, condition=condition)
    module: Any = shared.lend(build(one))
    assert module.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert shared.make_inputs(one)[0].is_contiguous(memory_format=torch.channels_last)
    usual = Pool(Condition(batch_size=2), shared.weights.numel())
    assert shared.make_inputs(one)[0].equal(usual.make_inputs(one)[0])


def test_a_training_step_leaves_no_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    condition, one = Condition(mode="train", batch_size=2), cell("resnet18")
    shared = pool(one, condition=condition)
    module: Any = shared.lend(build(one))
    monkeypatch.setattr(shared, "lend", lambda built: module)
    prepare(one, condition, shared).step()
    assert all(p.grad is None for p in module.parameters())
    assert module.bn1.num_batches_tracked == 2  # it did train: once prepared, once more here


@pytest.mark.parametrize("one", [cell("detr_r50", 64), Cell("global_attention", "mechanism", 7)])
def test_only_classifiers_are_trained(one: Cell) -> None:
    with pytest.raises(UserError, match="only classification models are trained"):
        count_need(one, Condition(mode="train"))


# --- counts -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_multiply_adds_of_a_training_step_are_thrice_the_forward_pass_less_the_gradient_of_the_images() -> None:
    B, N, D = 2, (64 // 16) ** 2, 192
    one = cell("deit_ti")
    forward = count_need(one, CPU)
    trained = count_need(one, Condition(mode="train", batch_size=B))
    assert trained.image_macs == forward.image_macs == forward.step.macs
    assert trained.step.macs == B * (3 * forward.image_macs - N * D * 3 * 16**2)


def test_an_own_model_may_make_tensors_where_it_likes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "toy_of_speed.py").write_text(
        "import torch\n"
        "class Toy(torch.nn.Linear):\n"
        "    def forward(self, x):\n"
        "        return super().forward(x.flatten(1) + torch.arange(3 * 8 * 8))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    [one] = list_model_cells(["toy_of_speed:Toy(in_features=192, out_features=5)"], [8])
    assert count_need(one, CPU).step.macs == 192 * 5
    assert prepare(one, CPU, pool(one)).step().shape == (1, 5)


def test_counts_are_those_of_the_sweep() -> None:
    one = cell("pvt_tiny")
    model = set_attention(build_skeleton(papers.find_variant("pvt_tiny"), 64), "math")
    macs, peak = count_dispatch(model, 64)
    counted = count_need(one, CPU)
    assert (counted.step.macs, counted.peak_memory) == (macs, peak)


@pytest.mark.slow
def test_the_kernels_read_and_write_what_the_roofline_takes_them_to() -> None:
    matmul, convolution, copy = (count_need(one, CPU) for one in list_others() if one.kind == "kernel")
    assert matmul.step == (2048**3, 3 * 4 * 2048**2)
    assert convolution.step == (9 * 256**2 * 56**2, 4 * (2 * 256 * 56**2 + 9 * 256**2))
    assert copy.step == (0, 2 * 256 * 2**20)
    assert [
        math.prod(prepare(one, CPU, Pool(CPU, 0)).step().shape) for one in list_others() if one.kind == "kernel"
    ] == [
        2048**2,
        256 * 56**2,
        64 * 2**20,
    ]
    half = count_need(Cell("matmul", "kernel", 2048), Condition(precision="amp-bf16", mode="train"))
    assert half.step == (2048**3, 3 * 2 * 2048**2)


# --- which cells ------------------------------------------------------------------------------------


def test_every_cell_of_the_speed_tables_can_be_laid_out() -> None:
    cells = list_published_cells()
    assert len(cells) == len(set(cells))
    assert (cells[0].subject, cells[0].image_size) == ("deit_s", 224)
    assert {one.kind for one in cells} == {"model", "mechanism", "module", "kernel"}
    assert all(one.variant and one.variant.allows(one.image_size) for one in cells if one.kind == "model")
    assert {64, 128, 224, 384, 512} <= {one.image_size for one in cells if one.subject == "vit_b16"}  # ViT, Figure 12


def test_a_table_has_its_models_at_the_sizes_printed() -> None:
    cells = list_published_cells(["swin/table8"])
    sizes = {(one.subject, one.image_size) for one in cells}
    assert sizes == {(model, size) for model in ("swin_t", "swin_s", "swin_b") for size in (224, 256, 320, 384)}


def test_a_model_without_a_printed_size_is_taken_at_its_own() -> None:
    assert Cell("detr_r50", "model", "800x1066") in list_published_cells(["detr/table1"])


def test_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'swin/table1a'"):
        list_published_cells(["swin/tabel1a"])


@pytest.mark.parametrize("one", [one for one in list_others() if one.image_size == 14], ids=lambda one: one.subject)
def test_mechanisms_keep_the_shape_of_their_tokens(one: Cell) -> None:
    condition = Condition(batch_size=2)
    assert prepare(one, condition, pool(one, condition=condition)).step().shape == (2, 14**2, 384)


def test_a_module_of_table_5_runs() -> None:
    one = Cell("shifted_window_cyclic_s4", "module", 7)
    assert prepare(one, CPU, pool(one)).step().shape == (1, 7, 7, 768)
