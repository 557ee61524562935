"""The command that publishes trainings of the study."""

from __future__ import annotations

import argparse

from replication.commands import Command, Stage, read_path


def _declare_keep(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--results",
        type=read_path,
        required=True,
        help="read the trainings in this folder of results",
    )


def _keep(args: argparse.Namespace) -> str:
    from replication.study.keep import keep_study

    return f"{keep_study(args.results)} trainings are published in replication/study; commit them"


COMMANDS = (
    Command(
        "keep-study",
        "publish the finished trainings of the study as rows in replication/study, which every run judges by",
        _declare_keep,
        _keep,
        "keep-study --results results/study",
        Stage.JUDGE,
    ),
)
