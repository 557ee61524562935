"""The commands about the cards: what there is, what it prints, and how a new one begins."""

from __future__ import annotations

import argparse
from pathlib import Path

from replication.commands import PACKAGE, Command, Stage, read_path


def _list(args: argparse.Namespace) -> str:
    from replication.data_sources import SOURCES, TEST_SETS
    from replication.papers import read_cards

    width = max(len(variant.id) for card in read_cards().values() for variant in card.variants)
    lines = []
    for key, card in read_cards().items():
        numbers = sum(len(table.published) for table in card.tables)
        lines.append(f"{key}: {card.title} ({card.venue} {card.year}), {numbers} numbers")
        lines += [f"    {variant.id:<{width}} {variant.label}" for variant in card.variants]
        lines += [f"    experiment {e.id}: {', '.join(arm.id for arm in e.arms)}" for e in card.experiments]
    lines += [
        f"data {name}: {source.title}; {source.size}; {source.licence}"
        for name, source in (SOURCES | TEST_SETS).items()
    ]
    return "\n".join(lines)


def _declare_published(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--papers", nargs="+", default=[], metavar="KEY", help="take these papers only (default: all)")
    parser.add_argument(
        "--out", type=read_path, default=Path("results/published.csv"), help="write this CSV (default: %(default)s)"
    )


def _write_published(args: argparse.Namespace) -> None:
    from replication.papers import write_published

    write_published(args.out, args.papers)


def _declare_new_paper(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="name the card: small letters and digits, as in shuffle")
    parser.add_argument(
        "--model", action="store_true", help="write a file for a model of its own, too (default: one of timm's)"
    )


def _write_new_paper(args: argparse.Namespace) -> str:
    from replication.papers.parts.new_paper import write_skeleton

    written = write_skeleton(args.key, args.model, PACKAGE.parent)
    return "\n".join([*(f"written: {file}" for file in written), "CONTRIBUTING.md says how to go on"])


COMMANDS = (
    Command(
        "list",
        "show the papers, model ids, experiments and data sets",
        lambda parser: None,
        _list,
        "list",
        Stage.LOOK,
    ),
    Command(
        "published",
        "write every number the papers print as one CSV",
        _declare_published,
        _write_published,
        "published --papers pvt --out pvt.csv",
        Stage.LOOK,
    ),
    Command(
        "new-paper",
        "write the skeleton of a card into a checkout, to add a paper with",
        _declare_new_paper,
        _write_new_paper,
        "new-paper mlpmixer --model",
        Stage.LOOK,
    ),
)
