"""The constructor keywords of a model, read from the source of its class: a plan is made without torch."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable
from pathlib import Path

from replication.papers.parts.user_models import find_timm_source, locate_timm_models
from replication.records.card import Variant

_MODELS = Path(__file__).resolve().parents[2] / "models"


def read_keywords(variant: Variant) -> frozenset[str]:
    """Read the keywords that the class takes; of timm's, those of any class in its file.

    Return None where they stand in another file.
    """
    kind, _, name = variant.factory.partition("/")
    file = _MODELS / f"{name}.py" if kind == "own" else find_timm_source(name)
    if file is None or not file.is_file():
        return frozenset()
    named = _read_constructors(file, ours=kind == "own")
    return named | variant.architecture.keys() if "num_classes" in named else frozenset()


@functools.cache
def _read_constructors(file: Path, ours: bool) -> frozenset[str]:
    """Read the keywords of the constructors in a file, or of the one that we build.

    Where they hand keywords on, those of their bases in other files of timm count as well, and none are known if there
    is no such file.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"))
    chosen = {
        ast.unparse(n.value) for n in tree.body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == "MODEL"
    }
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and (not ours or node.name in chosen)]
    found = [n.args for one in classes for n in one.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    named = frozenset(one.arg for arguments in found for one in (*arguments.args, *arguments.kwonlyargs)) - {"self"}
    if not any(arguments.kwarg for arguments in found) or (not ours and "num_classes" in named):
        return named
    above = [_read_constructors(base, ours=False) for base in _find_bases(tree, classes)]
    return named.union(*above) if above else frozenset()


def _find_bases(tree: ast.Module, classes: Iterable[ast.ClassDef]) -> set[Path]:
    """Find the files of timm that the bases of some classes are imported from."""
    bases = {ast.unparse(base) for one in classes for base in one.bases}
    imported = {
        f"{node.module}.{alias.name}": alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    first = {base.partition(".")[0] for base in bases}
    origins = {path for path, name in imported.items() if name in first}
    names = {origin.split(".")[2] for origin in origins if origin.startswith("timm.models.")}
    return {path for name in names if (path := locate_timm_models() / f"{name}.py").is_file()}
