"""The command line: one subcommand per rule of the workflow. Parses, calls, and turns faults into one clear line."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from replication import __version__
from replication.records.words import Size, UserError, read_size

# Imports live in the commands: those that need no torch answer at once. What a command returns is printed.


class _Help(argparse.HelpFormatter):
    """Keeps the lines of an example: a command that is wrapped anywhere else cannot be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


FORM: dict[str, Any] = {"allow_abbrev": False, "formatter_class": _Help}
SEVERAL, SIZES = ("--models", "--model"), ("--image-sizes", "--image-size")
"""Both spellings are taken everywhere; the help begins with the plural where several are."""
MOST_SEEDS = 1000

MODELS = (
    "model ids (see `list`), `all`, or a model of your own: timm/NAME(key=value), package.module:factory(key=value)"
)


def _list(args: argparse.Namespace) -> str:
    from replication.data_sources import SOURCES
    from replication.papers import cards

    width = max(len(variant.id) for card in cards().values() for variant in card.variants)
    lines = []
    for key, card in cards().items():
        numbers = sum(len(table.published) for table in card.tables)
        lines.append(f"{key}: {card.title} ({card.venue} {card.year}), {numbers} numbers")
        lines += [f"    {variant.id:<{width}} {variant.label}" for variant in card.variants]
        lines += [f"    experiment {e.id}: {', '.join(arm.id for arm in e.arms)}" for e in card.experiments]
    lines += [f"data {name}: {source.title}; {source.size}; {source.licence}" for name, source in SOURCES.items()]
    return "\n".join(lines)


def _new_paper(args: argparse.Namespace) -> str:
    from replication.new_paper import write_skeleton

    written = write_skeleton(args.key, args.model, Path(__file__).resolve().parents[1])
    return "\n".join([*(f"written: {path}" for path in written), "CONTRIBUTING.md says how to go on"])


def _published(args: argparse.Namespace) -> None:
    from replication.papers import write_published

    write_published(args.out, args.papers)


def _complexity_count(args: argparse.Namespace) -> str:
    from replication.complexity import count_models, show

    rows = count_models(args.models, args.image_sizes, args.batch_sizes, args.out, args.printed)
    return f"{show(rows)}\nwritten: {args.out / 'counts.csv'}, {args.out / 'memory.csv'}"


def _complexity_merge(args: argparse.Namespace) -> None:
    from replication.complexity import merge

    merge(list(dict.fromkeys(args.folders)), args.out)


def _complexity_mechanisms(args: argparse.Namespace) -> None:
    from replication.complexity import write_mechanisms

    write_mechanisms(args.out)


def _complexity_scaling(args: argparse.Namespace) -> None:
    from replication.complexity import write_scaling

    write_scaling(args.counts, args.mechanisms, args.out)


def _complexity_crossings(args: argparse.Namespace) -> None:
    from replication.complexity import write_crossings

    write_crossings(args.counts, args.out)


def _departures(args: argparse.Namespace) -> None:
    from replication.evaluation.departures import write_departures

    write_departures(args.out)


def _evaluate(args: argparse.Namespace) -> None:
    from replication.evaluation import evaluate

    evaluate(args.model, args.image_size, args.checkpoint, args.images, args.out, args.dataset, args.corrupt)


def _fetch(args: argparse.Namespace) -> str:
    from replication.data.fetch import fetch

    return str(fetch(args.dataset, args.root, args.mirror, args.offline))


def _training(args: argparse.Namespace) -> None:
    from replication.training import run

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
    )


def _speed(args: argparse.Namespace) -> str:
    import torch

    from replication.speed import Condition, model_cells, published_cells, run, show

    if not args.published and not args.models:
        raise UserError("name models, as in --models deit_s swin_t, or take those of the papers' tables: --published")
    cells = published_cells(args.tables) if args.published else []
    cells += [cell for cell in model_cells(args.models, args.image_sizes) if cell not in cells]
    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    condition = Condition(
        device, args.precision, args.attention, args.mode, args.batch_size, args.compiled, args.channels_last
    )
    protocol = args.largest, args.blocks, args.block_seconds, args.threads
    return show(run(cells, condition, args.out, *protocol, args.memory))


