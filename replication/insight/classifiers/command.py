"""The commands that look into classifiers."""

from __future__ import annotations

import argparse

from replication.commands import Command, Group, Stage, add_arm, read_path


def _declare_arm(parser: argparse.ArgumentParser) -> None:
    add_arm(parser)
    parser.add_argument(
        "--weights", type=read_path, required=True, metavar="FOLDER", help="training results of the arm"
    )


def _look_into_arm(args: argparse.Namespace) -> None:
    from replication.insight.classifiers.run import run

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
    Group(
        "inside",
        "look into classifiers: filters, positions, attention, receptive fields, what each depth knows",
        (
            Command(
                "arm",
                "those that one arm ended with, and as they were before their training",
                _declare_arm,
                _look_into_arm,
                "inside arm --experiment vit_resolution --arm pretrain --seeds 0 1 \\\n"
                "      --weights results/training/vit_resolution/pretrain --out results/by_hand",
                Stage.EXAMINE,
            ),
        ),
        Stage.EXAMINE,
    ),
)
