from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor

from replication import data
from replication.papers.parts.recipe import resolve
from replication.records.card import Experiment
from replication.records.words import UserError
from replication.training.classification import Classification
from replication.training.learner import Learner
from replication.training.processes import Processes
from replication.training.start import build_fresh, find_heads

CPU = torch.device("cpu")
RATE = 1e-3


def learner(experiment: Experiment, arm: str = "pretrain", **changes: Any) -> Learner:
    recipe = dataclasses.replace(resolve(experiment, arm, "smoke"), **changes)
    model = build_fresh(experiment.choose_variant(arm), 28, 10, 1, 0, **{"proj_drop_rate": 0.0, **recipe.architecture})
    return Learner(Classification(model, recipe, data.load("digits", 28, 300), CPU, None), recipe, CPU, Processes())


def batch(images: int = 64) -> tuple[Tensor, Tensor]:
    return data.load("digits", 28, 300).train.take(torch.arange(images))


def parameters(learned: Learner) -> Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in learned.module.parameters()])


@pytest.mark.parametrize(("optimizer", "dtype"), [("sgd", torch.float32), ("adamw", torch.float64)])
def test_four_micro_batches_are_one_batch(experiment: Experiment, optimizer: str, dtype: torch.dtype) -> None:
    # AdamW divides by the size of the gradient, and that of the keys' biases is all rounding: hence float64.
    whole, parts = (learner(experiment, optimizer=optimizer, micro_batch=size) for size in (None, 16))
    images, labels = batch()
    for learned in (whole, parts):
        learned.module.to(dtype)
    for _ in range(5):
        one, other = (learned.step(images.to(dtype), labels, 64, 1e-2) for learned in (whole, parts))
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-6)
    assert (parameters(whole) - parameters(parts)).abs().max() < 1e-6


def test_micro_batches_of_unequal_size_weigh_their_images(experiment: Experiment) -> None:
    whole, parts = learner(experiment), learner(experiment, micro_batch=24)  # 24, 24 and 16
    torch.testing.assert_close(whole.step(*batch(), 64, RATE), parts.step(*batch(), 64, RATE), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "rate"), [("adamw", 1e-2), ("adam", 1e-2), ("sgd", 0.1), ("lamb", 0.05), ("muon", 1e-2)]
)
def test_every_optimizer_lowers_the_loss(experiment: Experiment, optimizer: str, rate: float) -> None:
    learned = learner(experiment, optimizer=optimizer)
    learned.learning()
    losses = [learned.step(*batch(), 64, rate)[0].item() for _ in range(40)]
    assert losses[-1] < 0.8 * losses[0]


def test_sgd_is_plain_momentum(experiment: Experiment) -> None:
    learned = learner(experiment, optimizer="sgd", weight_decay=0.0, clip_norm=None)
    (group,) = {id(g): g for g in learned.optimizer.param_groups if g["params"]}.values()
    before, velocity = parameters(learned), torch.zeros(())
    for _ in range(3):
        learned.step(*batch(), 64, 0.1)
        gradient = torch.cat([parameter.grad.flatten() for parameter in learned.parameters])  # type: ignore[union-attr]
        velocity = 0.9 * velocity + gradient
        before = before - 0.1 * velocity
        torch.testing.assert_close(parameters(learned), before)
    assert not group["nesterov"]


