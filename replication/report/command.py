"""The commands that judge, show and keep results."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from replication.commands import Command, Stage, add_results, path, results_folder, say, whole
from replication.schema import bounds, default, read_schema


def _declare_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id",
        metavar="ID",
        help="swin/table1a/swin-t-224/flops or swin/claims/shift_gain; what it begins with, swin/table1a, lists them",
    )
    parser.add_argument("--results", type=path, help="results folder (default: results, if there is one)")


def _show(args: argparse.Namespace) -> str:
    from replication.report.show import show

    return show(args.id, results_folder(args.results) if args.results else Path(default("results")))


def _declare_collect(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    scale = read_schema()["properties"]["scale"]
    parser.add_argument("--scale", choices=scale["enum"], default=scale["default"], help="default: %(default)s")
    parser.add_argument(
        "--seeds",
        type=whole(1, bounds("training.seeds")[1]),
        default=default("training.seeds"),
        metavar="N",
        help="use seeds 0 to N-1 (default: %(default)s)",
    )
    for option, what in (("--trained", "trained"), ("--insight", "taken apart")):
        parser.add_argument(
            option,
            nargs="*",
            metavar="EXPERIMENT/ARM",
            help=f"the arms that must be {what}, with every seed (default: those that are there)",
        )


def _collect(args: argparse.Namespace) -> None:
    from replication.report.collect import collect

    collect(results_folder(args.results), args.scale, args.seeds, args.trained, args.insight)


def _judge(args: argparse.Namespace) -> None:
    from replication.report.judge import judge

    judge(results_folder(args.results))


def _write_tables(args: argparse.Namespace) -> None:
    from replication.report.tables import write_tables

    write_tables(results_folder(args.results))


def _draw_figures(args: argparse.Namespace) -> None:
    from replication.report.figures import write_figures

    write_figures(results_folder(args.results))


def _write_page(args: argparse.Namespace) -> None:
    from replication.report.page import write_page

    write_page(results_folder(args.results))


def _declare_snapshot(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    parser.add_argument("--readme", type=path, default=Path("README.md"), help="default: %(default)s")


def _write_snapshot(args: argparse.Namespace) -> None:
    from replication.report.snapshot import write_snapshot

    results = results_folder(args.results)
    write_snapshot(results, results / "reference", args.readme)


def _declare_publish(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    parser.add_argument("--out", type=path, required=True, metavar="FOLDER", help="one that is not there yet")


def _publish(args: argparse.Namespace) -> None:
    from replication.report.publication import write_publication

    write_publication(results_folder(args.results), args.out, Path.cwd())


def _declare_describe(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    parser.add_argument("--page", type=path, help="write the page to this Markdown file instead")


def _describe(args: argparse.Namespace) -> None:
    from replication.records.description import page, write_package
    from replication.records.store import write_text

    if args.page:
        write_text(args.page, page())
    else:
        write_package(results_folder(args.results))


def _declare_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=path, nargs="?", default=Path(default("results")), help="default: %(default)s")


def _verify(args: argparse.Namespace) -> str:
    from replication.verify import faults

    if found := list(faults(args.folder)):
        say("\n".join(found))
        raise SystemExit(1)
    return f"{args.folder} is what was written"


def _make_command(name: str, summary: str, run: Callable[[argparse.Namespace], None]) -> Command:
    """Make a command that reads a folder of results, writes into it, and takes no other option."""
    return Command(name, summary, add_results, run, f"{name} --results results/smoke", Stage.JUDGE)


COMMANDS = (
    Command(
        "show",
        "print all there is about a printed number or a claim, by its id",
        _declare_show,
        _show,
        "show swin/table1a/swin-t-224/flops",
        Stage.LOOK,
    ),
    Command(
        "collect",
        "gather our numbers into measured.csv",
        _declare_collect,
        _collect,
        "collect --results results/smoke --scale smoke --seeds 2",
        Stage.JUDGE,
    ),
    _make_command("judge", "hold published against measured: verdicts.csv and claims.csv", _judge),
    _make_command("tables", "write the papers' tables again, with ours and the verdict", _write_tables),
    _make_command("figures", "draw the figures", _draw_figures),
    _make_command("report", "write the page", _write_page),
    Command(
        "snapshot",
        "publish the present results below them, as reference/, and the README's answer",
        _declare_snapshot,
        _write_snapshot,
        "snapshot",
        Stage.KEEP,
    ),
    Command(
        "publish",
        "write the results as a folder for an archive such as Zenodo: described, with checksums",
        _declare_publish,
        _publish,
        "publish --out dist/vision-transformer-replication",
        Stage.KEEP,
    ),
    Command(
        "describe",
        "describe every column of the results: datapackage.json, or a page for people",
        _declare_describe,
        _describe,
        "describe --page docs/data.md",
        Stage.KEEP,
    ),
    Command(
        "verify",
        "check a folder of results against its manifests; exit status 1 if it is another",
        _declare_verify,
        _verify,
        "verify results/reference",
        Stage.KEEP,
    ),
)
