"""All that is measured of one classifier: numbers, and the tables and arrays that pictures are drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from replication.data.splits import Dataset, Split
from replication.insight.classifiers import depth, filters, positions, rollout, stability
from replication.insight.classifiers.distance import is_global, measure_distance, measure_uniform_distance
from replication.insight.classifiers.fields import count_effective, find_links, measure_fields
from replication.insight.classifiers.graphs import trace_reach
from replication.insight.classifiers.objects import locate_objects
from replication.insight.classifiers.reading import find_grid, keep_outputs, list_blocks, read_attention, take_front
from replication.insight.density import measure_density
from replication.records.rows import (
    AttentionDistance,
    DepthReading,
    ReceptiveField,
    SimilarPositions,
    TokenSimilarity,
)
from replication.records.words import UserError

IMAGES, LEARNED, DIFFERENTIATED, SHOWN = 200, 1000, 4, 4
"""Test images looked at, training images read out from, images whose gradients are taken, images shown."""
COMPONENTS = 16
"""Principal components of the filters that are shown."""


@dataclass
class Look:
    """What was measured of a model; `shuffled` numbers hold the maps of one image against the object of another."""

    numbers: dict[str, float] = field(default_factory=dict)
    shuffled: dict[str, float] = field(default_factory=dict)
    distances: list[AttentionDistance] = field(default_factory=list)
    depths: list[DepthReading] = field(default_factory=list)
    fields: list[ReceptiveField] = field(default_factory=list)
    similarities: list[SimilarPositions] = field(default_factory=list)
    tokens: list[TokenSimilarity] = field(default_factory=list)
    pictures: dict[str, np.ndarray] = field(default_factory=dict)


def look(
    model: nn.Module,
    state: str,
    dataset: Dataset[Split],
    enlarge: Callable[[nn.Module], nn.Module] | None,
    scenes: Split | None,
) -> Look:
    """Measure all that can be measured of `model`, in evaluation mode; rows are named by its `state`.

    `enlarge` makes the same model for images of twice the size, where there is such a model; `scenes` have boxes.
    """
    found = Look()
    images = dataset.test.images[:IMAGES]
    look_at_embedding(found, model, state)
    look_at_attention(found, model, state, images, locate_objects(dataset, IMAGES))
    _look_at_fields(found, model, state, images[:DIFFERENTIATED])
    look_at_tokens(found, model, state, images)
    if scenes is not None:
        _look_at_scenes(found, model, scenes)
    _look_at_depths(found, model, state, dataset)
    black = -torch.tensor(dataset.mean) / torch.tensor(dataset.std)
    found.numbers["shift_change"] = 100 * stability.measure_shift_change(model, images, black)
    if enlarge is not None:
        found.numbers["size_change"] = 100 * stability.measure_size_change(model, enlarge(model), images)
    return found


def restore_pixels(images: Tensor, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """Undo the normalisation of images: (B, C, H, W), uint8."""
    mean_of, std_of = (np.array(values)[:, None, None] for values in (mean, std))
    return (255 * (images.numpy() * std_of + mean_of)).round().clip(0, 255).astype(np.uint8)


def look_at_embedding(found: Look, model: nn.Module, state: str) -> None:
    """Look at the filters that embed patches and at the table of their positions, where there is one."""
    kernels = filters.find_filters(model)
    if kernels is not None:
        components, shares = filters.find_components(kernels)
        found.pictures["components"] = components[:COMPONENTS].numpy()
        found.pictures["component_shares"] = shares.numpy()
        found.numbers["filters_dimensions"] = filters.count_dimensions(shares)
        found.numbers["filters_smoothness"] = filters.measure_smoothness(kernels)
    table = positions.find_positions(model)
    if table is not None:
        similarity, grid = positions.compare_positions(table), find_grid(len(table))
        found.numbers["positions_nearness"] = 100 * positions.correlate_with_distance(similarity, grid)
        found.numbers["positions_lines"] = 100 * positions.explain_by_lines(similarity, grid)
        found.similarities = [
            SimilarPositions(state, *divmod(one, grid[1]), *divmod(other, grid[1]), round(value, 6))
            for one, values in enumerate(similarity.tolist())
            for other, value in enumerate(values)
        ]


@torch.no_grad()
def look_at_attention(
    found: Look, model: nn.Module, state: str, images: Tensor, boxes: Tensor | None, together: int = IMAGES
) -> None:
    """Look at attention over the whole grid: its distances, and its rollout where every block has just that.

    Objects in `boxes` (B, 4) are what rollout is held against. The weights of so many images are in memory `together`.
    """
    size, sums, maps = images.shape[3], dict[str, Tensor](), list[Tensor]()
    for part in images.split(together):
        with read_attention(model) as reader:
            model(part)
        over_all = _select_global(reader.weights, len(part))
        for name, weights in over_all.items():
            share = len(part) / len(images)
            sums[name] = sums.get(name, torch.zeros(())) + share * measure_distance(weights, size)
        if (rolled := _roll_out(reader.weights, len(part))) is not None:
            maps.append(rolled)
    blocks = list(dict.fromkeys(name.rpartition(".")[0] for name in reader.weights))
    for name, distances in sums.items():
        block, uniform = blocks.index(name.rpartition(".")[0]) + 1, measure_uniform_distance(over_all[name], size)
        for head, distance in enumerate(distances.tolist(), start=1):
            found.distances.append(AttentionDistance(state, block, head, round(distance, 4), round(uniform, 4)))
    if _is_everywhere(over_all, reader.weights):
        found.numbers |= summarise_distances(found.distances)
    if maps:
        rolled = torch.cat(maps)
        found.pictures["rollout"] = rolled[:SHOWN].numpy()
        if boxes is not None:
            _hold_against(found, "rollout_on_object", rolled, boxes)


@torch.no_grad()
def _look_at_scenes(found: Look, model: nn.Module, scenes: Split) -> None:
    """Look at where attention comes from in scenes, against the boxes of their objects."""
    images, boxes = scenes.images[:IMAGES], scenes.boxes
    with read_attention(model) as reader:
        model(images)
    rolled = _roll_out(reader.weights, len(images))
    if rolled is not None and boxes is not None:
        found.pictures["scenes_rollout"] = rolled[:SHOWN].numpy()
        _hold_against(found, "rollout_in_scenes", rolled, boxes[:IMAGES])


def _hold_against(found: Look, name: str, maps: Tensor, boxes: Tensor) -> None:
    """Hold the map of every image against its own box, by area, and against that of another."""
    found.numbers[name] = float(measure_density(maps, boxes).mean())
    found.shuffled[name] = float(measure_density(maps, boxes.roll(1, dims=0)).mean())


def _select_global(read: Mapping[str, list[Tensor]], images: int) -> dict[str, Tensor]:
    """Select the weights of attention over the whole grid, by the name of its module."""
    return {
        name: calls[0]
        for name, calls in read.items()
        if len(calls) == 1 and len(calls[0]) == images and is_global(calls[0])
    }


def _is_everywhere(over_all: Mapping[str, Tensor], read: Mapping[str, object]) -> bool:
    """Tell whether attention is over the whole grid in every block; that among TNT's words is beside it."""
    inner = sum(name.endswith(".attn_in") for name in read)
    return 0 < len(over_all) >= len(read) - inner


