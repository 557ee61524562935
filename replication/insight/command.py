"""The command that takes trained detectors apart."""

from __future__ import annotations

import argparse

from replication.commands import Command, Stage, add_trained_arm, list_trained_arm


def _take_apart(args: argparse.Namespace) -> None:
    from replication.insight.run import run

    run(*list_trained_arm(args))


COMMANDS = (
    Command(
        "insight",
        "take the trained detectors of one arm apart: layers, slots, attention, crowds",
        add_trained_arm,
        _take_apart,
        "insight --experiment detr_scenes --arm baseline --seeds 0 1 \\\n"
        "      --weights results/training/detr_scenes/baseline --out results/by_hand",
        Stage.EXAMINE,
    ),
)
