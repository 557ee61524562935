"""The papers, one card each: `<key>.py` (models, claims, experiments) with its tables as printed in `<key>.md`.

A card is found by being here; no list is edited. Torch-free, so that the DAG is enumerated in milliseconds.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from replication.papers.parts.detectors import derive_variants
from replication.papers.parts.user_models import find_timm_source, is_spec, read_spec, write_spec
from replication.records.card import Card, Experiment, Lookup, Variant
from replication.records.metrics import METRICS
from replication.records.rows import Published
from replication.records.store import read_clock, write_manifest, write_rows
from replication.records.words import Size, UserError, nearest, split_size


@functools.cache
def read_cards() -> dict[str, Card]:
    """Read every card by key, in alphabetical order. Raise `UserError` if two cards claim one model id.

    To the variants of a card are added the detectors and segmenters on them that some paper prints a count of.
    """
    found = {
        name: importlib.import_module(f"{__name__}.{name}").CARD
        for _, name, package in pkgutil.iter_modules(__path__)
        if not package
    }
    published = [number for card in found.values() for table in card.tables for number in table.published]
    for key, card in found.items():
        dense = derive_variants(card.variants, published)
        found[key] = dataclasses.replace(card, variants=(*card.variants, *dense))
    owner: dict[str, str] = {}
    for key, card in found.items():
        for variant in card.variants:
            if variant.id in owner:
                raise UserError(
                    f"model id '{variant.id}' is in the cards {owner[variant.id]} and {key}; ids are unique"
                )
            owner[variant.id] = key
    return found


def find_card(key: str) -> Card:
    """Return the card of that key. Raise `UserError`, which names the nearest key, for an unknown one."""
    if key not in read_cards():
        raise nearest(key, read_cards(), "paper")
    return read_cards()[key]


def list_variants() -> dict[str, Variant]:
    """Return every model variant of every card by id."""
    return {variant.id: variant for card in read_cards().values() for variant in card.variants}


def find_variant(model: str) -> Variant:
    """Return a variant by its id or, of a user's own model, its spec (`replication.papers.parts.user_models`).

    Raise `UserError`, which names the nearest id, for an unknown one; an own model may not have the id of a paper's.
    """
    if is_spec(model):
        if (named := model.partition("(")[0]) in list_variants():
            raise UserError(
                f"'{model}': {named} is built as its paper says; its image size is named apart, for all models"
            )
        own = read_spec(model)
        if own.id in list_variants():
            raise UserError(f"'{model}': {own.id} is a model of the papers; name yours: my_{own.id}={own.factory}")
        return own
    if model not in list_variants():
        raise _explain_unknown(model)
    return list_variants()[model]


def _explain_unknown(model: str) -> UserError:
    """Say what to write instead: the models of a paper, timm's model, an own module's factory, or the nearest id."""
    if model.lower() in read_cards():
        ids = [v.id for v in read_cards()[model.lower()].variants if v.sweep]
        return UserError(f"'{model}' is a paper; name its models: {' '.join(ids)}")
    if find_timm_source(model):
        return UserError(f"unknown model '{model}'; timm has it: timm/{model}")
    if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", model):
        module, _, factory = model.rpartition(".")
        return UserError(f"unknown model '{model}'; one of your own is written {module}:{factory}")
    return nearest(model, list_variants(), "model")


def choose_variants(models: Iterable[str]) -> list[Variant]:
    """Return the variants of these ids and specs, as `find_variant` does, each once; `all` are those of the papers.

    Raise `UserError` if two own models have one name.
    """
    found: dict[str, Variant] = {}
    named = (list_variants().values() if model == "all" else [find_variant(model)] for model in models)
    for model in itertools.chain.from_iterable(named):
        if found.setdefault(model.id, model) != model:
            raise UserError(f"two models are called {model.id}: {write_spec(found[model.id])} and {write_spec(model)}")
    return list(found.values())


def list_compared() -> list[str]:
    """List the models that stand for their papers in comparisons over families."""
    return [model_id for card in read_cards().values() for model_id in card.compared]


def list_experiments() -> dict[str, tuple[str, Experiment]]:
    """Return every experiment by id, with the key of its paper."""
    return {e.id: (key, e) for key, card in read_cards().items() for e in card.experiments}


def find_experiment(experiment_id: str) -> Experiment:
    """Return one experiment. Raise `UserError`, which names the nearest id, for an unknown one."""
    if experiment_id not in list_experiments():
        raise nearest(experiment_id, list_experiments(), "experiment")
    return list_experiments()[experiment_id][1]


def list_printed_sizes(model_id: str) -> list[Size]:
    """List the sizes at which a paper prints a count of this model, and its native one, smallest first."""
    model = find_variant(model_id)
    printed = {
        number.image_size
        for card in read_cards().values()
        for table in card.tables
        for number in table.published
        if number.model == model_id and METRICS[number.metric].kind == "count" and number.image_size
    }
    return sorted((size for size in {*printed, model.image_size} if model.allows(size)), key=split_size)


def read_transcript(card_file: str) -> str:
    """Read the tables beside a card: `read_transcript(__file__)` in `vit.py` reads `vit.md`."""
    return Path(card_file).with_suffix(".md").read_text(encoding="utf-8")


def make_ratio(metric: str, model: str, to: str, image_size: Size | None = None) -> Callable[[Lookup], float]:
    """Make the estimate of a claim: `metric` of `model` over that of `to`, both at `image_size`."""
    return lambda find: find(model, metric, image_size) / find(to, metric, image_size)


def write_published(path: Path, keys: Iterable[str] = ()) -> None:
    """Write every published number of the cards of these keys, or of all, as one CSV, with its manifest.

    Raise `UserError`, which names the nearest key, for an unknown one.
    """
    started = read_clock()
    asked = {find_card(key).key for key in keys} or read_cards().keys()
    numbers = [n for key, one in read_cards().items() if key in asked for table in one.tables for n in table.published]
    write_rows(path, numbers, Published)
    write_manifest(path.with_suffix(".json"), started, [path], numbers=len(numbers))
