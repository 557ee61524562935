"""The command that downloads a data set or published weights."""

from __future__ import annotations

import argparse

from replication.commands import Command, Stage, add_data, add_source, read_path, say
from replication.records.words import UserError


def _declare_fetch(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--dataset", metavar="NAME", help="fetch this data set")
    text = "fetch published weights: by their ids, or of models, papers, tables, numbers"
    what.add_argument("--weights", nargs="+", metavar="NAME", help=text)
    text = "of imagenet_1k: the folder of its official files, ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz"
    parser.add_argument("--from", dest="folder", type=read_path, metavar="FOLDER", help=text)
    add_data(parser, "--root")
    text = "put weights into this folder (default: checkpoints in that of all data sets)"
    parser.add_argument("--checkpoints", type=read_path, metavar="FOLDER", help=text)
    add_source(parser, "<data set>/<file> or weights/<file>")


def _fetch(args: argparse.Namespace) -> str | None:
    if args.folder:
        from replication.data.imagenet_archives import unpack_validation

        if args.dataset != "imagenet_1k":
            raise UserError("--from is for --dataset imagenet_1k, whose files nobody but its publishers may give away")
        return str(unpack_validation(args.folder, args.root))
    if args.dataset:
        from replication.data.fetch import fetch

        return str(fetch(args.dataset, args.root, args.mirror, args.offline))
    from replication.data.fetch_weights import fetch_weights
    from replication.released import choose_weights

    folder = args.checkpoints or args.root / "checkpoints"
    for line in fetch_weights(choose_weights(args.weights), folder, args.mirror, args.offline):
        say(line)
    return None


COMMANDS = (
    Command(
        "fetch",
        "download a data set (`list` shows them) or published weights (`weights`), and check it",
        _declare_fetch,
        _fetch,
        "fetch --dataset fashion_mnist",
        Stage.TRAIN,
    ),
)
