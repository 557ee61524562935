from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from replication import data
from replication.papers.parts.recipe import resolve
from replication.records.card import Experiment
from replication.records.words import UserError
from replication.training import run_arm
from replication.training.masked_patches import MaskedPatches, PatchPredictor, classify_colours, draw_corruption
from replication.training.start import build_fresh

CPU = torch.device("cpu")


def masked(experiment: Experiment) -> tuple[MaskedPatches, data.Dataset]:
    digits = data.load("digits", 28, 50)
    return (
        MaskedPatches(
            build_fresh(experiment.model, 28, 10, 1, 0), resolve(experiment, "masked", "smoke"), digits, CPU, None
        ),
        digits,
    )


def test_half_is_corrupted_eight_to_one_to_one() -> None:
    B, N = 2000, 20
    chosen, source = draw_corruption(B, N, torch.Generator().manual_seed(0))
    assert chosen.shape == (B, N // 2)
    assert (chosen.sort(dim=1).values.diff() > 0).all()  # no patch twice
    where = torch.zeros(B, N, dtype=torch.bool).scatter(1, chosen, True)
    own = torch.arange(N).expand(B, N)
    assert torch.equal(source[~where], own[~where])
    mask, kept = (source[where] == N), (source == own)[where]
    other = ~mask & ~kept
    for kind, share in ((mask, 0.8), (other, 0.1), (kept, 0.1)):
        # Of 20,000 draws: four standard deviations.
        assert kind.double().mean().item() == pytest.approx(share, abs=4 * (share * (1 - share) / kind.numel()) ** 0.5)
    assert where.double().mean(dim=0) == pytest.approx([0.5] * N, abs=4 * 0.5 / B**0.5)  # any patch alike


def test_colours_count_the_levels_of_the_channels() -> None:
    black, white = torch.tensor([-1.0, 0.0, 0.0]), torch.tensor([1.0, 1.0, 2.0])
    levels = torch.tensor([[0, 3, 7], [7, 7, 7], [0, 0, 0]])
    means = black + (levels + 0.5) / 8 * (white - black)  # (patches, channels)
    means[1], means[2] = white, black  # the extremes are in range
    patches = means.T.reshape(1, 3, 1, 3).repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    assert classify_colours(patches, (4, 4), black, white).tolist() == [[3 * 8 + 7 * 64, 511, 0]]


def test_intact_embeddings_pass_through_the_vit(experiment: Experiment) -> None:
    model = build_fresh(experiment.model, 28, 10, 1, 0)
    predictor = PatchPredictor(model, 8).eval()  # type: ignore[arg-type]
    images = torch.randn(3, 1, 28, 28)
    everywhere = torch.arange(4).expand(3, 4)
    tokens = model.forward_features(images)[:, 1:]  # type: ignore[operator]
    torch.testing.assert_close(predictor(images, everywhere, everywhere), predictor.colour(tokens))


def test_masked_patch_is_not_seen_and_the_mask_is(experiment: Experiment) -> None:
    predictor = PatchPredictor(build_fresh(experiment.model, 28, 10, 1, 0), 8).eval()  # type: ignore[arg-type]
    chosen, source = torch.tensor([[0]]), torch.tensor([[4, 1, 2, 3]])
    one, other = torch.randn(2, 1, 1, 28, 28)
    other[..., 14:], other[..., 14:, :] = one[..., 14:], one[..., 14:, :]  # they differ in the masked patch alone
    assert torch.equal(predictor(one, chosen, source), predictor(other, chosen, source))
    nn.init.ones_(predictor.mask)
    assert not torch.equal(predictor(one, chosen, source), predictor(one, chosen, source.new_tensor([[0, 1, 2, 3]])))


def test_perfect_predictor_has_no_loss_and_a_blind_one_the_logarithm_of_the_colours(experiment: Experiment) -> None:
    task, digits = masked(experiment)

    class Perfect(nn.Module):
        """Sees through the mask."""

        def forward(self, images: Tensor, chosen: Tensor, source: Tensor) -> Tensor:
            right = classify_colours(images, (14, 14), task.black, task.white).gather(1, chosen)
            return 1e3 * nn.functional.one_hot(right, 8).float()

    class Blind(nn.Module):
        def forward(self, images: Tensor, chosen: Tensor, source: Tensor) -> Tensor:
            return torch.zeros(*chosen.shape, 8)

    assert task.evaluate(Perfect(), digits.test, CPU) == {"loss": 0.0, "top1": 100.0}
    assert task.evaluate(Blind(), digits.test, CPU)["loss"] == pytest.approx(3 * torch.tensor(2.0).log().item())
    images, targets = task.augment(*digits.train.take(torch.arange(5)))
    assert task.loss(Perfect(), images, targets).item() == 0


def test_evaluation_corrupts_the_same_patches_every_time(experiment: Experiment) -> None:
    task, digits = masked(experiment)
    task.module.eval()
    first = task.evaluate(task.module, digits.test, CPU)
    torch.rand(3)
    assert task.evaluate(task.module, digits.test, CPU) == first


def test_weights_start_a_classifier_with_a_fresh_head(experiment: Experiment, tmp_path: Path) -> None:
    run_arm(experiment, "masked", 0, "smoke", tmp_path / "masked", tmp_path / "side")
    before = safetensors.torch.load_file(tmp_path / "masked" / "weights.safetensors")
    run_arm(
        experiment, "fine_tuned", 0, "smoke", tmp_path / "out", tmp_path / "side",
        tmp_path / "masked" / "weights.safetensors",
    )  # fmt: skip
    after = safetensors.torch.load_file(tmp_path / "out" / "weights.safetensors")
    assert before.keys() == after.keys()
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"head.weight"}
    assert after["head.bias"].abs().max() == 0
    untouched = build_fresh(experiment.model, 28, 10, 1, 0).state_dict()
    assert not torch.equal(before["blocks.0.mlp.fc1.weight"], untouched["blocks.0.mlp.fc1.weight"])


def test_only_a_vit_learns_from_masked_patches(experiment: Experiment) -> None:
    with pytest.raises(UserError, match="only a ViT of two patches or more"):
        MaskedPatches(nn.Linear(1, 1), resolve(experiment, "masked", "smoke"), data.load("digits", 28, 50), CPU, None)
