"""How far timm's defaults are from what was released, measured: the same weights in both, the logits compared.

Our variants follow the release; this says what it would cost not to.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table
from torch import nn

from replication.models.build import build
from replication.models.positions import resize_positions
from replication.records.rows import Departure
from replication.records.store import read_clock, write_manifest, write_rows


def write_departures(out: Path) -> None:
    """Write all differences as one CSV. Weights and image are random, from a seed."""
    started = read_clock()
    write_rows(out, measure_departures(), Departure)
    write_manifest(out.with_suffix(".json"), started, [out])


def measure_departures() -> Iterator[Departure]:
    """Measure each known difference between a release and timm 1.0 that changes numbers, as one row."""
    yield Departure(
        model="vit_s16",
        detail="GELU",
        released="tanh",
        timm="erf",
        relative=measure_difference(*share_weights(build("vit_s16"), build("vit_s16", act_layer="gelu"))),
    )
    narrow: dict[str, Any] = {"embed_dim": 192, "num_heads": 3}
    hybrid = timm.create_model("vit_base_r50_s16_224", act_layer="gelu_tanh", num_classes=1000, **narrow)
    yield Departure(
        model="r50_vit_b16 (width 192)",
        detail="epsilons of weight standardisation and GroupNorm",
        released="std + 1e-5; 1e-6",
        timm="sqrt(var + 1e-8); 1e-5",
        relative=measure_difference(*share_weights(build("r50_vit_b16", **narrow), hybrid)),
    )
    for model, method, released in (
        ("vit_s16", "bilinear", "bilinear, corners aligned"),
        ("deit_s", "bicubic", "bicubic"),
    ):
        table = torch.randn(1, 1 + 14 * 14, 384, dtype=torch.double, generator=torch.Generator().manual_seed(2))
        ours, theirs = share_weights(build(model, 384), build(model, 384))
        ours.get_parameter("pos_embed").data.copy_(resize_positions(table, (14, 14), (24, 24), 1, method))
        theirs.get_parameter("pos_embed").data.copy_(resample_abs_pos_embed(table, [24, 24]))
        yield Departure(
            model=model,
            detail="positions resized from 224 to 384 px",
            released=released,
            timm="bicubic, antialiased",
            relative=measure_difference(ours, theirs, image_size=384),
        )
    ours, theirs = share_weights(build("swin_t", 384, window_size=12), build("swin_t", 384, window_size=12))
    for (name, parameter), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if name.endswith("relative_position_bias_table"):
            generator = torch.Generator().manual_seed(2)
            table = torch.randn(13 * 13, parameter.shape[1], dtype=torch.double, generator=generator)
            parameter.data.copy_(resize_positions(table[None], (13, 13), (23, 23), 0, "bicubic")[0])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # timm's interpolation indexes in a way that PyTorch deprecates
                other.data.copy_(resize_rel_pos_bias_table(table, (12, 12), parameter.shape))
    yield Departure(
        model="swin_t",
        detail="biases resized from windows of 7 to 12, 384 px",
        released="bicubic",
        timm="cubic, on distances that grow geometrically",
        relative=measure_difference(ours, theirs, image_size=384),
    )


def share_weights(first: nn.Module, second: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Give both models, in float64, weights from one seed: N(0, 1 / fan-in), so that activations keep their size.

    Vectors are those of a fresh model where its law is fixed, as the ones of a norm are, and all biases are zero.
    """
    generator = torch.Generator().manual_seed(0)
    for name, parameter in first.double().named_parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(0.0, parameter[0].numel() ** -0.5, generator=generator)
        elif name.endswith("bias"):
            parameter.data.zero_()
    second.double().load_state_dict(first.state_dict())
    return first.eval(), second.eval()


def measure_difference(first: nn.Module, second: nn.Module, image_size: int = 224) -> float:
    """Measure the largest difference of a logit, over the largest logit, on one random image."""
    shape = (1, 3, image_size, image_size)
    image = torch.randn(shape, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        a, b = first(image), second(image)
    return float((a - b).abs().max() / a.abs().max())
