"""The command that says what a configuration will take."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from replication.commands import Command, Stage, make_integer_reader, read_change, read_path


def _declare_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configfile",
        type=read_path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="configurations that are laid over config/config.yaml, as Snakemake takes them",
    )
    parser.add_argument(
        "--config", type=read_change, nargs="+", default=[], metavar="KEY=VALUE", help="keys that are laid over those"
    )
    text = "plan for so many cores (default: those that this process may use)"
    parser.add_argument("--cores", type=make_integer_reader(1, 9999), metavar="N", help=text)
    parser.add_argument(
        "--against",
        type=read_path,
        metavar="FOLDER",
        help="read the results of a run, and say what its parts took as well",
    )


def _plan(args: argparse.Namespace) -> str:
    from replication.forecast.show import show_forecast
    from replication.plan.configuration import read_configuration
    from replication.plan.make import make_plan

    config = read_configuration(
        [*filter(Path.exists, [Path("config/config.yaml")]), *args.configfile], dict(args.config)
    )
    return show_forecast(make_plan(config), args.cores or len(os.sched_getaffinity(0)), args.against)


COMMANDS = (
    Command(
        "plan",
        "say what a configuration will take before it is run, and what each part buys",
        _declare_plan,
        _plan,
        "plan --configfile config/full.yaml",
        Stage.LOOK,
        explanation="""Jobs, hours, disk and downloads, part by part, are estimated from counts and from rates
that were measured or are printed (replication/forecast/rates.py). The two numbers in
brackets are the least and the most. Nothing is run or fetched.""",
    ),
)
