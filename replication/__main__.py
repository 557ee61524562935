"""The command line: finds the commands of all packages, parses, calls one, and turns faults into one clear line."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from replication import __version__
from replication.commands import Command, Group, find_commands, say
from replication.records.words import UserError, escape


class _Help(argparse.HelpFormatter):
    """Keeps the lines of an example: a command that is wrapped anywhere else cannot be copied."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


FORM: dict[str, Any] = {"allow_abbrev": False, "formatter_class": _Help}


def make_parser() -> argparse.ArgumentParser:
    """Make the command line's grammar."""
    main = argparse.ArgumentParser(
        prog="python -m replication",
        description="A verdict for every number the vision-transformer papers print. "
        "`snakemake --cores all` in the root of a checkout runs all of these in order; each works by hand as well.",
        epilog=_format_example(
            "complexity count --models pvt_small swin_t \\\n      --image-sizes 224 448 --out counts"
        ),
        **FORM,
    )
    main.add_argument("--version", action="version", version=f"replication {__version__}")
    _add(find_commands(), main.add_subparsers(required=True, metavar="COMMAND"))
    return main


def _add(commands: Iterable[Command | Group], to: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for command in commands:
        sentence = f"{command.summary[0].upper()}{command.summary[1:]}."
        sub = to.add_parser(command.name, help=command.summary, description=sentence, **FORM)
        if isinstance(command, Group):
            _add(command.steps, sub.add_subparsers(required=True, metavar="STEP"))
            continue
        sub.epilog = "\n\n".join(filter(None, [command.explanation, _format_example(command.example)]))
        command.declare(sub)
        sub.set_defaults(run=command.run)


def _format_example(command: str) -> str:
    return f"Example:\n  python -m replication {command}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. 0 when it is done; 2 for what the user can mend, 130 for Ctrl-C, said in one line on stderr."""
    sys.path.append(os.getcwd())  # where modules of own models lie; the installed command does not look there
    try:
        given = sys.argv[1:] if arguments is None else arguments
        if odd := next((text for text in given if text.startswith("--") and text.endswith("=--")), None):
            raise UserError(f"{odd}: -- is no value")  # argparse takes it for the end of the options, and gives none
        args = make_parser().parse_args(given)
        say(args.run(args))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(escape(f"error: {error.filename or 'input/output'}: {error.strerror or error}"), file=sys.stderr)
        return 2
    except SystemExit:
        say(None)  # what argparse has written
        raise
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
