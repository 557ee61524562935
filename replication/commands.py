"""What a command of the suite is made of, where commands are found, and the arguments that several of them take.

Every package declares its commands in a file `command.py`, as `COMMANDS`. The file is loaded without the package around
it, and a command imports what it needs when it is run: those that need no torch answer at once.
"""

from __future__ import annotations

import argparse
import enum
import functools
import importlib.machinery
import math
import os
import re
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from replication.records.words import Size, UserError, read_size
from replication.schema import read_bounds, read_default, read_schema

PACKAGE = Path(__file__).resolve().parent
LARGEST_SEED = 999_999
"""Of one training; a configuration begins with 0 and has fewer."""
SEVERAL, SIZES = ("--models", "--model"), ("--image-sizes", "--image-size")
"""Both spellings are taken everywhere; the help begins with the plural where several are."""
MODELS = (
    "model ids (see `list`), `all`, or a model of your own: timm/NAME(key=value), package.module:factory(key=value); "
    "an unknown name stops the command before anything runs, a model that cannot be built costs no other"
)


class Stage(enum.IntEnum):
    """The stage at which a reader meets a command: the help lists them in this order."""

    LOOK = enum.auto()
    MEASURE = enum.auto()
    TRAIN = enum.auto()
    EXAMINE = enum.auto()
    JUDGE = enum.auto()
    KEEP = enum.auto()


@dataclass(frozen=True)
class Command:
    """A subcommand: the arguments it takes, and the function that runs it, whose text is printed."""

    name: str
    summary: str
    declare: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], str | None]
    example: str  # what follows `python -m replication`; a test parses it
    stage: Stage = Stage.MEASURE
    explanation: str = ""


@dataclass(frozen=True)
class Group:
    """Several subcommands under one name."""

    name: str
    summary: str
    steps: tuple[Command, ...]
    stage: Stage = Stage.MEASURE


@functools.cache
def find_commands() -> tuple[Command | Group, ...]:
    """Find the commands of all packages, in the order of the help."""
    files = sorted(PACKAGE.rglob("command.py"))
    found: list[Command | Group] = [command for file in files for command in _load(file).COMMANDS]
    return tuple(sorted(found, key=lambda command: command.stage))


def list_commands() -> dict[str, Command]:
    """Return every command by the words that call it, as in "complexity count"."""
    found: dict[str, Command] = {}
    for one in find_commands():
        if isinstance(one, Group):
            found |= {f"{one.name} {step.name}": step for step in one.steps}
        else:
            found[one.name] = one
    return found


def _load(file: Path) -> Any:
    """Load a file of commands as a module, without the package around it."""
    name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
    module = types.ModuleType(name)
    importlib.machinery.SourceFileLoader(name, str(file)).exec_module(module)
    return module


def say(text: str | None) -> None:
    """Print the text, unless its reader has seen enough, as in `list | head`: then drop the rest in silence."""
    try:
        if text is not None:
            print(text)
        if sys.stdout:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


# --- arguments that several commands take -----------------------------------------------------------


def add_arm(parser: argparse.ArgumentParser) -> None:
    """Add the arm of an experiment that a command is about: its seeds, scale, recipe and data, and where results go."""
    parser.add_argument("--experiment", required=True, metavar="ID")
    parser.add_argument("--arm", required=True, metavar="ID")
    parser.add_argument("--seeds", type=make_integer_reader(0, LARGEST_SEED), nargs="+", required=True, metavar="N")
    parser.add_argument(
        "--scale",
        default=read_default("scale"),
        help="run at this scale, which the experiment has (default: %(default)s)",
    )
    parser.add_argument(
        "--set", type=read_change, nargs="+", default=[], metavar="KEY=VALUE", help="change the recipe: epochs=3"
    )
    add_data(parser, "--data")
    add_corrupt(parser)
    parser.add_argument(
        "--out", type=read_path, required=True, help="write the arm's results to this folder: seed0, ..."
    )


def add_trained_arm(parser: argparse.ArgumentParser) -> None:
    """Add the arm of an experiment that was trained, and where its weights lie."""
    add_arm(parser)
    parser.add_argument(
        "--weights", type=read_path, required=True, metavar="FOLDER", help="read the training results of the arm here"
    )


