"""Remembered shapes change nothing but the time: same shapes, same strides, same types, same storages."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from replication import papers
from replication.complexity.memory import count_peak_memory
from replication.complexity.shapes import RememberedShapes, _find_result
from replication.complexity.sweep import build_skeleton
from replication.complexity.tracing import count_fvcore

MODELS = ["vit_ti16", "swin_t", "pvt_tiny", "twins_svt_s", "tnt_s", "msg_t", "resnet50"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["infer", "train"])
@pytest.mark.parametrize("model_id", MODELS)
def test_the_peak_of_memory_is_the_same(model_id: str, mode: str) -> None:
    model = build_skeleton(papers.find_variant(model_id), 224)
    plain = count_peak_memory(model, 224, 2, mode)
    with RememberedShapes():
        first, again = (count_peak_memory(model, 224, 2, mode) for _ in range(2))
    assert plain == first == again


@pytest.mark.parametrize("model_id", MODELS)
def test_who_watches_within_sees_every_operator(model_id: str) -> None:
    model, image = build_skeleton(papers.find_variant(model_id), 224), torch.empty(1, 3, 224, 224, device="meta")

    def flops() -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model.eval()(image)
        return counter.get_total_flops()

    plain = flops()
    with RememberedShapes():
        assert flops() == flops() == plain


def test_a_trace_is_the_same() -> None:
    model = build_skeleton(papers.find_variant("swin_t"), 224)
    plain = count_fvcore(model, 224)
    with RememberedShapes():
        assert count_fvcore(model, 224) == count_fvcore(model, 224) == plain


def test_numbers_that_are_equal_are_not_taken_for_each_other() -> None:
    whole = torch.empty(3, dtype=torch.long, device="meta")
    with RememberedShapes():
        results = [whole + number for number in (1, 1.0, True, 1, 1.0)]
    assert [r.dtype for r in results] == [torch.int64, torch.float32, torch.int64, torch.int64, torch.float32]


def test_strides_are_told_apart_and_come_back() -> None:
    square = torch.empty(3, 4, 5, 6, device="meta")
    last = square.to(memory_format=torch.channels_last)
    with RememberedShapes():
        strides = [(x + 1).stride() for x in (square, last, square, last)]
    assert strides == [square.stride(), last.stride()] * 2


def test_results_are_new_tensors() -> None:
    ones = torch.empty(3, device="meta")
    with RememberedShapes():
        first, second = ones + 1, ones + 1
        view, viewed = torch.ops.aten._unsafe_view.default(first, [3, 1]), first.view(3, 1)
    storages = [x.untyped_storage()._cdata for x in (ones, first, second)]
    assert len(set(storages)) == 3
    assert view.untyped_storage()._cdata == viewed.untyped_storage()._cdata == storages[1]


def test_where_values_make_the_shape_nothing_is_remembered() -> None:
    before = _find_result.cache_info().currsize
    with RememberedShapes():
        sizes = [torch.tensor(values).nonzero().shape for values in ([0, 1, 1], [0, 0, 1])]
    assert sizes == [(2, 1), (1, 1)]
    assert _find_result.cache_info().currsize == before


def test_several_results_and_none_among_them() -> None:
    grad, x = torch.empty(2, 8, device="meta"), torch.empty(2, 8, device="meta")
    mean = rstd = torch.empty(2, 1, device="meta")
    with RememberedShapes():
        for _ in range(2):
            dx, dweight, dbias = torch.ops.aten.native_layer_norm_backward(
                grad, x, [8], mean, rstd, None, None, [True, False, False]
            )
            assert (dx.shape, dweight, dbias) == (x.shape, None, None)