def _insight(args: argparse.Namespace) -> None:
    from replication.insight import run

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


def _average_precision(args: argparse.Namespace) -> str:
    from replication.detection.average_precision import evaluate_file

    found = evaluate_file(args.ground_truth, args.results)
    return "\n".join(f"{name:<16} {'NA' if value is None else f'{value:.2f}':>6}" for name, value in found.items())


def _collect(args: argparse.Namespace) -> None:
    from replication.report import collect

    collect(_results(args), args.scale, args.seeds, args.trained, args.insight)


def _judge(args: argparse.Namespace) -> None:
    from replication.report import judge

    judge(_results(args))


def _tables(args: argparse.Namespace) -> None:
    from replication.report import write_tables

    write_tables(_results(args))


def _figures(args: argparse.Namespace) -> None:
    from replication.report import write_figures

    write_figures(_results(args))


def _report(args: argparse.Namespace) -> None:
    from replication.report import write_page

    write_page(_results(args))


def _show(args: argparse.Namespace) -> str:
    from replication.report import show

    return show(args.id, _results(args) if args.results else Path("results"))


def _describe(args: argparse.Namespace) -> None:
    from replication.records.description import page, write_package
    from replication.records.store import write_text

    if args.page:
        write_text(args.page, page())
    else:
        write_package(_results(args))


def _verify(args: argparse.Namespace) -> str:
    from replication.verify import faults

    if found := list(faults(args.folder)):
        _print("\n".join(found))
        raise SystemExit(1)
    return f"{args.folder} is what was written"


def _snapshot(args: argparse.Namespace) -> None:
    from replication.report import write_snapshot

    results = _results(args)
    write_snapshot(results, results / "reference", args.readme)


def _results(args: argparse.Namespace) -> Path:
    folder: Path = args.results
    if not folder.is_dir():
        raise UserError(
            f"there is no folder '{folder}': run this in the root of a checkout that has results "
            "(`make reproduce`), or name the folder that holds them, --results"
        )
    return folder


