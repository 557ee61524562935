"""The attention modules of Swin's Table 5: as many as it prints, of the printed sizes, and what each costs."""

from __future__ import annotations

import re

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from replication import papers
from replication.records.words import UserError
from replication.speed.swin_table5 import METHODS, MODULES, STAGES, BlockAttention, find_module

every_module = pytest.mark.parametrize("name", MODULES)


def seeded(name: str) -> BlockAttention:
    torch.manual_seed(0)
    return MODULES[name].build().eval()


def test_they_are_the_cells_of_the_table_but_for_the_kernel() -> None:
    (table,) = [table for table in papers.find_card("swin").tables if table.id == "table5"]
    named = [cell.model for cell in table.published if "kernel" not in cell.row]
    assert [name for name in named if name in MODULES] == list(MODULES)
    assert [name for name in named if name not in MODULES and name not in papers.list_variants()] == []
    assert len(named) - len(MODULES) == len(METHODS) * 3


def test_sizes_are_those_of_swin_t() -> None:
    (swin,) = [model for model in papers.find_card("swin").variants if model.id == "swin_t"]
    assert [heads for _, _, heads in STAGES.values()] == list(swin.architecture["num_heads"])
    assert [dim for _, dim, _ in STAGES.values()] == [swin.architecture["embed_dim"] * 2**i for i in range(4)]
    assert [side for side, _, _ in STAGES.values()] == [224 // 4 // 2**i for i in range(4)]
    assert {MODULES[f"{method}_s2"].shape for method in METHODS} == {(28, 28, 192)}


@pytest.mark.parametrize("stage", STAGES)
def test_padded_and_cyclic_modules_give_the_same_answer_and_unshifted_ones_another(stage: str) -> None:
    side, dim, _ = STAGES[stage]
    x = torch.randn(1, side, side, dim)
    with torch.inference_mode():
        cyclic, padded, unshifted = (
            seeded(f"{method}_{stage}")(x)
            for method in ("shifted_window_cyclic", "shifted_window_padding", "window_w_o_shifting")
        )
    torch.testing.assert_close(padded, cyclic, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(unshifted, cyclic, atol=1e-3)


@every_module
def test_a_module_is_its_attention_alone(name: str) -> None:
    """Multiply-adds in closed form (Swin, eq. 2); heads are 32 wide, so Performer has 32 log 32 = 110 features."""
    size = MODULES[name]
    N, D = size.side**2, size.dim
    places = (size.side + 7) ** 2 if "padding" in name else N
    pairs = 2 * N * 110 + N * 110 / 32 if "performer" in name else 2 * places * 7**2
    features = 2 * N * 110 if "performer" in name else 0
    with torch.device("meta"):
        module, x = size.build().eval(), torch.empty(1, *size.shape)
        with FlopCounterMode(display=False) as counter:
            assert module(x).shape == x.shape
    assert counter.get_total_flops() / 2 == 4 * places * D**2 + (features + pairs) * D
    assert {re.sub(r".*attn\.(attention\.)?", "", key) for key, _ in module.named_parameters()} <= {
        *("qkv.weight", "qkv.bias", "proj.weight", "proj.bias", "relative_position_bias_table")
    }


def test_an_unknown_module_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'performer_s5'; did you mean 'performer_s4'"):
        find_module("performer_s5")
