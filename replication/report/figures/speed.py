"""Figures of speed: published ratios against ours, attention mechanisms, the roofline, and image sizes.

Absolute times are of one machine; what is drawn together was measured in one run, or says that it was not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from replication.records.card import Card
from replication.records.metrics import MECHANISMS
from replication.records.rows import name_subject
from replication.report.colours import CATEGORIES
from replication.report.figures.canvas import (
    SMALL,
    Label,
    draw_nothing,
    label_ends,
    make_figure,
    set_plain_ticks,
    set_prefixed_ticks,
    state_finding,
)
from replication.report.figures.complexity import STYLES
from replication.report.figures.families import choose_styles

PANELS = 8  # of the published tables
DEVICE_MEMORY = 16 * 2**30  # bytes: of the V100 and of a core of a TPUv3, on which the papers measured
LARGEST_SIZE = 1024  # px: twice that of the ViT paper's figure
OFF = 0.1
"""How far the largest batch may be off."""
_SETTING = ["machine", "device", "precision", "mode", "batch_size", "compiled", "channels_last"]
_LINES = {"math": "-", "fused": "--"}
_GREY = "0.45"


def select_first_run(rows: pd.DataFrame) -> pd.DataFrame:
    """Select the rows that the first run measured; `rows` have the order of `speeds`, the canonical run first."""
    if rows.empty:
        return rows
    return rows[(rows[["condition", "machine"]] == rows[["condition", "machine"]].iloc[0]).all(axis=1)]


def choose_tables(relative: pd.DataFrame) -> list[pd.DataFrame]:
    """Choose the tables of the figure, one frame each: those of three rows or more that repeat no other's models.

    Of a table that prints throughput and latency of the same models one is enough. Every paper's longest comes first,
    then the longest of the rest, up to `PANELS`; they are in the order of the papers.
    """
    tables: list[pd.DataFrame] = []
    known: list[set[tuple[Any, ...]]] = []
    timed: set[tuple[Any, ...]] = set()
    groups = [rows for _, rows in relative.groupby(["paper", "table", "metric"], sort=False) if len(rows) >= 3]
    for rows in sorted(groups, key=len, reverse=True):
        numbers = set(zip(rows["model"], rows["image_size"].astype(str), rows["published"].astype(float), strict=True))
        models = set(rows[["paper", "table", "model", "image_size"]].astype(str).itertuples(index=False, name=None))
        if not models <= timed and not any(numbers <= other for other in known):
            known.append(numbers)
            timed |= models
            tables.append(rows)
    papers = [rows["paper"].iloc[0] for rows in tables]
    again = [paper in papers[:index] for index, paper in enumerate(papers)]
    best = sorted(range(len(tables)), key=lambda index: again[index])[:PANELS]
    return sorted((tables[index] for index in best), key=lambda rows: rows.index[0])


def draw_speed_tables(relative: pd.DataFrame, orders: pd.DataFrame) -> Figure:
    """Draw published speeds against ours, as multiples of the table's reference row; one panel a table."""
    rows = select_first_run(relative)
    tables = choose_tables(rows) if not rows.empty else []
    if not tables:
        return draw_nothing("no published table has three rows whose speed is measured")
    columns = min(2, len(tables))
    lines = math.ceil(len(tables) / columns)
    figure = make_figure(0.9 + 1.75 * lines)
    grid = figure.subplots(lines, columns, squeeze=False)
    for ax, table in zip(grid.flat, tables, strict=False):
        _draw_table(ax, table)
        ax.set_title(_write_title(table, orders))
    for ax in grid.flat[len(tables) :]:
        ax.set_axis_off()
    figure.supxlabel(f"times as fast as the reference row, as printed\nhere: {_name_run(rows)}", fontsize=SMALL)
    figure.supylabel("times as fast, measured here", fontsize=SMALL)
    state_finding(figure, _state_agreement(tables, orders))
    sns.despine(fig=figure)
    return figure