def _path(text: str) -> Path:
    """A path, in which `~` is the home even where no shell has made it so: --out=~/counts."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no path")
    return Path(os.path.expanduser(text))


def _size(text: str) -> Size:
    try:
        return read_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _change(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    try:
        return key, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(
            f"the value in {text!r} cannot be read; is a bracket or quote open?"
        ) from error


def _positive(text: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,17}", text):
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return int(text)


def _not_negative(text: str) -> int:
    return 0 if re.fullmatch("0+", text) else _positive(text)


def _seeds(text: str) -> int:
    if (count := _positive(text)) > MOST_SEEDS:
        raise argparse.ArgumentTypeError(f"{text} seeds are more than {MOST_SEEDS}, the most of a configuration")
    return count


def _positive_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    main = argparse.ArgumentParser(
        prog="python -m replication",
        description="A verdict for every number the vision-transformer papers print. "
        "`snakemake --cores all` in the root of a checkout runs all of these in order; each works by hand as well.",
        epilog="""Example:
  python -m replication complexity count --models pvt_small swin_t \\
      --image-sizes 224 448 --out counts""",
        **FORM,
    )
    main.add_argument("--version", action="version", version=f"replication {__version__}")
    commands = main.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str,
        run: Callable[[argparse.Namespace], str | None],
        text: str,
        within: argparse._SubParsersAction = commands,
    ) -> argparse.ArgumentParser:
        sub = within.add_parser(name, help=text, description=text, **FORM)
        sub.set_defaults(run=run)
        return sub

    def reads_images(sub: argparse.ArgumentParser) -> None:
        text = "stop at an image that cannot be used, or leave it out (default: %(default)s)"
        sub.add_argument("--corrupt", choices=["strict", "skip"], default="strict", help=text)

    command("list", _list, "show the papers, model ids, experiments and data sets")

    sub = command("show", _show, "print all there is about a printed number or a claim, by its id")
    sub.add_argument(
        "id",
        metavar="ID",
        help="swin/table1a/swin-t-224/flops or swin/claims/shift_gain; what it begins with, swin/table1a, lists them",
    )
    sub.add_argument("--results", type=_path, help="results folder (default: results, if there is one)")

    sub = command("new-paper", _new_paper, "write the skeleton of a card into a checkout, to add a paper with")
    sub.add_argument("key", metavar="KEY", help="its name: small letters and digits, as in shuffle")
    sub.add_argument("--model", action="store_true", help="with a model file of its own, too (default: one of timm's)")
    sub.epilog = """Example:
  python -m replication new-paper mlpmixer --model"""

    sub = command("published", _published, "write every number the papers print as one CSV")
    sub.add_argument("--papers", nargs="+", default=[], metavar="KEY", help="of these papers only (default: of all)")
    sub.add_argument("--out", type=_path, default=Path("results/published.csv"), help="the CSV (default: %(default)s)")

    group = commands.add_parser(
        "complexity", help="count parameters, multiply-adds and peak memory, and fit their growth", **FORM
    )
    steps = group.add_subparsers(required=True, metavar="STEP")

    sub = command("count", _complexity_count, "count models at image sizes, three ways that must agree", steps)
    sub.add_argument(*SEVERAL, nargs="+", required=True, metavar="ID", help=MODELS)
    sub.add_argument(
        *SIZES, nargs="+", type=_size, required=True, metavar="PX", help="224, or height x width: 800x1280"
    )
    sub.add_argument(
        "--printed", action="store_true", help="also at each model's native size and at those that papers print"
    )
    sub.add_argument(
        "--batch-sizes", nargs="+", type=_positive, default=[1], metavar="B", help="for peak memory (default: 1)"
    )
    sub.add_argument("--out", type=_path, required=True, help="folder for counts.csv and memory.csv")

    sub = command("merge", _complexity_merge, "join the counts of several folders", steps)
    sub.add_argument("--folders", nargs="+", type=_path, required=True, help="folders written by `count`")
    sub.add_argument("--out", type=_path, required=True, help="folder for the joined counts.csv and memory.csv")

    sub = command("mechanisms", _complexity_mechanisms, "count the attention mechanisms alone, at one width", steps)
    sub.add_argument("--out", type=_path, required=True, help="the CSV")

    sub = command("scaling", _complexity_scaling, "fit how cost grows with tokens", steps)
    sub.add_argument("--counts", type=_path, required=True, help="counts.csv")
    sub.add_argument("--mechanisms", type=_path, required=True, help="mechanisms.csv")
    sub.add_argument("--out", type=_path, required=True, help="the CSV")

    sub = command("crossings", _complexity_crossings, "find where the cost curves of small models cross", steps)
    sub.add_argument("--counts", type=_path, required=True, help="counts.csv")
    sub.add_argument("--out", type=_path, required=True, help="the CSV")

    sub = command(
        "evaluate", _evaluate, "accuracy of released weights on a folder of images, or average precision of DETR's"
    )
    sub.add_argument(*SEVERAL[::-1], required=True, metavar="ID")
    sub.add_argument(*SIZES[::-1], type=_positive, required=True, metavar="PX", help="of a detector, the short side")
    sub.add_argument(
        "--checkpoint",
        type=_path,
        required=True,
        help="the authors' file: .pth, .pth.tar, .bin, .ckpt, .safetensors, .npz",
    )
    sub.add_argument(
        "--images", type=_path, required=True, help="one folder a class, as ImageNet's validation set; for DETR, COCO's"
    )
    sub.add_argument("--dataset", default="", help="what the images are (default: imagenet-1k; for DETR, coco)")
    reads_images(sub)
    sub.add_argument("--out", type=_path, required=True, help="folder for evaluation.csv")

    sub = command("departures", _departures, "measure how far timm's defaults are from the released models")
    sub.add_argument("--out", type=_path, required=True, help="the CSV")

    sub = command("fetch", _fetch, "download a data set, check it and unpack it (`list` shows them)")
    sub.add_argument("--dataset", required=True, metavar="NAME")
    sub.add_argument("--root", type=_path, default=Path("data"), help="folder of all data sets (default: %(default)s)")
    sub.add_argument(
        "--mirror",
        default="",
        help="a folder or an address to ask first, for <mirror>/<name>/<file>",
    )
    sub.add_argument("--offline", action="store_true", help="ask the mirror only")

    sub = command(
        "training", _training, "train one arm of an experiment with some seeds; run again to go on after a kill"
    )
    sub.add_argument("--experiment", required=True, metavar="ID")
    sub.add_argument("--arm", required=True, metavar="ID")
    sub.add_argument("--seeds", type=_not_negative, nargs="+", required=True, metavar="N")
    sub.add_argument("--scale", default="laptop", help="one that the experiment is run at (default: %(default)s)")
    sub.add_argument(
        "--set", type=_change, nargs="+", default=[], metavar="KEY=VALUE", help="changes of the recipe: epochs=3"
    )
    sub.add_argument("--start-from", type=_path, metavar="FOLDER", help="results of the arm this one starts from")
    sub.add_argument("--teacher", type=_path, metavar="FOLDER", help="results of the arm this one is distilled from")
    sub.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="cpu", help="auto: a GPU if there is one (default: cpu)"
    )
    sub.add_argument("--data", type=_path, default=Path("data"), help="folder of all data sets (default: %(default)s)")
    reads_images(sub)
    sub.add_argument("--checkpoints", type=_path, default=Path("results/checkpoints"), help="default: %(default)s")
    sub.add_argument("--out", type=_path, required=True, help="folder for the arm's results: seed0, ...")

    sub = command("speed", _speed, "time models in turns: latency, throughput, and how they compare, with intervals")
    sub.epilog = """Latency is a batch of 1, the default; throughput a larger one. All cells of
