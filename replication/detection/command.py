"""The command that evaluates stored predictions of a detector."""

from __future__ import annotations

import argparse

from replication.commands import Command, Stage, read_path


def _declare_average_precision(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--ground-truth", type=read_path, required=True, metavar="JSON", help="read this ground truth: COCO's instances"
    )
    parser.add_argument(
        "--results",
        type=read_path,
        required=True,
        metavar="JSON",
        help="read these results as COCO has them: predictions.json",
    )


def _evaluate_predictions(args: argparse.Namespace) -> str:
    from replication.detection.average_precision import evaluate_file

    found = evaluate_file(args.ground_truth, args.results)
    return "\n".join(f"{name:<16} {'NA' if value is None else f'{value:.2f}':>6}" for name, value in found.items())


COMMANDS = (
    Command(
        "average-precision",
        "evaluate stored predictions again: COCO's twelve numbers",
        _declare_average_precision,
        _evaluate_predictions,
        "average-precision --ground-truth instances_val2017.json \\\n      --results predictions.json",
        Stage.EXAMINE,
    ),
)