def _state_agreement(tables: Sequence[pd.DataFrame], orders: pd.DataFrame) -> str:
    """State how well our clock keeps the orders of the tables shown, and multiply-adds alone."""
    found = [order for table in tables if not (order := _find_order(table, orders)).empty]
    if not found:
        return "Speeds as printed, and as measured here"
    clock, counted = (pd.Series([one[name] for one in found], dtype=float).median() for name in ("tau", "tau_macs"))
    by_counts = "" if pd.isna(counted) else f", multiply-adds alone with {counted:.2f}"
    tables_shown = f"{len(found)} tables" if len(found) > 1 else "one table"
    return f"Our clock keeps the printed orders of {tables_shown} with a median Kendall's tau of {clock:.2f}{by_counts}"


def draw_speed_curves(cells: pd.DataFrame) -> Figure:
    """Draw the latency of attention mechanisms against tokens, and the rate of multiply-adds that they reach."""
    rows = _select_measured(cells, "mechanism")
    if rows.empty:
        return draw_nothing("no attention mechanism is timed yet")
    first = rows.drop_duplicates("machine")[_SETTING][:2]  # of each machine the first setting, in both attentions
    shown = [rows[(rows[_SETTING] == setting).all(axis=1)] for _, setting in first.iterrows()]
    styled = {name_subject(name): (MECHANISMS[name], *style) for name, style in STYLES.items()}
    figure = make_figure(4.6)
    grid = figure.subplots(2, len(shown), sharex=True, squeeze=False)
    for (above, below), setting in zip(grid.T, shown, strict=True):
        for (condition, subject), curve in setting.groupby(["condition", "subject"], sort=False):
            run = cells[(cells["condition"] == condition) & (cells["machine"] == setting["machine"].iloc[0])]
            _draw_latency(above, below, curve.sort_values("side"), styled[str(subject)], find_roof(run).matmul)
        above.set_title(_describe_run(setting, " and ".join(setting["attention"].drop_duplicates())))
        above.set(xscale="log", yscale="log")
        below.set(xscale="log", yscale="log", xlabel="tokens")
        set_prefixed_ticks(above.xaxis)
        set_plain_ticks(above.yaxis, multiples=(1, 3))
        set_plain_ticks(below.yaxis)
    grid[0, 0].set_ylabel("time of one step [ms]")
    grid[1, 0].set_ylabel("operations [GFLOP/s]")
    keys: dict[str, dict[str, Any]] = {
        name: {"color": colour, "marker": marker}
        for subject, (name, colour, marker) in styled.items()
        if (rows["subject"] == subject).any()
    }
    keys |= {policy: {"ls": line} for policy, line in _LINES.items() if (rows["attention"] == policy).any()}
    keys |= {"counts at the matmul's rate": {"ls": ":", "lw": 0.9}}
    for name, style in keys.items():
        grid[0, 0].plot([], [], label=name, **{"color": "0.3", **style})
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    state_finding(figure, _state_slowest(shown[0]))
    sns.despine(fig=figure)
    return figure


def _state_slowest(setting: pd.DataFrame) -> str:
    """State how far apart mechanisms are at the most tokens at which most of them have a valid time."""
    valid = setting[(setting["valid"] == 1) & (setting["attention"] == setting["attention"].iloc[0])]
    names = {name_subject(name): label for name, label in MECHANISMS.items()}
    sides = valid.groupby("side")["subject"].nunique()
    if sides.max() < 2 or valid.empty:
        return "Time and rate of attention mechanisms"
    side = sides[sides == sides.max()].index.max()
    times = valid[valid["side"] == side].set_index("subject")["median"].sort_values()
    fastest, slowest = (names[str(times.index[place])] for place in (0, -1))
    return (
        f"Over {side**2:,.0f} tokens {slowest} attention takes {times.iloc[-1] / times.iloc[0]:.1f} times as long as "
        f"{fastest}, the fastest of {len(times)}"
    )