a run are timed in turns, in blocks, so that their ratios hold though the
machine drifts; intervals (95 %) are over blocks. A row is not valid, and says
why, where the times varied or the machine did something else as well.

Example:
  python -m replication speed --models deit_s swin_t pvt_small \\
      --image-sizes 224 384"""
    subjects = sub.add_argument_group("what is timed")
    subjects.add_argument(
        *SEVERAL, nargs="+", default=[], metavar="ID", help=f"{MODELS}; all ratios are to the first that is timed"
    )
    subjects.add_argument(
        *SIZES,
        nargs="+",
        type=_size,
        default=[],
        metavar="PX",
        help="224, or 800x1280 (default: each one's own)",
    )
    subjects.add_argument(
        "--published",
        action="store_true",
        help="before them, what the papers' tables of speed time, DeiT-S first; attention mechanisms alone over grids "
        "of tokens; and this machine's limits, a matrix product and a copy",
    )
    subjects.add_argument(
        "--tables",
        nargs="+",
        default=[],
        metavar="TABLE",
        help="with --published, the models of these only: swin/table1a",
    )
    subjects.add_argument(
        "--largest",
        type=_positive_number,
        metavar="GMACS",
        help="leave out what costs more multiply-adds an image (default: nothing)",
    )
    condition = sub.add_argument_group("the condition")
    condition.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cpu", help="default: %(default)s")
    condition.add_argument(
        "--precision",
        default="fp32",
        help="fp32 (no TF32), bf16, amp-bf16 (autocast); on a GPU also tf32, fp16, amp-fp16 (default: %(default)s)",
    )
    condition.add_argument(
        "--attention",
        default="math",
        help="math: the matrix of weights is formed, as in the papers' days; fused: PyTorch's kernels "
        "(default: %(default)s)",
    )
    condition.add_argument(
        "--mode", default="infer", help="infer; or train: forward, cross-entropy, backward (default: %(default)s)"
    )
    condition.add_argument("--batch-size", type=_positive, default=1, metavar="B", help="default: %(default)s")
    condition.add_argument("--compiled", action="store_true", help="by torch.compile")
    condition.add_argument("--channels-last", action="store_true", help="images and convolutions with channels last")
    condition.add_argument("--threads", type=_positive, metavar="N", help="default: one for each core it may use")
    protocol = sub.add_argument_group("how long, and where to")
    protocol.add_argument("--blocks", type=_positive, default=10, metavar="N", help="default: %(default)s")
    protocol.add_argument(
        "--block-seconds",
        type=_positive_number,
        default=0.2,
        metavar="S",
        help="for a cell in a block, at least two steps (default: %(default)s)",
    )
    protocol.add_argument(
        "--memory", nargs="+", default=[], metavar="ID", help="measure the peak memory of these as well (needs --out)"
    )
    protocol.add_argument(
        "--out", type=_path, help="folder for cells.csv, samples.csv, memory.csv and cells.json (default: print only)"
    )

    sub = command("insight", _insight, "take the trained detectors of one arm apart: layers, slots, attention, crowds")
    sub.add_argument("--experiment", required=True, metavar="ID")
    sub.add_argument("--arm", required=True, metavar="ID")
    sub.add_argument("--seeds", type=_not_negative, nargs="+", required=True, metavar="N")
    sub.add_argument("--scale", default="laptop", help="one that the arm was trained at (default: %(default)s)")
    sub.add_argument("--set", type=_change, nargs="+", default=[], metavar="KEY=VALUE", help="as it was trained with")
    sub.add_argument("--weights", type=_path, required=True, metavar="FOLDER", help="training results of the arm")
    sub.add_argument("--data", type=_path, default=Path("data"), help="folder of all data sets (default: %(default)s)")
    reads_images(sub)
    sub.add_argument("--out", type=_path, required=True, help="folder for the arm's results: seed0, ...")

    sub = command("average-precision", _average_precision, "evaluate stored predictions again: COCO's twelve numbers")
    sub.add_argument("--ground-truth", type=_path, required=True, metavar="JSON", help="COCO's instances")
    sub.add_argument("--results", type=_path, required=True, metavar="JSON", help="COCO's results: predictions.json")

    for name, run, text in (
        ("collect", _collect, "gather our numbers into measured.csv"),
        ("judge", _judge, "hold published against measured: verdicts.csv and claims.csv"),
        ("tables", _tables, "write the papers' tables again, with ours and the verdict"),
        ("figures", _figures, "draw the figures"),
        ("report", _report, "write the page"),
        ("snapshot", _snapshot, "publish the present results below them, as reference/, and the README's answer"),
    ):
        sub = command(name, run, text)
        sub.add_argument("--results", type=_path, default=Path("results"), help="results folder (default: %(default)s)")
        if name == "collect":
            sub.add_argument(
                "--scale", choices=["smoke", "laptop", "gpu", "full"], default="laptop", help="default: %(default)s"
            )
            sub.add_argument("--seeds", type=_seeds, default=5, help="use seeds 0 to n-1 (default: %(default)s)")
            for option, what in (("--trained", "trained"), ("--insight", "taken apart")):
                sub.add_argument(
                    option,
                    nargs="*",
                    metavar="EXPERIMENT/ARM",
                    help=f"the arms that must be {what}, with every seed (default: those that are there)",
                )
        if name == "snapshot":
            sub.add_argument("--readme", type=_path, default=Path("README.md"), help="default: %(default)s")

    sub = command("describe", _describe, "describe every column of the results: datapackage.json, or a page for people")
    sub.add_argument("--results", type=_path, default=Path("results"), help="results folder (default: %(default)s)")
    sub.add_argument("--page", type=_path, help="write the page to this Markdown file instead")

    sub = command("verify", _verify, "check a folder of results against its manifests; exit status 1 if it is another")
    sub.add_argument("folder", type=_path, nargs="?", default=Path("results"), help="default: %(default)s")
    return main


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0 when it is done; 2 for what the user can mend, 130 for Ctrl-C, said in one line on stderr."""
    sys.path.append(os.getcwd())  # where modules of own models lie; the installed command does not look there
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if odd := next((text for text in given if text.startswith("--") and text.endswith("=--")), None):
            raise UserError(f"{odd}: -- is no value")  # argparse takes it for the end of the options, and gives none
        args = parser().parse_args(given)
        _print(args.run(args))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename or 'input/output'}: {error.strerror or error}", file=sys.stderr)
        return 2
    except SystemExit:
        _print(None)  # what argparse has written
        raise
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def _print(text: str | None) -> None:
    """Print it, unless its reader has seen enough, as in `list | head`: then the rest is dropped in silence."""
    try:
        if text is not None:
            print(text)
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
