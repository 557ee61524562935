"""A user's own model, named by one line: a *spec*, the same in the configuration and on the command line.

    [name=]timm/<timm name>[(key=value, ...)]
    [name=]package.module:factory[(key=value, ...)]

The factory is imported and called, so a spec, and a configuration that holds one, is a program: run none that you would
not run. The keywords are Python literals, which are read only. The factory returns an `nn.Module` from images
(B, 3, H, W) to logits (B, classes). If it takes `img_size`, by name or among its `**kwargs`, it is given the size of
the images at hand; an `img_size` in the spec is the model's native size. Nothing is imported here: a plan is made
without the user's code.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
from pathlib import Path
from typing import Any

from replication.records.card import Variant
from replication.records.words import LARGEST_SIDE, UserError

OWN = "own"
"""The family of the user's own models, and the folder of their counts beside those of the papers."""
_FORMS = "[name=]timm/<timm name>[(key=value, ...)] or [name=]package.module:factory[(key=value, ...)]"
_LONGEST = 1000
_SPEC = re.compile(r"((?P<name>[^=(]*)=)?(?P<factory>timm/[\w.-]+|\w+(\.\w+)*:\w+)(\((?P<keywords>.*)\))?", re.DOTALL)


def is_spec(text: str) -> bool:
    """Tell whether `text` names an own model, well or badly, and not one of a paper."""
    return any(mark in text for mark in "/:=(")


def read_spec(spec: str) -> Variant:
    """Read the model that `spec` names; its id is the name given, else that of the timm model or the factory.

    Raise `UserError` for another form, a name that is no identifier, or a keyword whose value is no literal.
    """
    if len(spec) > _LONGEST:
        raise UserError(f"'{spec[:60]}...' is no model: a spec has at most {_LONGEST} letters")
    found = _SPEC.fullmatch(spec.strip())
    if not found:
        hint = "; in a list, a spec with a comma stands in quotes: ['my=timm/NAME(depth=3, img_size=96)']"
        halved = spec.count("(") != spec.count(")")
        raise UserError(f"'{spec}' is no model: write a model id, or {_FORMS}{hint if halved else ''}")
    factory = found["factory"]
    name = _derive_name(factory) if found["name"] is None else found["name"].strip()
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise UserError(f"'{spec}': the name '{name}' is not made of letters, digits and underscores")
    keywords = _read_keywords(spec, found["keywords"] or "")
    native = keywords.get("img_size", 224)
    if type(native) is not int or not 1 <= native <= LARGEST_SIDE:
        raise UserError(
            f"'{spec}': img_size is the side of a square image in pixels, at most {LARGEST_SIDE}, not {native!r}"
        )
    return Variant(name, name, OWN, factory, keywords, image_size=native, image_sizes_by=1, sized=False)


def write_spec(variant: Variant) -> str:
    """Write the spec of an own model, with its name where it was given one."""
    name = "" if variant.id == _derive_name(variant.factory) else f"{variant.id}="
    keywords = ", ".join(f"{key}={value!r}" for key, value in variant.architecture.items())
    return f"{name}{variant.factory}" + (f"({keywords})" if keywords else "")


def find_sources(variant: Variant) -> list[str]:
    """Find the Python files below the working directory that an own model may be made of: its module, or its package.

    A timm model or an installed package has none: a workflow does not watch them.
    """
    package = Path(variant.factory.partition(":")[0].split(".")[0])
    module = package.with_suffix(".py")
    found = package.rglob("*.py") if os.path.isdir(package) else ()
    return sorted(str(path) for path in found) or ([str(module)] if os.path.isfile(module) else [])


def find_timm_source(name: str) -> Path | None:
    """Find the file of timm that has a model of this name; None if none has."""
    defined = f"\n@register_model\ndef {name.partition('.')[0]}("
    files = locate_timm_models().glob("*.py")
    return next((path for path in files if defined in path.read_text(encoding="utf-8")), None)


def locate_timm_models() -> Path:
    """Return the folder of timm's models. Importing timm would take seconds, and torch."""
    found = importlib.util.find_spec("timm")
    return Path(found.origin).parent / "models" if found and found.origin else Path("no timm")


def _derive_name(factory: str) -> str:
    return re.sub(r"\W", "_", re.split("[/:]", factory)[-1])


def _read_keywords(spec: str, text: str) -> dict[str, Any]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.args:
            raise ValueError
        keywords = {str(keyword.arg or ""): ast.literal_eval(keyword.value) for keyword in call.keywords}
        if "" in keywords or len(keywords) < len(call.keywords):
            raise ValueError
        if any(isinstance(part, ast.Set) for part in ast.walk(call)):
            raise UserError(f"'{spec}': a set has no order that repeats; write a list or a tuple")
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise UserError(f"'{spec}': '({text})' is not (key=value, ...) with Python literals as values") from error
    return keywords
