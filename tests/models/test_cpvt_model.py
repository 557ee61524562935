"""CPVT: what the positional encoding generator does, and that nothing else tells a token where it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer

from replication.models.cpvt import ConditionalPositionTransformer, PositionalEncodingGenerator

TINY: dict[str, Any] = {"patch_size": 4, "embed_dim": 24, "depth": 3, "num_heads": 3, "num_classes": 5}


def seeded(**changes: Any) -> ConditionalPositionTransformer:
    torch.manual_seed(0)
    model = ConditionalPositionTransformer(**TINY | changes).double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_the_generator_written_out() -> None:
    """Token by token: itself, the bias, and the 3 x 3 weighted neighbours that lie inside the grid."""
    torch.manual_seed(0)
    generator = PositionalEncodingGenerator(2).double()
    x = torch.randn(1, 1 + 6, 2, dtype=torch.double)  # a class token and a grid of 2 x 3
    weight, bias = generator.proj[0].weight, generator.proj[0].bias
    assert isinstance(weight, torch.Tensor)
    assert isinstance(bias, torch.Tensor)
    out = generator(x, (2, 3))
    torch.testing.assert_close(out[:, 0], x[:, 0])
    for row in range(2):
        for column in range(3):
            expected = x[0, 1 + 3 * row + column] + bias
            for i in range(2):
                for j in range(3):
                    if abs(i - row) <= 1 and abs(j - column) <= 1:
                        expected = expected + weight[:, 0, i - row + 1, j - column + 1] * x[0, 1 + 3 * i + j]
            torch.testing.assert_close(out[0, 1 + 3 * row + column], expected)


def test_without_generators_it_is_a_vit_without_positions() -> None:
    model = seeded(peg_after=())
    vit = VisionTransformer(img_size=16, pos_embed="none", **TINY).double().eval()
    vit.load_state_dict(model.state_dict())
    x = torch.randn(2, 3, 16, 16, dtype=torch.double)
    torch.testing.assert_close(model(x), vit(x))


@pytest.mark.parametrize(("peg_after", "same"), [((), True), ((0,), False)])
def test_only_the_generator_sees_the_order_of_patches(peg_after: tuple[int, ...], same: bool) -> None:
    model = seeded(peg_after=peg_after, class_token=False)
    x = torch.randn(1, 3, 16, 16, dtype=torch.double)
    tiles = x.unfold(2, 4, 4).unfold(3, 4, 4).flatten(2, 3)[:, :, torch.randperm(16)].unflatten(2, (4, 4))
    shuffled = tiles.permute(0, 1, 2, 4, 3, 5).reshape(1, 3, 16, 16)
    assert torch.allclose(model(x), model(shuffled)) == same


def test_the_generator_is_equivariant_to_translation_away_from_the_border() -> None:
    generator = PositionalEncodingGenerator(4).double()
    grid = torch.zeros(1, 9, 9, 4, dtype=torch.double)
    grid[0, 3:5, 3:5] = torch.randn(2, 2, 4, dtype=torch.double)
    moved = grid.roll((1, 2), dims=(1, 2))
    out, out_moved = (generator(g.flatten(1, 2), (9, 9)).unflatten(1, (9, 9)) for g in (grid, moved))
    torch.testing.assert_close(out.roll((1, 2), dims=(1, 2)), out_moved)


@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize("size", [(16, 16), (24, 16), (40, 40)])
def test_any_image_size_with_the_same_weights(class_token: bool, size: tuple[int, int]) -> None:
    model = seeded(class_token=class_token)
    assert model(torch.randn(2, 3, *size, dtype=torch.double)).shape == (2, 5)


def test_generators_follow_the_blocks_asked_for() -> None:
    x = torch.randn(1, 3, 16, 16, dtype=torch.double)
    first = seeded(peg_after=(0,))
    last = seeded(peg_after=(2,))
    last.load_state_dict(first.state_dict())
    assert not torch.allclose(first(x), last(x))
    assert len(seeded(peg_after=range(3)).pos_block) == 3


def test_drop_path_grows_linearly_over_the_blocks() -> None:
    model = ConditionalPositionTransformer(**TINY, drop_path_rate=0.4)
    rates = [getattr(block.drop_path1, "drop_prob", 0.0) for block in model.blocks]  # timm: no module at rate 0
    assert rates == pytest.approx([0, 0.2, 0.4])


def test_initial_weights_are_those_of_deit() -> None:
    torch.manual_seed(0)
    model = ConditionalPositionTransformer(**TINY | {"embed_dim": 192})
    for name, parameter in model.named_parameters():
        if name == "cls_token" or parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.2), name
        elif "norm" in name and name.endswith("weight"):
            assert (parameter == 1).all(), name
        elif "patch_embed" not in name and "pos_block" not in name:
            assert (parameter == 0).all(), name
