"""The constructor keywords of a model, read from the source of its class: a plan is made without torch."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

from replication.papers.parts.user_models import timm_source
from replication.records.card import Variant

_MODELS = Path(__file__).resolve().parents[2] / "models"


def keywords(variant: Variant) -> frozenset[str]:
    """Those that any class of the model's source file takes, so rather more than too few; none where it is not known.

    A class of ours that hands others on to timm's takes what that file does not say.
    """
    kind, _, name = variant.factory.partition("/")
    file = _MODELS / f"{name}.py" if kind == "own" else timm_source(name)
    if file is None or not file.is_file():
        return frozenset()
    named, others = _constructors(file)
    return (
        frozenset() if others and kind == "own" else named | variant.architecture.keys() | {"num_classes", "in_chans"}
    )


@functools.cache
def _constructors(file: Path) -> tuple[frozenset[str], bool]:
    """The keywords of all constructors in a file, and whether one of them takes others besides."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [node.args for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    named = {one.arg for arguments in found for one in (*arguments.args, *arguments.kwonlyargs)}
    return frozenset(named - {"self"}), any(arguments.kwarg for arguments in found)
