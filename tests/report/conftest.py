"""A toy paper and the results folder that the instruments would leave for it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from replication import papers
from replication.papers.parts.transcript import parse_tables
from replication.records.bits import pack_bits
from replication.records.card import Arm, Card, Cause, Claim, Contrast, Experiment, Lookup, Variant, list_cells
from replication.records.rows import (
    Answers,
    ClassifierEpoch,
    CostCrossing,
    Count,
    Departure,
    MechanismCost,
    PeakMemory,
    Published,
    Run,
    ScalingFit,
)
from replication.records.store import write_rows

TRANSCRIPT = """# Toy: its tables, as printed

## table1: Cost & accuracy at 50 % of the price

- source: arXiv v1, Table 1
- verified: yes
- note: * = another recipe
- column params: params [M]
- column flops: macs [G] image_size=224
- column depths: depth []
- column top1: top1 [%] dataset=imagenet-1k
- column speed: throughput [img/s] hardware=V100

| model   | note_1 | params | flops | depths | top1 | speed |
|---------|--------|--------|-------|--------|------|-------|
| Toy_S   | a & b  | 24.5   | 3.8   | [3, 3] | 79.8 | 100   |
| Other*  | -      | 11.7   | 1.8   | -      | 70.1 | -     |

## table2: Sizes

- source: arXiv v1, Table 2
- verified: secondary
- column flops: macs [G]