def _roll_out(read: Mapping[str, list[Tensor]], images: int) -> Tensor | None:
    """Return the maps (B, H, W) of attention rolled out, if every block has attention among all of the same tokens."""
    over_all = _select_global(read, images)
    layers = list(over_all.values())
    alike = len({tuple(weights.shape[2:]) for weights in layers}) == 1 and layers[0].shape[2] == layers[0].shape[3]
    return rollout.map_sources(rollout.roll_out(layers)) if alike and _is_everywhere(over_all, read) else None


def summarise_distances(rows: list[AttentionDistance]) -> dict[str, float]:
    """Return distances of the lowest block's heads, and how they grow to the last one's: % of uniform attention's."""
    shares = {
        block: [100 * row.distance / row.uniform for row in rows if row.block == block]
        for block in sorted({row.block for row in rows})
    }
    first, *_, last = [*shares.values(), *shares.values()]
    return {
        "distance_lowest_nearest": min(first),
        "distance_lowest_farthest": max(first),
        "distance_growth": float(np.mean(last) - np.mean(first)),
    }


@torch.no_grad()
def look_at_tokens(found: Look, model: Any, state: str, images: Tensor, together: int = IMAGES) -> None:
    """Look at how alike the tokens of an image are after every block: its patches, and DeiT's two tokens before them.

    The two are compared as they are learned as well, before positions are added.
    """
    blocks, twins = list_blocks(model, images), hasattr(model, "dist_token")
    patches, front = dict.fromkeys(blocks, 0.0), dict.fromkeys(blocks, 0.0)
    for part in images.split(together):
        with keep_outputs(model, blocks) as kept, keep_outputs(model, blocks if twins else (), take_front) as before:
            model(part)
        for name in blocks:
            patches[name] += len(part) / len(images) * depth.measure_similarity(kept[name])
        for name in before:
            front[name] += len(part) / len(images) * depth.measure_agreement(before[name])
    if twins:
        learned = depth.measure_agreement(torch.cat([model.cls_token, model.dist_token], dim=1))
        found.tokens.append(TokenSimilarity(state, 0, None, round(learned, 6)))
        last = front[blocks[-1]]
        found.numbers |= {
            "tokens_first": 100 * learned,
            "tokens_last": 100 * last,
            "tokens_growth": 100 * (last - learned),
        }
    for number, name in enumerate(blocks, start=1):
        pair = round(front[name], 6) if twins else None
        found.tokens.append(TokenSimilarity(state, number, round(patches[name], 6), pair))