def draw_roofline(cells: pd.DataFrame, cards: Mapping[str, Card]) -> Figure:
    """Draw operations a second against arithmetic intensity, below what the machine's matmul and copy reach."""
    run = select_first_run(cells)
    models, mechanisms = _select_measured(run, "model"), _select_measured(run, "mechanism")
    if models.empty and mechanisms.empty:
        return draw_nothing("no model is timed yet")
    figure = make_figure(3.6)
    ax = figure.subplots()
    owner = {variant.id: key for key, card in cards.items() for variant in card.variants}
    families = models["subject"].map(owner)
    for family, (colour, marker) in {**choose_styles(cards), "of no paper here": (_GREY, "x")}.items():
        of = models[(families == family) if family in cards else ~families.isin(choose_styles(cards))]
        _draw_points(ax, of, colour, marker, family)
    _draw_points(ax, mechanisms, "0.2", "o", "attention alone")
    roof = find_roof(run)
    matmul, convolution, bandwidth = roof
    peak = max((found for found in (matmul, convolution) if found is not None), default=None)
    intensities, _ = _compute_intensity(pd.concat([models, mechanisms]))
    roofs: list[Label] = []
    if peak is not None and bandwidth is not None:
        ridge = peak / bandwidth
        x = np.array([min(intensities.min(), ridge) / 1.5, ridge, max(intensities.max(), ridge) * 1.5])
        ax.plot(x, np.minimum(peak, bandwidth * x) / 1e9, color="0.3", lw=1.2)
        for reached in (matmul, convolution):
            if reached is not None:
                ax.plot([reached / bandwidth, x[-1]], [reached / 1e9] * 2, color="0.3", lw=1.0)
                name = "matrix product" if reached == matmul else "convolution"
                roofs.append(Label(reached / 1e9, f"{name}\n{reached / 1e9:,.0f} GFLOP/s", "0.3"))
        ax.annotate(
            f"copy {bandwidth / 1e9:,.0f} GB/s",
            (x[0], bandwidth * x[0] / 1e9),
            (8, -2),
            textcoords="offset points",
            size=SMALL,
        )
    ax.margins(x=0.15)
    ax.set(xscale="log", yscale="log", xlabel="operations per byte that operators read and write [FLOP/B]")
    ax.set_ylabel("operations [GFLOP/s]")
    ax.set_title(_name_run(run))
    set_plain_ticks(ax.xaxis)
    set_plain_ticks(ax.yaxis)
    _name_extremes(ax, models, _list_labels(cards))
    label_ends(figure, ax, roofs)
    figure.legend(loc="outside lower center", ncols=5, handletextpad=0.2)
    state_finding(figure, _state_reach(models if len(models) else mechanisms, roof))
    sns.despine(fig=figure)
    return figure


def _state_reach(rows: pd.DataFrame, roof: Roof) -> str:
    """State between which rates valid rows lie, beside those of a large matrix product and a convolution."""
    valid = rows[rows["valid"] == 1]
    if valid.empty or roof.matmul is None or roof.convolution is None:
        return "Operations a second against operations per byte"
    _, rates = _compute_intensity(valid)
    what = "models" if rows["kind"].iloc[0] == "model" else "attention layers"
    return (
        f"{len(valid)} {what} compute at {rates.min() / 1e9:,.0f} to {rates.max() / 1e9:,.0f} GFLOP/s; a large matrix "
        f"product reaches {roof.matmul / 1e9:,.0f}, a convolution {roof.convolution / 1e9:,.0f}"
    )