def test_decay_spares_biases_norms_class_token_and_positions(experiment: Experiment) -> None:
    learned = learner(experiment)
    decayed = {id(p) for group in learned.optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    names = {name for name, parameter in learned.module.named_parameters() if id(parameter) in decayed}
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    assert names == {"patch_embed.proj.weight", "head.weight", *(f"blocks.0.{layer}.weight" for layer in layers)}


def test_muon_steps_as_far_in_every_direction_of_a_matrix_and_spares_the_rest(experiment: Experiment) -> None:
    learned = learner(experiment, optimizer="muon", weight_decay=0.0)
    weight = learned.module.get_submodule("blocks.0.attn.proj").weight
    assert isinstance(weight, torch.nn.Parameter)
    before = weight.detach().clone()
    learned.step(*batch(), 64, 0.1)
    turned = torch.linalg.svdvals(weight.detach() - before)
    assert turned[0] / turned[-4] < 3  # the iteration ends near 1, not at it
    told = learned.optimizer.state
    turning = {name for name, parameter in learned.module.named_parameters() if told[parameter]["use_muon"]}
    layers = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
    assert turning == {"head.weight", *(f"blocks.0.{layer}.weight" for layer in layers)}


def test_moving_average_of_two_steps(experiment: Experiment) -> None:
    learned = learner(experiment, ema_decay=0.9)
    states = [parameters(learned)]
    for _ in range(2):
        learned.step(*batch(), 64, RATE)
        states.append(parameters(learned))
    average = torch.cat([parameter.detach().flatten() for parameter in learned.tested.parameters()])
    torch.testing.assert_close(average, 0.81 * states[0] + 0.09 * states[1] + 0.1 * states[2])
    assert learned.tested is not learned.module


def test_clipping_bounds_the_gradient_and_is_off_without_a_norm(experiment: Experiment) -> None:
    free, clipped = learner(experiment, clip_norm=None), learner(experiment, clip_norm=0.01)
    norms = []
    for learned in (free, clipped):
        _, norm = learned.step(*batch(), 64, RATE)
        norms.append((norm.item(), torch.stack([p.grad.norm() for p in learned.parameters]).norm().item()))  # type: ignore[union-attr]
    assert norms[0][0] == 0
    assert norms[1][0] == pytest.approx(norms[0][1])
    assert norms[1][1] == pytest.approx(0.01, rel=1e-3)


def test_linear_readout_learns_the_head_on_features_that_stay(experiment: Experiment) -> None:
    learned = learner(experiment, trainable="head", architecture={"proj_drop_rate": 0.5, "drop_path_rate": 0.5})
    before = {name: tensor.clone() for name, tensor in learned.module.state_dict().items()}
    learned.learning()
    features = [learned.module.forward_features(batch()[0]) for _ in range(2)]  # type: ignore[operator]
    assert torch.equal(*features)  # nothing is dropped
    for _ in range(2):
        learned.step(*batch(), 64, RATE)
    changed = {name for name, tensor in learned.module.state_dict().items() if not torch.equal(tensor, before[name])}
    assert changed == {"head.weight", "head.bias"}


def test_distilled_model_has_two_heads(experiment: Experiment) -> None:
    model = build_fresh(experiment.choose_variant("distilled"), 28, 10, 1, 0)
    assert find_heads(model) == [model.head, model.head_dist]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_a_cpu_attention_forms_its_matrix(experiment: Experiment, precision: str) -> None:
    learned = learner(experiment, precision=precision, architecture={"depth": 2})
    attention: Any = learned.module.get_submodule("blocks.0.attn")
    assert attention.fused_attn is False


def test_tf32_needs_a_gpu(experiment: Experiment) -> None:
    with pytest.raises(UserError, match="tf32 needs a GPU"):
        learner(experiment, precision="tf32")


def test_fp16_scales_the_loss_and_not_what_is_learned(experiment: Experiment) -> None:
    one, other = learner(experiment), learner(experiment, precision="fp16")
    for _ in range(3):
        torch.testing.assert_close(one.step(*batch(), 64, RATE), other.step(*batch(), 64, RATE), rtol=1e-2, atol=1e-2)
    assert other.state_dict()["scaler"]["scale"] > 1
    assert one.state_dict()["scaler"] == {}


def test_compiled_model_learns_the_same(experiment: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []

    def traced(module: Any) -> Any:  # the whole way of torch.compile but for its C++
        compiled.append(module)
        return original(module, backend="eager")

    original = torch.compile
    monkeypatch.setattr(torch, "compile", traced)
    one, other = learner(experiment), learner(experiment, compile=True)
    assert compiled == [other.module]
    for _ in range(2):
        torch.testing.assert_close(one.step(*batch(), 64, RATE), other.step(*batch(), 64, RATE))
    assert one.module.state_dict().keys() == other.module.state_dict().keys()


def test_bf16_is_close_to_fp32_and_not_the_same(experiment: Experiment) -> None:
    one, other = (
        learner(experiment, precision=precision).step(*batch(), 64, RATE)[0] for precision in ("fp32", "bf16")
    )
    assert one != other
    torch.testing.assert_close(one, other, rtol=1e-2, atol=0)
