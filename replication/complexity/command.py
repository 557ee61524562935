"""These commands count what a model costs."""

from __future__ import annotations

import argparse

from replication.commands import MODELS, SEVERAL, SIZES, Command, Group, make_integer_reader, read_image_size, read_path
from replication.schema import read_bounds, read_default


def _declare_count(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(*SEVERAL, nargs="+", required=True, metavar="ID", help=MODELS)
    parser.add_argument(
        *SIZES,
        nargs="+",
        type=read_image_size,
        required=True,
        metavar="PX",
        help="count at these sizes: 224, or height x width: 800x1280",
    )
    parser.add_argument(
        "--printed",
        action="store_true",
        help="count each model at its native size and at the sizes that papers print as well",
    )
    parser.add_argument(
        "--batch-sizes",
        nargs="+",
        type=make_integer_reader(*read_bounds("complexity.batch_sizes")),
        default=read_default("complexity.batch_sizes"),
        metavar="B",
        help="batch sizes for peak memory at the native image size; at other sizes it is 1 (default: %(default)s)",
    )
    parser.add_argument("--out", type=read_path, required=True, help="write counts.csv and memory.csv to this folder")


def _count(args: argparse.Namespace) -> str:
    from replication.complexity.sweep import count_models, show

    rows = count_models(args.models, args.image_sizes, args.batch_sizes, args.out, args.printed)
    return f"{show(rows)}\nwritten: {args.out / 'counts.csv'}, {args.out / 'memory.csv'}"


def _declare_merge(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--folders", nargs="+", type=read_path, required=True, help="read these folders, which `count` wrote"
    )
    parser.add_argument(
        "--out", type=read_path, required=True, help="write the joined counts.csv and memory.csv to this folder"
    )


def _merge(args: argparse.Namespace) -> None:
    from replication.complexity.sweep import merge

    merge(list(dict.fromkeys(args.folders)), args.out)


def _declare_mechanisms(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=read_path, required=True, help="write this CSV")


def _count_mechanisms(args: argparse.Namespace) -> None:
    from replication.complexity.mechanisms import write_mechanisms

    write_mechanisms(args.out)


def _declare_scaling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", type=read_path, required=True, help="read this counts.csv")
    parser.add_argument("--mechanisms", type=read_path, required=True, help="read this mechanisms.csv")
    parser.add_argument("--out", type=read_path, required=True, help="write this CSV")


def _fit_scaling(args: argparse.Namespace) -> None:
    from replication.complexity.scaling import write_scaling

    write_scaling(args.counts, args.mechanisms, args.out)


def _declare_crossings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--counts", type=read_path, required=True, help="read this counts.csv")
    parser.add_argument("--out", type=read_path, required=True, help="write this CSV")


def _find_crossings(args: argparse.Namespace) -> None:
    from replication.complexity.crossings import write_crossings

    write_crossings(args.counts, args.out)


_STEPS = (
    Command(
        "count",
        "count models at image sizes, three ways that must agree",
        _declare_count,
        _count,
        "complexity count --models pvt_small swin_t \\\n      --image-sizes 224 448 --out counts",
    ),
    Command(
        "merge",
        "join the counts of several folders",
        _declare_merge,
        _merge,
        "complexity merge --folders counts more_counts --out all_counts",
    ),
    Command(
        "mechanisms",
        "count the attention mechanisms alone, at one width",
        _declare_mechanisms,
        _count_mechanisms,
        "complexity mechanisms --out mechanisms.csv",
    ),
    Command(
        "scaling",
        "fit how cost grows with tokens",
        _declare_scaling,
        _fit_scaling,
        "complexity scaling --counts counts/counts.csv \\\n      --mechanisms mechanisms.csv --out scaling.csv",
    ),
    Command(
        "crossings",
        "find where the cost curves of small models cross",
        _declare_crossings,
        _find_crossings,
        "complexity crossings --counts counts/counts.csv --out crossings.csv",
    ),
)
COMMANDS = (Group("complexity", "count parameters, multiply-adds and peak memory, and fit their growth", _STEPS),)
