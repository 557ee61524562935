"""The commands that list published weights, and fill printed accuracies with them."""

from __future__ import annotations

import argparse
from pathlib import Path

from replication.commands import (
    Command,
    Stage,
    add_corrupt,
    add_data,
    add_pass,
    add_source,
    make_integer_reader,
    read_path,
    say,
)
from replication.schema import read_default

NAMES = "a paper, a table or a number by its id: pvt, pvt/table2, pvt/table2/pvt-small/top1-err"


def _add_checkpoints(parser: argparse.ArgumentParser) -> None:
    text = "look for weights in this folder, called by their ids or as their authors do (default: %(default)s)"
    parser.add_argument(
        "--checkpoints", type=read_path, default=Path(read_default("data.root"), "checkpoints"), help=text
    )


def _declare_weights(parser: argparse.ArgumentParser) -> None:
    text = f"list those of these only: {NAMES}; a model; the id of weights"
    parser.add_argument("--for", dest="names", nargs="+", default=[], metavar="NAME", help=text)
    _add_checkpoints(parser)


def _list_weights(args: argparse.Namespace) -> str:
    from replication.report.weights_list import list_weights

    return list_weights(args.names, args.checkpoints)


def _declare_fill(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help=NAMES)
    parser.add_argument("--plan", action="store_true", help="say what it takes, and stop")
    _add_checkpoints(parser)
    add_data(parser, "--data")
    parser.add_argument(
        "--images-folder", type=read_path, metavar="FOLDER", help="read the images here, if they lie elsewhere"
    )
    text = "take N of the images, spread evenly: an interval, and a verdict only where that decides"
    parser.add_argument("--images", dest="some", type=make_integer_reader(1, 10**9), metavar="N", help=text)
    add_pass(parser)
    add_corrupt(parser)
    add_source(parser, "weights/<file>")
    folder = Path(read_default("results"), "full")
    parser.add_argument(
        "--out", type=read_path, default=folder, help="write evaluation/ to this folder (default: %(default)s)"
    )


def _fill(args: argparse.Namespace) -> None:
    from replication.evaluation import Pass
    from replication.fill.fill import fill, locate_images

    images = locate_images(args.data)
    if args.images_folder:
        images = dict.fromkeys(images, args.images_folder)
    how = Pass(args.device, args.precision, args.some, args.batch, args.workers)
    folders = args.checkpoints, images, args.out
    fill(args.names, *folders, say, args.mirror, args.offline, args.corrupt, how, args.plan)


COMMANDS = (
    Command(
        "weights",
        "list published weights: their size, licence, cells, and whether they lie here",
        _declare_weights,
        _list_weights,
        "weights --for pvt/table2 deit_s",
        Stage.LOOK,
    ),
    Command(
        "fill",
        "fill printed accuracies: plan, fetch the published weights, evaluate, judge, show",
        _declare_fill,
        _fill,
        "fill deit/table5 --plan",
        explanation="""What it takes is said first; --plan stops there. Weights that are missing are
fetched. Classifiers that prepare images alike answer in one pass. An evaluation
that is there of the same file stays, and a killed command goes on where it was.""",
    ),
)
