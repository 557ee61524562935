"""Peak memory from shapes: exact bytes by hand, PyTorch's own tracker, and the kernels a CPU really runs."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed._tools.mem_tracker import MemTracker
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from replication import papers
from replication.complexity.memory import CpuAttention, LiveStorages, count_peak, count_peak_memory
from replication.models import build_variant
from replication.models.attention import set_attention

B, SIDE, HIDDEN, CLASSES = 2, 4, 32, 8
PIXELS = 3 * SIDE**2


def two_layers() -> nn.Module:
    layers = nn.Flatten(), nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)
    return nn.Sequential(*layers).to("meta")


def build(model_id: str, attention: str, image_size: int = 224) -> nn.Module:
    with torch.device("meta"):
        return set_attention(build_variant(papers.find_variant(model_id), image_size), attention)


PARAMETERS = (PIXELS + 1) * HIDDEN + (HIDDEN + 1) * CLASSES


def test_inference_of_two_layers_by_hand() -> None:
    """Most is alive while the ReLU runs: its input and its output."""
    floats = PARAMETERS + B * PIXELS + 2 * B * HIDDEN
    assert count_peak_memory(two_layers(), SIDE, B, "infer") == 4 * floats


def test_training_step_of_two_layers_by_hand() -> None:
    """Most is alive when the last gradient is there: that of the hidden layer, the logits, the loss and its own 1."""
    floats = 2 * PARAMETERS + B * PIXELS + B * HIDDEN + B * CLASSES + 2
    assert count_peak_memory(two_layers(), SIDE, B, "train") == 4 * floats + 8 * B  # labels are 64-bit


def test_a_training_step_leaves_nothing_for_the_next() -> None:
    model = build("vit_ti16", "math")
    assert count_peak_memory(model, 224, 1, "train") == count_peak_memory(model, 224, 1, "train")


def test_views_are_free_and_the_dead_are_forgotten() -> None:
    x = torch.empty(10, 10, device="meta")

    def step() -> None:
        for _ in range(3):
            (x.t()[:5] + 1).t().sum()

    assert count_peak(step, [x, x.t()]) == 4 * (100 + 50 + 1)


@pytest.mark.slow
@pytest.mark.parametrize(("model_id", "mode"), [("vit_ti16", "train"), ("pvt_tiny", "infer"), ("swin_t", "train")])
def test_ours_is_the_total_of_torch_s_tracker(model_id: str, mode: str) -> None:
    model = build(model_id, "math")
    ours = count_peak_memory(model, 224, 2, mode)
    images = torch.empty(2, 3, 224, 224, device="meta")
    labels = torch.empty(2, dtype=torch.long, device="meta")
    tracker = MemTracker()
    tracker.track_external(model, images, *([labels] if mode == "train" else []))
    with torch.set_grad_enabled(mode == "train"), tracker:
        logits = model(images)
        if mode == "train":
            functional.cross_entropy(logits, labels).backward()
    theirs = tracker.get_tracker_snapshot("peak")[torch.device("meta")]["Total"]
    assert ours == pytest.approx(theirs, rel=1e-6)  # it rounds what it allocates up to 512 bytes on an accelerator only


@pytest.mark.slow
@pytest.mark.parametrize("model_id", ["deit_ti_distilled", "pvt_tiny", "swin_t", "resnet50", "r50_vit_b32"])
def test_training_needs_more_than_inference_and_math_no_less_than_fused(model_id: str) -> None:
    peaks = {}
    for attention in ("math", "fused"):
        model = build(model_id, attention)
        for mode in ("infer", "train"):
            peaks[mode, attention] = count_peak_memory(model, 224, 1, mode)
        assert peaks["train", attention] > peaks["infer", attention]
    weights = sum(p.nbytes for p in model.parameters())
    assert peaks["infer", "fused"] > weights
    assert peaks["train", "fused"] > 2 * weights
    assert peaks["infer", "math"] >= peaks["infer", "fused"]
    assert peaks["train", "math"] >= peaks["train", "fused"]


def test_math_pays_for_the_attention_matrix_and_fused_does_not() -> None:
    """From 448 to 896 px tokens grow 4-fold (3.997 with the class token): so does fused, and math nearly 16-fold."""
    rise = {}
    for attention in ("math", "fused"):
        peaks = []
        for size in (448, 896):
            model = build("vit_ti16", attention, size)
            peaks.append(count_peak_memory(model, size, 1, "infer") - sum(p.nbytes for p in model.parameters()))
        rise[attention] = peaks[1] / peaks[0]
    assert rise["fused"] == pytest.approx(4, rel=0.01)
    assert 10 < rise["math"] < 16


class Operators(TorchDispatchMode):
    """The names of the attention kernels and softmaxes that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "attention" in str(func) or "softmax" in str(func):
            self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mask", ["none", "constant", "learned"])
