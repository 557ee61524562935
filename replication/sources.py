"""What a result's code is: the modules that its command imports, found in their text, and the libraries that these use.

The workflow runs a rule again when the digest changes, and an unfinished training goes on under the same one only.
Nothing is imported here, so that a plan is made without torch.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterable, Iterator
from pathlib import Path

from replication.records.store import LIBRARIES, digest, find_versions, hash_file

ROOT = Path(__file__).resolve().parents[1]
CARDS = ROOT / "replication" / "papers" / "__init__.py"
_DISTRIBUTIONS = {"PIL": "pillow"}
"""Of the modules that are not called as what is installed."""


def digest_sources(module: str, cards: bool = True) -> str:
    """Digest the files of `find_source_files`, and the versions of the libraries that they import."""
    return digest_files(find_source_files(module, cards))


@functools.cache
def find_source_files(module: str, cards: bool = True) -> tuple[Path, ...]:
    """Find the files of the suite that `module` imports, itself first, those that these import, and their data.

    A module that imports by name may import any of its package: `replication.papers` its `cards`, which lie beside it
    and are left out where something else stands for what they say. A package's re-exports count where it is imported.
    """
    files: dict[Path, None] = {}
    waiting, seen = [module], set()
    while waiting:
        name = waiting.pop()
        file = _find_file(name)
        if name in seen or file is None:
            continue
        seen.add(name)
        files |= dict.fromkeys((file, *_find_data(file)))
        names = read_imports(file)
        waiting += sorted(names, reverse=True)
        if "importlib.import_module" in names and (cards or file != CARDS):
            package = sorted(file.parent.glob("*.py" if file == CARDS else "**/*.py"))
            waiting += [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in package]
    return tuple(files)


def digest_files(files: Iterable[Path]) -> str:
    """Digest these files, and the versions of the libraries that they import."""
    names = {name for file in files if file.suffix == ".py" for name in read_imports(file)}
    libraries = {_DISTRIBUTIONS.get(name, name) for name in names} & set(LIBRARIES)
    contents = {file.relative_to(ROOT).as_posix(): _hash_file(file) for file in files}
    return digest([contents, _find_versions(tuple(sorted(libraries)))])


def _find_data(file: Path) -> Iterator[Path]:
    """Find what a module reads as data: the tables of a card, records, sources of pages, captions of figures."""
    tables = file.with_suffix(".md")
    if tables.exists():
        yield tables
    if "jinja2" in read_imports(file):
        yield from sorted(path for name in ("templates", "browser") for path in (file.parent / name).rglob("*.*"))
    if file.name == "__init__.py":
        yield from sorted(file.parent.glob("captions/*/*.rst"))
        yield from sorted(file.parent.glob("*.csv"))


def _find_file(module: str) -> Path | None:
    """Find the file of a module of the suite."""
    path = ROOT.joinpath(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if module.split(".")[0] == "replication" and file.is_file()), None)


@functools.cache
def read_imports(file: Path, without: frozenset[str] = frozenset()) -> frozenset[str]:
    """Read what a file imports: modules of the suite, the top names of others, and `importlib.import_module` if called.

    Functions `without` which it is read do not count.
    """
    found: set[str] = set()
    body = ast.parse(file.read_text(encoding="utf-8")).body
    read = [part for part in body if not (isinstance(part, ast.FunctionDef) and part.name in without)]
    for node in (node for part in read for node in ast.walk(part)):
        if isinstance(node, ast.Import):
            names = (alias.name for alias in node.names)
            found |= {name if name.startswith("replication") else name.split(".")[0] for name in names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] != "replication":
                found.add(node.module.split(".")[0])
                continue
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if _find_file(inner) else node.module)
        elif isinstance(node, ast.Attribute) and node.attr == "import_module":
            found.add("importlib.import_module")
    return frozenset(found)


@functools.cache
def _hash_file(file: Path) -> str:
    return hash_file(file)


@functools.cache
def _find_versions(libraries: tuple[str, ...]) -> dict[str, str]:
    return find_versions(libraries)
