"""The commands that judge, show and keep results."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from replication.commands import Command, Stage, add_results, find_results, make_integer_reader, read_path, say
from replication.schema import read_bounds, read_default, read_schema


def _declare_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "id",
        metavar="ID",
        help="show swin/table1a/swin-t-224/flops or swin/claims/shift_gain; list those that begin with swin/table1a",
    )
    parser.add_argument(
        "--results", type=read_path, help="read this folder of results (default: results, if there is one)"
    )


def _show(args: argparse.Namespace) -> str:
    from replication.report.show import show

    return show(args.id, find_results(args.results) if args.results else Path(read_default("results")))


def _declare_collect(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    scale = read_schema()["properties"]["scale"]
    parser.add_argument("--scale", choices=scale["enum"], default=scale["default"], help="default: %(default)s")
    parser.add_argument(
        "--seeds",
        type=make_integer_reader(1, read_bounds("training.seeds")[1]),
        default=read_default("training.seeds"),
        metavar="N",
        help="use seeds 0 to N-1 (default: %(default)s)",
    )
    for option, what in (("--trained", "trained"), ("--insight", "taken apart"), ("--inside", "looked into")):
        parser.add_argument(
            option,
            nargs="*",
            metavar="EXPERIMENT/ARM",
            help=f"ask that these arms are {what}, with every seed or, with /seed3 behind, that one "
            "(default: those that are there)",
        )


def _collect(args: argparse.Namespace) -> None:
    from replication.report.collect import collect

    collect(find_results(args.results), args.scale, args.seeds, args.trained, args.insight, args.inside)


def _judge(args: argparse.Namespace) -> None:
    from replication.report.judge import judge

    judge(find_results(args.results))


def _write_tables(args: argparse.Namespace) -> None:
    from replication.report.tables import write_tables

    write_tables(find_results(args.results))


def _draw_figures(args: argparse.Namespace) -> None:
    from replication.report.figures import write_figures

    write_figures(find_results(args.results))


def _write_page(args: argparse.Namespace) -> None:
    from replication.report.page import write_page

    write_page(find_results(args.results))


def _declare_snapshot(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    parser.add_argument("--readme", type=read_path, default=Path("README.md"), help="default: %(default)s")
    text = "only add what this machine timed in another run, under its name, to what is published"
    parser.add_argument("--timings-of", type=read_path, metavar="FOLDER", help=text)


def _write_snapshot(args: argparse.Namespace) -> None:
    from replication.records.reading import PUBLISHED
    from replication.report.snapshot import add_timings, write_snapshot

    results = find_results(args.results)
    if args.timings_of:
        add_timings(find_results(args.timings_of), results / PUBLISHED)
        return
    write_snapshot(results, results / PUBLISHED, args.readme)


def _declare_publish(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    parser.add_argument(
        "--out", type=read_path, required=True, metavar="FOLDER", help="make this folder, which is not there yet"
    )


def _publish(args: argparse.Namespace) -> None:
    from replication.report.publication import write_publication

    write_publication(find_results(args.results), args.out, Path.cwd())


def _declare_describe(parser: argparse.ArgumentParser) -> None:
    add_results(parser)
    parser.add_argument("--page", type=read_path, help="write the page to this Markdown file instead")


def _describe(args: argparse.Namespace) -> None:
    from replication.records.description import render_page, write_package
    from replication.records.store import write_text

    if args.page:
        write_text(args.page, render_page())
    else:
        write_package(find_results(args.results))


def _declare_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=read_path, nargs="?", default=Path(read_default("results")), help="default: %(default)s"
    )


def _verify(args: argparse.Namespace) -> str:
    from replication.verify import find_faults

    if found := list(find_faults(args.folder)):
        say("\n".join(found))
        raise SystemExit(1)
    return f"{args.folder} is what was written"


def _make_command(name: str, summary: str, run: Callable[[argparse.Namespace], None]) -> Command:
    """Make a command that reads a folder of results, writes into it, and takes no other option."""
    return Command(name, summary, add_results, run, f"{name} --results results/smoke", Stage.JUDGE)


def _declare_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "first",
        type=read_path,
        metavar="FOLDER",
        help="compare this one: results/full/evaluation/<weights>/imagenet/224",
    )
    parser.add_argument("second", type=read_path, metavar="FOLDER", help="compare it with this one, of the same images")


def _compare(args: argparse.Namespace) -> str:
    from replication.report.disagreements import compare_kept

    return compare_kept(args.first, args.second)


COMMANDS = (
    Command(
        "compare",
        "compare what two evaluations answered for the same images: how often they disagree, which is right more often",
        _declare_compare,
        _compare,
        "compare results/full/evaluation/deit_b_224/imagenet/224 \\\n"
        "      results/full/evaluation/deit_b_distilled_224/imagenet/224",
        Stage.LOOK,
    ),
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
