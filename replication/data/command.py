"""The command that downloads a data set."""

from __future__ import annotations

import argparse

from replication.commands import Command, Stage, add_data
from replication.schema import default


def _declare_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dataset", required=True, metavar="NAME")
    add_data(parser, "--root")
    text = "a folder or an address to ask first, for <mirror>/<name>/<file>"
    parser.add_argument("--mirror", default=default("data.mirror"), help=text)
    parser.add_argument("--offline", action="store_true", default=default("data.offline"), help="ask the mirror only")


def _fetch(args: argparse.Namespace) -> str:
    from replication.data.fetch import fetch

    return str(fetch(args.dataset, args.root, args.mirror, args.offline))


COMMANDS = (
    Command(
        "fetch",
        "download a data set, check it and unpack it (`list` shows them)",
        _declare_fetch,
        _fetch,
        "fetch --dataset fashion_mnist",
        Stage.TRAIN,
    ),
)
