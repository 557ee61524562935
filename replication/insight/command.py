"""The command that takes trained detectors apart."""

from __future__ import annotations

import argparse

from replication.commands import Command, Stage, add_arm, read_path


def _declare_insight(parser: argparse.ArgumentParser) -> None:
    add_arm(parser)
    parser.add_argument(
        "--weights", type=read_path, required=True, metavar="FOLDER", help="read the training results of the arm here"
    )


def _take_apart(args: argparse.Namespace) -> None:
    from replication.insight.run import run

    run(
        args.experiment,
        args.arm,
        list(dict.fromkeys(args.seeds)),
        args.scale,
        args.weights,
        args.out,
        args.data,
        args.corrupt,
        dict(args.set),
    )


COMMANDS = (
    Command(
        "insight",
        "take the trained detectors of one arm apart: layers, slots, attention, crowds",
        _declare_insight,
        _take_apart,
        "insight --experiment detr_scenes --arm baseline --seeds 0 1 \\\n"
        "      --weights results/training/detr_scenes/baseline --out results/by_hand",
        Stage.EXAMINE,
    ),
)