@pytest.mark.parametrize("training", [False, True])
def test_the_replay_takes_the_kernel_that_a_cpu_takes(mask: str, training: bool) -> None:
    def kernels(device: str, replay: AbstractContextManager) -> list[str]:
        query, key, value = (torch.zeros(2, 3, 49, 8, device=device, requires_grad=training) for _ in range(3))
        bias = torch.zeros(1, 3, 49, 49, device=device, requires_grad=mask == "learned")
        attn_mask = None if mask == "none" else bias
        with torch.set_grad_enabled(training), replay, Operators() as operators:
            attention: Tensor = functional.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
            if training:
                attention.sum().backward()
        return operators.names

    on_cpu = kernels("cpu", nullcontext())
    assert on_cpu
    assert kernels("meta", CpuAttention()) == on_cpu


SHAPES = [
    # query, key, value, mask, grouped
    ((2, 4, 9, 8), (2, 4, 9, 8), (2, 4, 9, 8), None, False),
    ((2, 4, 9, 8), (2, 4, 5, 8), (2, 4, 5, 8), (9, 5), False),
    ((2, 4, 9, 8), (2, 4, 5, 8), (2, 4, 5, 8), (1, 4, 9, 5), False),
    ((2, 4, 9, 8), (2, 4, 5, 8), (2, 4, 5, 8), (2, 1, 1, 5), False),
    ((2, 4, 9, 8), (2, 4, 5, 8), (2, 4, 5, 8), (4, 9, 5), False),
    ((2, 4, 9, 8), (2, 4, 5, 8), (2, 4, 5, 8), (1, 9, 5), False),
    ((2, 4, 9, 8), (2, 2, 9, 8), (2, 2, 9, 8), None, True),
    ((2, 4, 9, 8), (2, 4, 9, 8), (2, 4, 9, 6), None, False),
    ((2, 4, 9, 8), (1, 4, 9, 8), (1, 4, 9, 8), None, False),
    ((4, 9, 8), (4, 9, 8), (4, 9, 8), None, False),
    ((4, 9, 8), (4, 9, 8), (4, 9, 8), (9,), False),
    ((4, 9, 8), (4, 9, 8), (4, 9, 8), (9, 9), False),
    ((4, 9, 8), (4, 9, 8), (4, 9, 8), (4, 9, 9), False),
    ((4, 9, 8), (4, 9, 8), (4, 9, 8), (1, 4, 9, 9), False),
    ((2, 3, 4, 9, 8), (2, 3, 4, 9, 8), (2, 3, 4, 9, 8), None, False),
]


@pytest.mark.parametrize(("query", "key", "value", "mask", "grouped"), SHAPES)
@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("strided", [False, True])
def test_the_replay_takes_the_kernel_that_a_cpu_takes_for_any_shape(
    query: Any, key: Any, value: Any, mask: Any, grouped: bool, dropout: float, strided: bool
) -> None:
    def seen(device: str) -> dict[str, Any]:
        shapes = {"query": query, "key": key, "value": value, "attn_mask": mask}
        given: dict[str, Any] = {name: shape and torch.zeros(shape, device=device) for name, shape in shapes.items()}
        if strided:
            given["query"] = torch.zeros(*query[:-2], query[-1], query[-2], device=device).transpose(-1, -2)
        return {**given, "dropout_p": dropout, "enable_gqa": grouped}

    with torch.no_grad(), Operators() as real:
        functional.scaled_dot_product_attention(**seen("cpu"))
    with torch.no_grad(), CpuAttention(), Operators() as replayed:
        functional.scaled_dot_product_attention(**seen("meta"))
    assert replayed.names == real.names
    assert real.names


def test_the_unfused_kernel_s_softmax_is_a_copy_of_the_scores_and_a_mask() -> None:
    """Scores and softmax of 4 bytes each, and a mask of 1; the mask of the rows besides."""
    scores = torch.empty(100, 100, device="meta")
    with LiveStorages() as storages:
        storages.follow([scores])
        torch.ops.aten._safe_softmax(scores, -1)
    assert 9 * 100**2 <= storages.peak <= 9 * 100**2 + 2 * 100
