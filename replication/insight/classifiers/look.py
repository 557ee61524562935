"""All that is measured of one classifier: numbers, and the tables and arrays that pictures are drawn from."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from replication.data.splits import Dataset, Split
from replication.insight.classifiers import depth, filters, positions, rollout, stability
from replication.insight.classifiers.distance import is_global, measure_distance, measure_uniform_distance
from replication.insight.classifiers.fields import count_effective, find_links, measure_fields
from replication.insight.classifiers.graphs import trace_reach
from replication.insight.classifiers.objects import locate_ink
from replication.insight.classifiers.reading import find_grid, keep_outputs, list_blocks, read_attention
from replication.insight.density import measure_density
from replication.records.rows import AttentionDistance, DepthReading, ReceptiveField, SimilarPositions
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
    pictures: dict[str, np.ndarray] = field(default_factory=dict)


def look(
    model: nn.Module, state: str, dataset: Dataset[Split], enlarge: Callable[[nn.Module], nn.Module] | None
) -> Look:
    """Measure all that can be measured of `model`, in evaluation mode; rows are named by its `state`.

    `enlarge` makes the same model for images of twice the size, where there is such a model.
    """
    found = Look()
    images = dataset.test.images[:IMAGES]
    look_at_embedding(found, model, state)
    look_at_attention(found, model, state, images, locate_ink(images, dataset))
    _look_at_fields(found, model, state, images[:DIFFERENTIATED])
    _look_at_depths(found, model, state, dataset)
    black = -torch.tensor(dataset.mean) / torch.tensor(dataset.std)
    found.numbers["shift_change"] = 100 * stability.measure_shift_change(model, images, black)
    if enlarge is not None:
        found.numbers["size_change"] = 100 * stability.measure_size_change(model, enlarge(model), images)
    return found


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
def look_at_attention(found: Look, model: nn.Module, state: str, images: Tensor, boxes: Tensor | None) -> None:
    """Look at attention over the whole grid: its distances, and its rollout where every block has just that.

    Objects in `boxes` (B, 4) are what rollout is held against.
    """
    with read_attention(model) as reader:
        model(images)
    size = images.shape[3]
    over_all = {
        name: calls[0]
        for name, calls in reader.weights.items()
        if len(calls) == 1 and len(calls[0]) == len(images) and is_global(calls[0])
    }
    blocks = list(dict.fromkeys(name.rpartition(".")[0] for name in reader.weights))
    for name, weights in over_all.items():
        block, uniform = blocks.index(name.rpartition(".")[0]) + 1, measure_uniform_distance(weights, size)
        for head, distance in enumerate(measure_distance(weights, size).tolist(), start=1):
            found.distances.append(AttentionDistance(state, block, head, round(distance, 4), round(uniform, 4)))
    if not over_all or len(over_all) < len(reader.weights) - _count_inner(reader.weights):
        return
    found.numbers |= summarise_distances(found.distances)
    layers = list(over_all.values())
    if len({tuple(weights.shape[2:]) for weights in layers}) > 1 or layers[0].shape[2] != layers[0].shape[3]:
        return
    maps = rollout.map_sources(rollout.roll_out(layers))
    found.pictures["rollout"] = maps[:SHOWN].numpy()
    if boxes is not None:
        found.numbers["rollout_on_object"] = float(measure_density(maps, boxes).mean())
        found.shuffled["rollout_on_object"] = float(measure_density(maps, boxes.roll(1, dims=0)).mean())


def _count_inner(read: Mapping[str, object]) -> int:
    """Count the attentions among the words of TNT's sentences."""
    return sum(name.endswith(".attn_in") for name in read)


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
