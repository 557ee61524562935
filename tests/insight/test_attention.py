"""The maps are those of the model's own attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from replication.insight.attention import watch_attention
from replication.models.detr import Detr


def detr(**changes: int) -> Detr:
    torch.manual_seed(0)
    sizes = {"hidden_dim": 16, "num_heads": 2, "dim_feedforward": 8, "encoder_layers": 2, "decoder_layers": 3} | changes
    return Detr("small", num_queries=5, num_classes=4, dropout=0.0, in_chans=1, **sizes).eval()  # type: ignore[arg-type]


@torch.no_grad()
def test_maps_are_the_attention_of_the_last_layers() -> None:
    model, images = detr(), torch.randn(2, 1, 32, 48)
    with watch_attention(model) as watch:
        model(images)
        assert watch.encoder is not None
        cells, queries = torch.tensor([0, 7, 23]), torch.tensor([4, 1])
        encoder, decoder = watch.maps(watch.encoder, cells), watch.maps(watch.decoder, queries)
    assert watch.grid == (4, 6)
    assert (encoder.shape, decoder.shape) == ((2, 3, 4, 6), (2, 2, 4, 6))
    for maps in (encoder, decoder):
        assert maps.sum((2, 3)).flatten().tolist() == pytest.approx([1] * (maps.shape[0] * maps.shape[1]))

    # Again without a hook: tokens through the layers one by one, up to what the last attention is given.
    body, place = model.backbone
    first: Any
    last: Any
    layer: Any
    grid = model.input_proj(body(images))
    tokens = grid.flatten(2).transpose(1, 2)
    positions = place(torch.zeros(2, 4, 6, dtype=torch.bool)).flatten(2).transpose(1, 2)
    first, last = model.transformer.encoder.layers
    before = first(tokens, positions, None)
    expected = last.self_attn.compute_weights(before + positions, before + positions)  # (B, h, N, N)
    torch.testing.assert_close(encoder, expected.mean(1)[:, cells].unflatten(2, (4, 6)))

    memory, query = last(before, positions, None), model.query_embed.weight.repeat(2, 1, 1)
    x = torch.zeros_like(query)
    *earlier, layer = model.transformer.decoder.layers
    for one in earlier:
        x = one(x, query, memory, positions, None)
    x = layer.norm1(x + layer.self_attn(x + query, x + query, x))
    expected = layer.multihead_attn.compute_weights(x + query, memory + positions)
    torch.testing.assert_close(decoder, expected.mean(1)[:, queries].unflatten(2, (4, 6)))


@torch.no_grad()
def test_what_is_padded_gets_no_attention() -> None:
    model, images = detr(), torch.randn(1, 1, 32, 48)
    padding = torch.zeros(1, 32, 48, dtype=torch.bool)
    padding[:, :, 32:] = True  # the last two of six columns
    with watch_attention(model) as watch:
        model(images, padding)
        maps = watch.maps(watch.decoder, torch.arange(5))
    assert (maps[..., 4:] == 0).all()
    assert (maps[..., :4] > 0).all()


@torch.no_grad()
def test_a_model_without_an_encoder_has_no_such_map_and_a_watch_ends() -> None:
    model = detr(encoder_layers=0)
    with watch_attention(model) as watch:
        model(torch.randn(1, 1, 32, 32))
    assert watch.encoder is None
    assert set(watch.given) == {watch.decoder}
    watch.given.clear()
    model(torch.randn(1, 1, 32, 32))
    assert not watch.given