def draw_throughput_size(
    cells: pd.DataFrame, counts: pd.DataFrame, batches: pd.DataFrame, cards: Mapping[str, Card]
) -> Figure:
    """Draw images a second against image size, and about the largest batch that a 16 GiB device holds."""
    rows = _select_measured(select_first_run(cells), "model")
    if not rows.empty:
        rows = rows[rows.groupby("subject")["side"].transform("nunique") >= 2].dropna(subset="side")
    if rows.empty:
        return draw_nothing("no model is timed at two image sizes")
    fits = estimate_largest_batches(counts, batches)
    fits = fits[fits["model"].isin(rows["subject"]) & fits["image_size"].between(rows["side"].min(), LARGEST_SIZE)]
    figure = make_figure(2.9)
    panels = figure.subplots(1, 1 if fits.empty else 2, squeeze=False)[0]
    names = _list_labels(cards)
    for index, (model, own) in enumerate(rows.sort_values("side").groupby("subject", sort=False)):
        style: dict[str, Any] = {
            "color": CATEGORIES[index % len(CATEGORIES)],
            "marker": "os^DvPX*p"[index % 9],
        }
        rate = own["images_per_second"]
        panels[0].errorbar(own["side"], rate, (rate - own["ci_low"], own["ci_high"] - rate), **style)
        panels[0].plot([], [], label=names.get(str(model), str(model)), **style)
        doubtful = own[own["valid"] != 1]
        panels[0].plot(doubtful["side"], doubtful["images_per_second"], **{**style, "ls": "", "mfc": "white"}, zorder=3)
        held = fits[fits["model"] == model].sort_values("image_size")
        panels[-1].plot(held["image_size"], held["largest"], **style)
    for ax, words in zip(panels, ("images a second", "largest batch in 16 GiB, about"), strict=False):
        ax.set(xscale="log", yscale="log", xlabel="image size [px]", ylabel=words)
        set_plain_ticks(ax.xaxis, 2, (1,))
        set_plain_ticks(ax.yaxis)
    panels[0].set_title(_name_run(rows))
    figure.legend(loc="outside lower center", ncols=4)
    state_finding(figure, _state_slowing(rows, names))
    sns.despine(fig=figure)
    return figure


def _state_slowing(rows: pd.DataFrame, names: Mapping[str, str]) -> str:
    """State which model slows down least and which most between the two sides at which most have a valid rate."""
    valid = rows[rows["valid"] == 1]
    rates = valid.pivot_table(index="subject", columns="side", values="images_per_second", aggfunc="first")
    sides = [float(side) for side in rates.columns]
    both, small, large = max(
        ((rates[[small, large]].dropna(), small, large) for small, large in itertools.combinations(sides, 2)),
        key=lambda pair: (len(pair[0]), pair[2] / pair[1]),
        default=(rates.head(0), 1.0, 1.0),
    )
    if both.empty:
        return "Speed, and the largest batch, by the size of the image"
    factors = (both[small] / both[large]).sort_values()
    ends = dict.fromkeys((factors.index[0], factors.index[-1]))
    shown = ", ".join(f"{names.get(str(model), str(model))} {factors[model]:.1f} times" for model in ends)
    return f"From {small:.0f} to {large:.0f} px, {(large / small) ** 2:.1f} times the pixels, models slow down: {shown}"


def estimate_largest_batches(counts: pd.DataFrame, batches: pd.DataFrame) -> pd.DataFrame:
    """Estimate the largest batch for inference within `DEVICE_MEMORY`, by model and size, unfused attention.

    What is alive at batch 1 less the parameters is assumed to be alive once for every image. At batch 1 some copies are
    views, so models for which that misses the count at a larger batch by more than 10 % are left out. Columns: model,
    image_size, largest.
    """
    columns = ["model", "image_size", "largest"]
    if counts.empty or batches.empty:
        return pd.DataFrame(columns=columns)
    rows = batches[(batches["mode"] == "infer") & (batches["attention"] == "math")]
    rows = rows.assign(an_image=(rows["peak_memory"] - rows["parameter_memory"]) / rows["batch_size"])
    by_size = rows.sort_values("batch_size").groupby(["model", "image_size"])["an_image"]
    off = (by_size.first() / by_size.last() - 1).abs()[by_size.size() > 1].groupby("model").max()
    of = counts[counts["model"].isin(off.index[off <= OFF])].dropna(subset="peak_memory_infer_math")
    weights = 4 * of["params"]
    largest = (DEVICE_MEMORY - weights) // (of["peak_memory_infer_math"] - weights)
    return of.assign(largest=largest)[largest >= 1][columns]


