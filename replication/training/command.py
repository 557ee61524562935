"""The command that trains an arm of an experiment."""

from __future__ import annotations

import argparse
from pathlib import Path

from replication.commands import Command, Stage, add_arm, add_device, read_path


def _declare_training(parser: argparse.ArgumentParser) -> None:
    add_arm(parser)
    parser.add_argument(
        "--start-from", type=read_path, metavar="FOLDER", help="start from these results of another arm"
    )
    parser.add_argument("--teacher", type=read_path, metavar="FOLDER", help="distil these results of another arm")
    add_device(parser)
    parser.add_argument(
        "--stage",
        type=read_path,
        metavar="FOLDER",
        help="copy the data set into this folder of the machine's own disk first, once, and read it there",
    )
    parser.add_argument(
        "--checkpoints", type=read_path, default=Path("results/checkpoints"), help="default: %(default)s"
    )


def _train_arm(args: argparse.Namespace) -> None:
    from replication.training.engine import run

    run(
        args.experiment,
        args.arm,
        list(dict.fromkeys(args.seeds)),
        args.scale,
        args.out,
        args.checkpoints,
        args.start_from,
        args.teacher,
        args.device,
        args.data,
        args.corrupt,
        dict(args.set),
        args.stage,
    )


COMMANDS = (
    Command(
        "training",
        "train one arm of an experiment with some seeds; run again to go on after a kill",
        _declare_training,
        _train_arm,
        "training --experiment vit_positions --arm none --seeds 0 1 \\\n      --out results/by_hand",
        Stage.TRAIN,
    ),
)