| model | input | flops |
|-------|-------|-------|
| Toy_S | 384   | 12.0  |
| Toy_S | 448   | 15.0  |
"""


def cost_ratio(lookup: Lookup) -> float:
    return lookup("toy_s", "macs") / lookup("toy_s", "params")


@pytest.fixture
def card() -> Card:
    return Card(
        key="toy",
        title="A toy of a <transformer>",
        authors="A. Author, B. Author",
        venue="Toys",
        year=2021,
        arxiv="2100.00001",
        code="toys/toy",
        variants=(Variant("toy_s", "Toy_S", "pvt", "own/toy", {"depths": [3, 4], "embed_dims": [8, 16]}),),
        tables=parse_tables("toy", TRANSCRIPT, {"Toy_S": "toy_s"}),
        claims=(
            Claim("ratio", "Section 1", "Toys are cheap.", "3.8G, 24.5M", estimate=cost_ratio, low=100, high=200),
            Claim(
                "quadratic",
                "Section 2",
                "Attention is quadratic.",
                estimate=lambda lookup: lookup("global_attention", "slope_macs_attention"),
                low=1.9,
                high=2.1,
            ),
            Claim("better", "Section 3", "B beats A.", contrast=Contrast(("exp/b",), ("exp/a",)), low=0.5, unit="%"),
            Claim("unmeasured", "Section 4", "It is fast.", reason="needs a GPU"),
        ),
        experiments=(
            Experiment(
                "exp",
                "Does B beat A?",
                Variant("mini", "Mini", "pvt", "own/toy", {}),
                {"dataset": "digits"},
                (Arm("a"), Arm("b", {"epochs": 3}, start_from="a")),
                {"laptop": {}},
            ),
        ),
        headline="table1",
        compared=("toy_s",),
        causes=(
            Cause("Table 1 prints 3, the code uses 4.", list_cells("table1", "depths[1]", "Toy_S, a & b")),
            Cause("Toys grow.", claims=("ratio",)),
        ),
    )


@pytest.fixture
def toy_papers(card: Card, monkeypatch: pytest.MonkeyPatch) -> Card:
    """The suite with the toy as its only paper."""
    monkeypatch.setattr(papers, "read_cards", lambda: {"toy": card})
    return card


def write_run(training: Path, arm: str, seed: int, top1: float, *, complete: bool = True) -> None:
    folder = training / "exp" / arm / f"seed{seed}"
    write_rows(folder / "test.csv", [Run("exp", arm, seed, "digits", 28, "top1", top1, "%", 1000)], Run)
    right = pack_bits([image < 10 * top1 for image in range(1000)])
    write_rows(folder / "answers.csv", [Answers("exp", arm, seed, "digits", 28, "top1", 1000, right)], Answers)
    rows = [ClassifierEpoch(e, 10 * e, 1e-3, 2 / (e + 1) + seed / 50, 2.2 / (e + 1), 30 * e) for e in range(4)]
    write_rows(folder / "epochs.csv", rows, ClassifierEpoch)
    if complete:
        manifest = {
            "scale": "laptop",
            "seed": seed,
            "commit": "c0ffee",
            "dirty": False,
            "python": "3.11",
            "libraries": {"numpy": "2"},
        }
        machine = {"system": "Linux", "processor": "toy processor", "cores": 2}
        (folder / "manifest.json").write_text(json.dumps({**manifest, "machine": machine}))


DEPARTURE = Departure("toy_s", "GELU", released="tanh", timm="erf", relative=0.0002)


def write_complexity(folder: Path) -> None:
    """Counts of the toy and of the models that figures show, mechanisms with N and N^2 terms, and their fits."""
    models = {"toy_s": 0.4, "vit_b16": 4.0, "pvt_small": 1.0, "swin_t": 1.2, "vit_small_16": 3.0, "resnet50": 0.9}
    counts = [
        Count(
            model=model,
            image_size=size,
            tokens=(size // 4) ** 2,
            params=24_486_000,
            macs=round(factor * (size**2 * 7e4 + size**4 * (0.02 if "vit" in model else 0.001))),
            macs_attention=10**8,
            peak_memory_infer_math=10**7,
            peak_memory_infer_fused=10**6,
            peak_memory_train_math=10**8,
        )
        for model, factor in models.items()
        for size in (224, 384, 512, 1024)
    ]
    for place, macs in enumerate((3_816_000_000, 12_600_000_000)):
        counts[place] = replace(counts[place], macs=macs)
    write_rows(folder / "counts.csv", counts, Count)
    mechanisms = [
        MechanismCost(
            mechanism=mechanism,
            grid=grid,
            tokens=grid**2,
            width=64,
            num_heads=1,
            exact=1,
            macs=round(grid**2 * 64**2 * 4 + products),
            macs_attention=round(products),
            peak_memory_math=round(grid**2 * 1024 + products / 8),
            peak_memory_fused=grid**2 * 1024,
        )
        for grid in (14, 28, 56, 112)
        for mechanism, products in {
            "global": 128 * grid**4, "spatial_reduction": 2 * grid**4, "windowed": 128 * 49 * grid**2,
        }.items()
    ]  # fmt: skip
    write_rows(folder / "mechanisms.csv", mechanisms, MechanismCost)
    slopes = {"global": (1.995, 1.98, 2.01, 2), "spatial_reduction": (2.0, 1.9, 2.05, 2), "windowed": (1, 1, 1, 1)}
    of: dict[str, Any] = {"metric": "macs", "n": 4}
    scaling = [
        *(
            ScalingFit(model, part="attention", slope=slope, ci_low=low, ci_high=high, theory=theory, **of)
            for model, (slope, low, high, theory) in slopes.items()
        ),
        ScalingFit("global", part="whole", crossover_tokens=1024.0, **of),
        ScalingFit("spatial_reduction", part="whole", crossover_tokens=65000.0, **of),
        ScalingFit("vit_b16", part="whole", slope=1.4, ci_low=1.3, ci_high=1.5, crossover_tokens=9000.0, **of),
    ]
    write_rows(folder / "scaling.csv", scaling, ScalingFit)
    memory = [PeakMemory("toy_s", 224, batch, "train", "math", 1000 * batch, 10) for batch in (1, 8)]
    write_rows(folder / "memory.csv", memory, PeakMemory)
    crossing = CostCrossing(
        metric="macs",
        cheaper_below="toy_s",
        cheaper_above="toy_s",
        image_size=300,
        from_size=224,
        to_size=384,
    )
    write_rows(folder / "crossings.csv", [crossing], CostCrossing)


@pytest.fixture
def results(tmp_path: Path, toy_papers: Card) -> Path:
    """What `published`, `complexity` and `training` leave behind."""
    published = [number for table in toy_papers.tables for number in table.published]
    write_rows(tmp_path / "published.csv", published, Published)
    write_complexity(tmp_path / "complexity")
    write_rows(tmp_path / "departures.csv", [DEPARTURE], Departure)
    for seed, (a, b) in enumerate([(90.0, 92.0), (91.0, 92.5), (89.5, 91.0)]):
        write_run(tmp_path / "training", "a", seed, a)
        write_run(tmp_path / "training", "b", seed, b)
    return tmp_path
