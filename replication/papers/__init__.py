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

from replication.papers.parts.detectors import dense_variants
from replication.papers.parts.user_models import is_spec, own_variant, spec_of, timm_source
from replication.records.card import Card, Experiment, Lookup, Variant
from replication.records.metrics import METRICS
from replication.records.rows import Published
from replication.records.store import now, write_manifest, write_rows
from replication.records.words import Size, UserError, nearest, sides


@functools.cache
def cards() -> dict[str, Card]:
    """Every card by key, in alphabetical order. UserError if two cards claim one model id.

    To the variants of a card are added the detectors and segmenters on them that some paper prints a count of.
    """
    found = {
        name: importlib.import_module(f"{__name__}.{name}").CARD
        for _, name, package in pkgutil.iter_modules(__path__)
        if not package
    }
    published = [number for card in found.values() for table in card.tables for number in table.published]
    for key, card in found.items():
        dense = dense_variants(card.variants, published)
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


def card(key: str) -> Card:
    """One card. UserError names the nearest key."""
    if key not in cards():
        raise nearest(key, cards(), "paper")
    return cards()[key]


def variants() -> dict[str, Variant]:
    """Every model variant of every card by id."""
    return {variant.id: variant for card in cards().values() for variant in card.variants}


def variant(model: str) -> Variant:
    """One variant, by its id or, of a user's own model, by its spec (`replication.papers.parts.user_models`).

    UserError names the nearest id; an own model may not have that of a paper's.
    """
    if is_spec(model):
        if (named := model.partition("(")[0]) in variants():
            raise UserError(
                f"'{model}': {named} is built as its paper says; its image size is named apart, for all models"
            )
        own = own_variant(model)
        if own.id in variants():
            raise UserError(f"'{model}': {own.id} is a model of the papers; name yours: my_{own.id}={own.factory}")
        return own
    if model not in variants():
        raise _unknown(model)
    return variants()[model]


def _unknown(model: str) -> UserError:
    """What to write instead: the models of a paper, timm's model, an own module's factory, or the nearest id."""
    if model.lower() in cards():
        ids = [v.id for v in cards()[model.lower()].variants if v.sweep]
        return UserError(f"'{model}' is a paper; name its models: {' '.join(ids)}")
    if timm_source(model):
        return UserError(f"unknown model '{model}'; timm has it: timm/{model}")
    if re.fullmatch(r"[A-Za-z_]\w*(\.\w+)+", model):
        module, _, factory = model.rpartition(".")
        return UserError(f"unknown model '{model}'; one of your own is written {module}:{factory}")
    return nearest(model, variants(), "model")


def chosen(models: Iterable[str]) -> list[Variant]:
    """The variants by their ids and specs, as in `variant`, each once; `all` are those of the papers.

    UserError if two own models have one name.
    """
    found: dict[str, Variant] = {}
    named = (variants().values() if model == "all" else [variant(model)] for model in models)
    for model in itertools.chain.from_iterable(named):
        if found.setdefault(model.id, model) != model:
            raise UserError(f"two models are called {model.id}: {spec_of(found[model.id])} and {spec_of(model)}")
    return list(found.values())


def compared() -> list[str]:
    """The models that stand for their papers in comparisons over families."""
    return [model_id for card in cards().values() for model_id in card.compared]


def experiments() -> dict[str, tuple[str, Experiment]]:
    """Every experiment by id, with the key of its paper."""
    return {e.id: (key, e) for key, card in cards().items() for e in card.experiments}


def experiment(experiment_id: str) -> Experiment:
    """One experiment. UserError names the nearest id."""
    if experiment_id not in experiments():
        raise nearest(experiment_id, experiments(), "experiment")
    return experiments()[experiment_id][1]


def printed_sizes(model_id: str) -> list[Size]:
    """The sizes at which a paper prints a count of this model, and its native one, smallest first."""
    model = variant(model_id)
    printed = {
        number.image_size
        for card in cards().values()
        for table in card.tables
        for number in table.published
        if number.model == model_id and METRICS[number.metric].kind == "count" and number.image_size
    }
    return sorted((size for size in {*printed, model.image_size} if model.allows(size)), key=sides)


def transcript(card_file: str) -> str:
    """The text of the tables beside a card: `transcript(__file__)` in `vit.py` reads `vit.md`."""
    return Path(card_file).with_suffix(".md").read_text(encoding="utf-8")


def ratio(metric: str, model: str, to: str, image_size: Size | None = None) -> Callable[[Lookup], float]:
    """The estimate of a claim: `metric` of `model` over that of `to`, both at `image_size`."""
    return lambda find: find(model, metric, image_size) / find(to, metric, image_size)


def write_published(path: Path, keys: Iterable[str] = ()) -> None:
    """Every published number of the cards of these keys, or of all, as one CSV, with its manifest.

    UserError names the nearest key of an unknown one.
    """
    started = now()
    asked = {card(key).key for key in keys} or cards().keys()
    numbers = [n for key, one in cards().items() if key in asked for table in one.tables for n in table.published]
    write_rows(path, numbers, Published)
    write_manifest(path.with_suffix(".json"), started, [path], numbers=len(numbers))