class Roof(NamedTuple):
    """What a machine reached, if it was measured: operations [FLOP/s], and bytes [B/s] of a copy."""

    matmul: float | None
    convolution: float | None
    copy: float | None


def find_roof(run: pd.DataFrame) -> Roof:
    """Find the best that the kernels of a run reached."""
    kernels = _select_measured(run, "kernel")

    def reached(subject: str, work: pd.Series) -> float | None:
        of = kernels["subject"] == subject
        return float((work / kernels["median"])[of].max()) if of.any() else None

    operations = 2 * kernels["macs"]
    return Roof(reached("matmul", operations), reached("convolution", operations), reached("copy", kernels["traffic"]))


def _select_measured(cells: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Select the measured cells of a kind, with the `side` of their images or grids; images must be square."""
    if cells.empty:
        return cells
    rows = cells[(cells["kind"] == kind) & (cells["status"] == "measured")]
    return rows.assign(side=pd.to_numeric(rows["image_size"], errors="coerce"))


def _list_labels(cards: Mapping[str, Card]) -> dict[str, str]:
    return {variant.id: variant.label for card in cards.values() for variant in card.variants}


def _describe_run(rows: pd.DataFrame, attention: str) -> str:
    """Describe the machine and the condition of a run, for a title."""
    of = rows.iloc[0]
    extra = [word for word in ("compiled", "channels_last") if of[word]]
    parts = [of["device"], of["precision"], f"attention {attention}", of["mode"], f"batch {of['batch_size']}", *extra]
    return f"{of['machine']}\n{', '.join(map(str, parts)).replace('_', ' ')}"


def _name_run(rows: pd.DataFrame) -> str:
    """Name the machine and the condition of a run."""
    of = rows.iloc[0]
    return f"{of['machine']}: {of['condition'].replace('_', ', ')}"


def _write_title(table: pd.DataFrame, orders: pd.DataFrame) -> str:
    """Write the title: the table, Kendall's tau of its order and of that by multiply-adds, the number of rows."""
    of, order = table.iloc[0], _find_order(table, orders)
    name = f"{of['paper']} {of['table']}" + (f" [{of['unit']}]" if of["metric"] == "latency" else "")
    if order.empty:
        return f"{name}\ntoo few rows"
    valid = f"{order['valid']:.0f} of {order['n']:.0f} valid" if table["valid"].any() else "reference not valid"
    counted = "" if pd.isna(order["tau_macs"]) else f", by MACs {order['tau_macs']:.2f}"
    return f"{name}\nτ = {order['tau']:.2f}{counted}\n({valid})"


def _find_order(table: pd.DataFrame, orders: pd.DataFrame) -> pd.Series:
    """Find the row of `orders` for a table; empty where it has too few rows."""
    of, keys = table.iloc[0], ["paper", "table", "metric", "condition", "machine"]
    found = orders[(orders[keys] == of[keys]).all(axis=1)] if not orders.empty else orders
    return pd.Series(dtype=object) if found.empty else found.iloc[0]


def _draw_table(ax: Axes, table: pd.DataFrame) -> None:
    """Draw one table: printed against measured ratios, on equal logarithmic axes, with the diagonal."""
    ends = table[["published_ratio", "ratio"]].to_numpy(float)
    span = (np.nanmin(ends) / 1.3, np.nanmax(ends) * 1.3)
    ax.plot(span, span, color="0.5", lw=0.8)
    for valid, face in ((1, CATEGORIES[0]), (0, "white")):
        of = table[(table["valid"] == 1) == valid]
        interval = (of["ratio"] - of["ci_low"], of["ci_high"] - of["ratio"])
        style: dict[str, Any] = {"fmt": "o", "color": CATEGORIES[0], "mfc": face, "elinewidth": 0.8}
        ax.errorbar(of["published_ratio"], of["ratio"], interval, **style)
    ax.plot(1, 1, ls="", marker="+", ms=9, color="0.2", zorder=1)
    ax.set(xscale="log", yscale="log", xlim=span, ylim=span)
    ax.set_box_aspect(1)
    ticks = _choose_ticks(*span)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
        axis.set_minor_locator(NullLocator())


def _choose_ticks(low: float, high: float) -> list[float]:
    """Choose at most four round numbers between two, evenly far apart on a logarithmic axis."""
    inside: list[float] = []
    for mantissas in ((1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8)):
        steps = [mantissa * 10.0**power for power in range(-4, 5) for mantissa in mantissas]
        inside = inside if len(inside) > 1 else [step for step in steps if low <= step <= high]
    return inside[:: math.ceil(len(inside) / 4)]


def _draw_latency(
    above: Axes, below: Axes, curve: pd.DataFrame, style: tuple[str, str, str], peak: float | None
) -> None:
    """Draw one mechanism in one run: times and rates, and the time that its operations would take at the roof."""
    _, colour, marker = style
    tokens, seconds = curve["side"] ** 2, curve["median"]
    line: dict[str, Any] = {"color": colour, "ls": _LINES[curve["attention"].iloc[0]], "lw": 1.0}
    rate = 2 * curve["macs"] / seconds
    fast, slow = curve["batch_size"] / curve["ci_high"], curve["batch_size"] / curve["ci_low"]
    above.errorbar(tokens, 1e3 * seconds, (1e3 * (seconds - fast), 1e3 * (slow - seconds)), **line)
    below.errorbar(tokens, rate / 1e9, (rate * (1 - seconds / slow) / 1e9, rate * (seconds / fast - 1) / 1e9), **line)
    valid = curve["valid"] == 1
    for rows, face in ((valid, colour), (~valid, "white")):
        for ax, y in ((above, 1e3 * seconds), (below, rate / 1e9)):
            ax.plot(tokens[rows], y[rows], ls="", marker=marker, color=colour, mfc=face, zorder=3)
    if peak is not None:
        above.plot(tokens, 2e3 * curve["macs"] / peak, color=colour, ls=":", lw=0.9)
        below.axhline(peak / 1e9, color="0.3", ls=":", lw=0.9)


def _compute_intensity(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Compute operations per byte [FLOP/B] and operations a second [FLOP/s] of every cell."""
    return 2 * rows["macs"] / rows["traffic"], 2 * rows["macs"] / rows["median"]


def _draw_points(ax: Axes, rows: pd.DataFrame, colour: str, marker: str, name: str) -> None:
    """Draw cells in the roofline: the valid ones filled, the others hollow."""
    if rows.empty:
        return
    x, y = _compute_intensity(rows)
    valid = rows["valid"] == 1
    style: dict[str, Any] = {"ls": "", "marker": marker, "color": colour}
    ax.plot(x[valid], y[valid] / 1e9, label=name, **style)
    ax.plot(x[~valid], y[~valid] / 1e9, mfc="none", **style)


def _name_extremes(ax: Axes, models: pd.DataFrame, names: Mapping[str, str]) -> None:
    """Name the models with the largest and the smallest rate and intensity."""
    if models.empty:
        return
    x, y = _compute_intensity(models)
    places = {  # one that is extreme twice is named once
        **{x.argmin(): ((-5, 0), "right"), x.argmax(): ((5, 0), "left")},
        **{y.argmin(): ((5, -8), "left"), y.argmax(): ((5, 5), "left")},
    }
    for place, (offset, side) in places.items():
        model, size = models[["subject", "image_size"]].iloc[place]
        words, point = f"{names.get(model, model)}, {size} px", (x.iloc[place], y.iloc[place] / 1e9)
        ax.annotate(words, point, offset, textcoords="offset points", ha=side, va="center", fontsize=SMALL)
