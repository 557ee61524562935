"""oneDNN's linear layers: the numbers of PyTorch's own, forward and back; PyTorch's own where they do not apply."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from replication.training import products
from replication.training.products import Linear, linear, use_onednn

pytestmark = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


def tensors(*shapes: tuple[int, ...]) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(shape, requires_grad=True) for shape in shapes]


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that went to oneDNN."""
    seen: list[tuple[int, ...]] = []
    product = products._product

    def watched(x: Tensor, *others: Tensor | None) -> Tensor:
        seen.append(tuple(x.shape))
        return product(x, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(products, "_product", watched)
    return seen


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("shape", [(5, 7), (3, 5, 7), (2, 3, 5, 7), (1, 1, 7)])
def test_results_and_gradients_are_those_in_double_precision(
    shape: tuple[int, ...], biased: bool, taken: list[tuple[int, ...]]
) -> None:
    x, weight, bias = tensors(shape, (4, 7), (4,))
    given = [x, weight, bias] if biased else [x, weight]
    exact = [tensor.detach().double().requires_grad_() for tensor in given]
    result, expected = linear(*given), F.linear(*exact)
    assert taken == [shape]
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=1e-5)
    grad = torch.randn_like(result)
    found = torch.autograd.grad(result, given, grad)
    for one, other in zip(found, torch.autograd.grad(expected, exact, grad.double()), strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-5, atol=1e-5)


def test_slices_and_transposed_gradients(taken: list[tuple[int, ...]]) -> None:
    """The class token alone of a batch, and a result that is read transposed."""
    x, weight, bias = tensors((6, 5, 7), (12, 7), (12,))
    for function in (linear, F.linear):
        y = function(x[:, :1], weight[:8], bias[:8]).transpose(0, 2)
        y.square().sum().backward()
    assert taken[0] == (6, 1, 7)
    again = [tensor.detach().requires_grad_() for tensor in (x, weight, bias)]
    F.linear(again[0][:, :1], again[1][:8], again[2][:8]).square().sum().backward()
    for one, other in zip((x, weight, bias), again, strict=True):
        torch.testing.assert_close(one.grad, 2 * other.grad)  # type: ignore[operator]


def test_no_gradient_is_made_that_nobody_wants(taken: list[tuple[int, ...]]) -> None:
    x, weight, bias = tensors((5, 7), (4, 7), (4,))
    linear(x.detach(), weight, bias.detach()).sum().backward()
    assert x.grad is None
    assert bias.grad is None
    assert taken == [(5, 7), (4, 5)]  # the result, and the weight's gradient


def test_elsewhere_it_is_pytorch_s_own(taken: list[tuple[int, ...]]) -> None:
    x, weight, bias = tensors((5, 7), (4, 7), (4,))
    double = [tensor.double() for tensor in (x, weight, bias)]
    assert linear(*double).equal(F.linear(*double))
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight, bias).dtype == torch.bfloat16
    meta = [tensor.to("meta") for tensor in (x, weight, bias)]
    assert linear(*meta).is_meta
    assert taken == []


def test_layers_keep_their_parameters_and_other_kinds_are_left_alone(taken: list[tuple[int, ...]]) -> None:
    class Other(nn.Linear):
        pass

    model = nn.Sequential(nn.Linear(7, 7), nn.LayerNorm(7), Other(7, 7))
    before, x = {name: id(p) for name, p in model.named_parameters()}, torch.randn(5, 7)
    expected = model(x)
    use_onednn(model)
    assert [type(layer) for layer in model] == [Linear, nn.LayerNorm, Other]
    assert {name: id(p) for name, p in model.named_parameters()} == before
    assert list(model.state_dict()) == list(before)
    torch.testing.assert_close(model(x), expected)
    assert copy.deepcopy(model)(x).equal(model(x))  # as a moving average of the weights is made
    assert taken == [(5, 7)] * 3
