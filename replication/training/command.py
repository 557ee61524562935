"""The command that trains an arm of an experiment."""

from __future__ import annotations

import argparse
from pathlib import Path

from replication.commands import (
    LARGEST_SEED,
    Command,
    Stage,
    add_arm,
    add_data,
    add_device,
    make_integer_reader,
    read_path,
)
from replication.schema import read_default


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


def _declare_controls(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--experiments",
        nargs="+",
        required=True,
        metavar="ID",
        help="test on the data of all arms of these",
    )
    parser.add_argument(
        "--scale",
        default=read_default("scale"),
        help="take the data of this scale, which the experiments have (default: %(default)s)",
    )
    parser.add_argument("--seeds", type=make_integer_reader(0, LARGEST_SEED), nargs="+", required=True, metavar="N")
    add_data(parser, "--data")
    parser.add_argument("--out", type=read_path, required=True, metavar="CSV", help="write the result to this file")


def _measure_controls(args: argparse.Namespace) -> None:
    from replication.training.controls import measure_controls

    measure_controls(args.experiments, args.scale, list(dict.fromkeys(args.seeds)), args.out, args.data)


COMMANDS = (
    Command(
        "training",
        "train one arm of an experiment with some seeds; run again to go on after a kill",
        _declare_training,
        _train_arm,
        "training --experiment vit_positions --arm none --seeds 0 1 \\\n      --out results/by_hand",
        Stage.TRAIN,
    ),
    Command(
        "controls",
        "test trivial methods, nearest neighbours and a linear probe, on the pixels that models are trained on",
        _declare_controls,
        _measure_controls,
        "controls --experiments cluttered_vit --scale study --seeds 0 1 --out results/controls.csv",
        Stage.TRAIN,
    ),
)
