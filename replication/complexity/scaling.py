"""This module fits how cost grows with the number of tokens N: a power law, and where the quadratic term takes over.

Only sizes at which a mechanism is in its regime are fitted: every stage's grid is a multiple of the window, as large as
the paper says (Swin), or of the reduction ratio (PVT). Elsewhere padding and shrunken windows bend the curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import optimize

from replication import papers
from replication.complexity.formulas import FAMILIES, count_cost
from replication.complexity.mechanisms import LAYERS
from replication.frames import read_frame
from replication.intervals import fit_slope
from replication.models.attention import POLICIES
from replication.papers.parts.user_models import OWN
from replication.records.card import Variant
from replication.records.metrics import COSTS
from replication.records.rows import Count, MechanismCost, ScalingFit
from replication.records.store import read_clock, write_manifest, write_rows
from replication.records.words import read_size

THEORY = {"global": 2, "windowed": 1, "spatial_reduction": 2, "messenger": 1}
"""This is each mechanism's exponent of the attention products in N; a model's is in its card (`Variant.exponent`).

Spatial reduction divides by R^2. Twins (local and sub-sampled attention in turn, as a model and alone) and TNT (words
and sentences) are sums of two powers and have none.
"""
FUSED_MEMORY = 1
"""Peak memory has this exponent for many tokens where no score matrix is kept; with one, that of the products."""
NEGLIGIBLE = 1e-9
"""A term that nowhere reaches this share of the cost is rounding."""


@dataclass(frozen=True)
class Fit:
    """The growth of a cost over N tokens is fitted in two ways.

    The first is the `slope` of log cost over log N by least squares, with its 95 % Student interval, all to 6 decimals.
    The second is cost = c + a N + b N^2 with a, b >= 0, by least squares of the relative error so that all decades
    count alike; c does not grow (weights in memory, the MACs of the classifier less those of a class token's patch).
    `r2` is the share of the variance of log cost that the second explains. From `crossover` = a/b tokens on, b N^2 is
    the larger.
    """

    slope: float
    ci_low: float
    ci_high: float
    a: float
    b: float
    crossover: float | None
    r2: float | None


def fit(tokens: Sequence[float], values: Sequence[float]) -> Fit | None:
    """Fit positive `values` over `tokens`. Return None for fewer than three different token counts."""
    N, y = np.asarray(tokens, float), np.asarray(values, float)
    if len(np.unique(N)) < 3:
        return None
    slope, ci_low, ci_high = fit_slope(np.log(N), np.log(y))
    terms = np.stack([np.ones_like(N), N, N**2], axis=1) / y[:, None]
    size = np.linalg.norm(terms, axis=0)  # columns of one length keep the solver exact over many decades
    weights = optimize.lsq_linear(terms / size, np.ones_like(y), ([-np.inf, 0, 0], np.inf), method="bvls").x
    weights[np.abs(terms / size * weights).max(axis=0) < NEGLIGIBLE] = 0
    _, a, b = (float(f"{w:.9g}") for w in weights / size)
    residual = np.log(terms @ (weights / size))
    spread = np.log(y) - np.log(y).mean()
    return Fit(
        slope=round(slope, 6),
        ci_low=round(ci_low, 6),
        ci_high=round(ci_high, 6),
        a=a,
        b=b,
        crossover=float(f"{a / b:.9g}") if b > 0 else None,
        r2=round(1 - float(residual @ residual / (spread @ spread)), 6) if spread.any() else None,
    )


def write_scaling(counts_csv: Path, mechanisms_csv: Path, out: Path) -> None:
    """Fit every model of `counts_csv` and every mechanism of `mechanisms_csv`, and write the CSV `out`."""
    started = read_clock()
    counts, mechanisms = read_frame(counts_csv, Count), read_frame(mechanisms_csv, MechanismCost)
    write_rows(out, [*fit_mechanisms(mechanisms), *fit_models(counts)], ScalingFit)
    write_manifest(out.with_suffix(".json"), started, [out], inputs=[str(counts_csv), str(mechanisms_csv)])


def fit_mechanisms(mechanisms: pd.DataFrame) -> Iterator[ScalingFit]:
    """Yield each mechanism's rows: the attention products, the peak memory at inference, and the whole MACs."""
    for name in LAYERS:
        rows = mechanisms[(mechanisms["mechanism"] == name) & (mechanisms["exact"] == 1)]
        yield _fit_row(name, "macs", "attention", rows["tokens"], rows["macs_attention"], THEORY.get(name))
        for attention in POLICIES:
            peak = rows[f"peak_memory_{attention}"]
            theory = THEORY.get(name) if attention == "math" else FUSED_MEMORY
            yield _fit_row(name, f"peak_memory_infer_{attention}", "attention", rows["tokens"], peak, theory)
        yield _fit_row(name, "macs", "whole", rows["tokens"], rows["macs"])


def fit_models(counts: pd.DataFrame) -> Iterator[ScalingFit]:
    """Yield each model's rows: the attention products, the whole MACs, and every peak memory at batch 1."""
    for model, rows in counts.groupby("model", sort=False):
        variant = papers.list_variants().get(str(model), Variant(str(model), str(model), OWN, "", {}))
        if not variant.sweep:
            continue
        if variant.family in FAMILIES:
            rows = rows[[count_cost(variant, read_size(str(size))).regular for size in rows["image_size"]]]
        rows = rows[rows["tokens"].notna()]
        tokens = rows["tokens"]
        if variant.exponent is not None:
            yield _fit_row(variant.id, "macs", "attention", tokens, rows["macs_attention"], variant.exponent)
        for metric in COSTS:
            yield _fit_row(variant.id, metric, "whole", tokens, rows[metric])


def _fit_row(
    model: str, metric: str, part: str, tokens: pd.Series, values: pd.Series, theory: int | None = None
) -> ScalingFit:
    known = values.notna()
    growth = fit(list(tokens[known]), list(values[known]))
    row = ScalingFit(model, metric, part, theory=theory, n=int(known.sum()))
    if growth is None:
        return row
    return replace(
        row,
        slope=growth.slope,
        ci_low=growth.ci_low,
        ci_high=growth.ci_high,
        a=growth.a,
        b=growth.b,
        crossover_tokens=growth.crossover,
        r2=growth.r2,
    )