def _look_at_fields(found: Look, model: nn.Module, state: str, images: Tensor) -> None:
    """Look at receptive fields, by the graph of the architecture and by gradients; those of the first grid count."""
    blocks = list_blocks(model, images)
    measured = dict(measure_fields(model, images, blocks))
    sources = next(iter(measured.values())).shape[1]
    try:
        graph = dict(trace_reach(model, find_grid(sources)))
    except UserError:
        return
    mismatches = 0
    for number, block in enumerate(blocks, start=1):
        reached, effective = find_links(measured[block]), 100 * count_effective(measured[block])
        wrong = int((reached != graph[block]).sum())
        mismatches += wrong
        found.fields.append(
            ReceptiveField(
                *(state, number, len(reached), round(100 * float(graph[block].mean()), 6)),
                *(round(100 * float(reached.mean()), 6), wrong, round(effective, 4)),
            )
        )
    last = [row for row in found.fields if row.patches == sources][-1]
    found.numbers |= {
        "reach_mismatch": float(mismatches),
        "reach_stage": last.by_gradient,
        "field_stage": last.effective,
    }


@torch.no_grad()
def _look_at_depths(found: Look, model: nn.Module, state: str, dataset: Dataset[Split]) -> None:
    """Look at the tokens of every depth: how alike they are, and how well a class is read out of their mean."""
    blocks = list_blocks(model, dataset.test.images)
    learned, asked = (
        Split(split.images[:count], split.labels[:count])
        for split, count in ((dataset.train, LEARNED), (dataset.test, IMAGES))
    )
    with keep_outputs(model, blocks) as kept:
        model(learned.images)
        known = {name: tokens.mean(dim=1) for name, tokens in kept.items()}
        model(asked.images)
        for number, name in enumerate(blocks, start=1):
            features = kept[name].mean(dim=1)
            right = [
                100 * float((classify(known[name], learned.labels, features) == asked.labels).double().mean())
                for classify in (depth.classify_by_neighbours, depth.classify_by_readout)
            ]
            similar = round(depth.measure_similarity(kept[name]), 6)
            found.depths.append(DepthReading(state, number, similar, *(round(share, 4) for share in right)))
    first, last = found.depths[0], found.depths[-1]
    found.numbers["similarity_growth"] = 100 * (last.similarity - first.similarity)
    found.numbers["neighbours_growth"] = last.neighbours - first.neighbours
    if not all(map(math.isfinite, found.numbers.values())):
        raise UserError("a number that is not finite was measured; the weights are damaged")