def list_trained_arm(args: argparse.Namespace) -> tuple[Any, ...]:
    """List what `add_trained_arm` asked for, in the order that what looks into such an arm takes it."""
    seeds = list(dict.fromkeys(args.seeds))
    where = args.weights, args.out, args.data, args.corrupt
    return args.experiment, args.arm, seeds, args.scale, *where, dict(args.set)


def add_corrupt(parser: argparse.ArgumentParser) -> None:
    """Add the choice of what becomes of images that cannot be used."""
    corrupt = read_schema()["properties"]["data"]["properties"]["corrupt"]
    text = "stop at an image that cannot be used, or leave it out (default: %(default)s)"
    parser.add_argument("--corrupt", choices=corrupt["enum"], default=corrupt["default"], help=text)


def add_data(parser: argparse.ArgumentParser, option: str) -> None:
    """Add the folder of all data sets."""
    parser.add_argument(
        option,
        type=read_path,
        default=Path(read_default("data.root")),
        help="look for data sets in this folder (default: %(default)s)",
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    """Add the device on which a command computes."""
    text = "compute there; auto is a GPU if there is one (default: %(default)s)"
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default=read_default("training.device"), help=text)


def add_pass(parser: argparse.ArgumentParser) -> None:
    """Add how a data set is passed through a model."""
    add_device(parser)
    text = "compute in this number format, by autocast; fp32 alone is judged (default: %(default)s)"
    parser.add_argument("--precision", choices=["fp32", "bf16", "fp16"], default="fp32", help=text)
    text = (
        "of classifiers, images that are answered at once, or as many of them as fit into memory (default: %(default)s)"
    )
    parser.add_argument("--batch", type=make_integer_reader(1, 10**6), default=64, metavar="N", help=text)
    text = "read images in so many processes, of classifiers (default: one a thread, at most 8)"
    parser.add_argument("--workers", type=make_integer_reader(0, 1000), metavar="N", help=text)


def add_source(parser: argparse.ArgumentParser, file: str) -> None:
    """Add where files are fetched from."""
    text = f"ask this folder or address first, for <mirror>/{file}"
    parser.add_argument("--mirror", default=read_default("data.mirror"), help=text)
    parser.add_argument(
        "--offline", action="store_true", default=read_default("data.offline"), help="ask the mirror only"
    )


def add_results(parser: argparse.ArgumentParser) -> None:
    """Add the folder of results that a command reads, and writes into."""
    folder = Path(read_default("results"))
    parser.add_argument(
        "--results",
        type=read_path,
        default=folder,
        help="read this folder of results, and write into it (default: %(default)s)",
    )


def find_results(folder: Path) -> Path:
    """Return the folder, if it is there. Raise `UserError`, which says where a command is run."""
    if not folder.is_dir():
        raise UserError(
            f"there is no folder '{folder}': run this in the root of a checkout that has results "
            "(`make reproduce`), or name the folder that holds them, --results"
        )
    return folder


# --- types of arguments -----------------------------------------------------------------------------


def read_path(text: str) -> Path:
    """Read a path, in which `~` is the home even where no shell has made it so: --out=~/counts."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no path")
    try:
        text.encode()
    except UnicodeEncodeError as error:  # bytes that results, which are UTF-8, could not name
        raise argparse.ArgumentTypeError(f"{text!r} is no UTF-8 text; give the folder or file another name") from error
    return Path(os.path.expanduser(text))


def read_image_size(text: str) -> Size:
    """Read the size of an image: 224, or height x width."""
    try:
        return read_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def read_change(text: str) -> tuple[str, Any]:
    """Read a change of a recipe, KEY=VALUE, the value being YAML."""

    key, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    try:
        return key, yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(
            f"the value in {text!r} cannot be read; is a bracket or quote open?"
        ) from error


def make_integer_reader(low: int, high: int) -> Callable[[str], int]:
    """Make a reader of a whole number from `low` to `high`; a larger one would end a library without a line of ours."""

    def read(text: str) -> int:
        if not re.fullmatch("[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text[:40]} is not a whole number from {low} to {high}")
        return int(text)

    return read


def make_number_reader(key: str) -> Callable[[str], float]:
    """Make a reader of a number within the bounds of a key of the configuration."""
    low, high = read_bounds(key)

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text[:40]} is not a number from {low:g} to {high:g}")
        return value

    return read
