"""From a configuration to its plan: every name is looked up in the cards, and a fault is one line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from replication import papers, study
from replication.data_sources import read_mirror
from replication.papers.parts.user_models import OWN, is_spec
from replication.plan.check import check_config, check_folder
from replication.plan.evaluations import find_checkpoints, find_evaluations
from replication.plan.looks import plan_seeds
from replication.plan.plan import Plan, Run
from replication.records.metrics import METRICS
from replication.records.words import Size, UserError, nearest
from replication.schema import fill_defaults


def make_plan(config: Mapping[str, Any]) -> Plan:
    """Make the plan that `config` asks for.

    Raise `UserError` for a bad key or value, an unknown name, or a results folder that cannot be written to.
    """
    check_config(config)
    config = fill_defaults(config)
    keys = _choose(_make_list(config["papers"]), papers.read_cards(), "paper")
    part = _collect_part(keys)
    evaluations, notes = find_evaluations(config)
    results = check_folder(config["results"], "results")
    if not _is_writable(Path(results)):
        raise UserError(f"cannot write to the results folder '{results}'; make it writable or set `results:` anew")
    by_paper = _choose_models(config["models"])
    models = [papers.find_variant(model) for ids in by_paper.values() for model in ids]
    sweep = tuple(int(size) for size in config["complexity"]["image_sizes"])  # 224.0 is an integer to the schema
    for size in sweep:
        if not any(model.sweep and model.allows(size) for model in models):
            raise UserError(f"config complexity.image_sizes: no chosen model takes {size} px")
    by_paper = {
        key: ids if key == OWN else tuple(model for model in ids if model in part.models)
        for key, ids in by_paper.items()
    }
    if not any(by_paper.values()):
        raise UserError(f"config models: none of them is what the numbers of {', '.join(keys)} are about; name others")
    seeds = int(config["training"]["seeds"])
    arms = _choose_arms(config["experiments"], config["scale"])
    experiments = list(dict.fromkeys(experiment for experiment, _ in arms))
    recipes = _check_recipes(config["recipes"], experiments)
    speed = _choose_speed(config["speed"], keys)
    if config["speed"]["conditions"] and not speed["conditions"]:
        notes = (*notes, f"nothing is timed: no table of speeds that is asked for is of {', '.join(keys)}")
    data = _check_data(config["data"])
    asked = Plan(
        scale=config["scale"],
        results=results,
        papers=tuple(keys),
        models={key: ids for key, ids in by_paper.items() if ids},
        sweep=sweep,
        batch_sizes=tuple(int(size) for size in config["complexity"]["batch_sizes"]),
        seeds=seeds,
        device=config["training"]["device"],
        processes=int(config["training"]["processes"]),
        data=data,
        runs=tuple(_list_runs([arm for arm in arms if arm[0] in part.experiments], seeds, config)),
        checkpoints=find_checkpoints(config, data["root"]),
        evaluations=tuple(one for one in evaluations if one.model in part.models),
        notes=notes,
        recipes=recipes,
        speed=speed,
    )
    asked.check_trainings()
    return asked


def _make_list(asked: str | Iterable[str]) -> list[str]:
    """Make a list; a single name, which `--config models=swin_t` gives, becomes a list of one."""
    return [asked] if isinstance(asked, str) else list(asked)


def _choose(asked: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    """Choose the known names that are asked for, or all of them (`all`). Raise `UserError` for an unknown one."""
    known, asked = list(known), list(asked)
    for name in asked:
        if name not in [*known, "all"]:
            raise nearest(name, known, what)
    return [name for name in known if name in asked or "all" in asked]


@dataclass(frozen=True)
class _Part:
    """The models and experiments that the numbers and claims of some papers are about."""

    models: frozenset[str]
    experiments: frozenset[str]


def _collect_part(keys: Iterable[str]) -> _Part:
    """Collect what the papers of these keys are about.

    Which models the estimate of a claim needs is found by evaluating it on placeholders.
    """
    models: list[str] = []
    experiments: list[str] = []

    def find(model: str, metric: str, image_size: Size | None = None, dataset: str = "") -> float:
        models.append(model)
        return float(len(models))

    for card in map(papers.find_card, keys):
        models += [variant.id for variant in card.variants]
        models += [number.model for table in card.tables for number in table.published]
        experiments += [experiment.id for experiment in card.experiments]
        for claim in card.claims:
            if claim.estimate:
                claim.estimate(find)
            if claim.speedup:
                models += [model for pair in claim.speedup.pairs for model, _ in pair]
            if asking := claim.contrast or claim.insight:
                experiments += asking.experiments
    return _Part(frozenset(models), frozenset(experiments))


def _choose_models(asked: str | Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Choose the ids of models by paper and, last, under `own`, the specs of user-defined models."""
    specs = [entry for entry in _make_list(asked) if is_spec(entry)]
    papers.choose_variants(_make_list(asked))  # for its errors
    known = set(_choose((entry for entry in _make_list(asked) if entry not in specs), papers.list_variants(), "model"))
    by_paper = {key: tuple(v.id for v in card.variants if v.id in known) for key, card in papers.read_cards().items()}
    return {key: models for key, models in (by_paper | {OWN: tuple(specs)}).items() if models}


def _choose_arms(asked: str | Iterable[str], scale: str) -> list[tuple[str, str]]:
    """Choose the arms of the experiments that define the scale `scale`, all or those that are named.

    Arms that these start from are trained all the same. Raise `UserError` for a named experiment that does not.
    """
    names = [name.partition("/") for name in _make_list(asked)]
    chosen = _choose([experiment for experiment, _, _ in names], papers.list_experiments(), "experiment")
    defined = [name for name in chosen if scale in papers.find_experiment(name).scales]
    left = [name for name in chosen if name not in defined and name in [experiment for experiment, _, _ in names]]
    if left:
        scales = ", ".join(papers.find_experiment(left[0]).scales)
        raise UserError(f"the experiment {left[0]} is not run at the scale {scale}, only at: {scales}")
    found = []
    for name in defined:
        some = [papers.find_experiment(name).find_arm(arm).id for one, _, arm in names if one == name and arm]
        whole = any(one in (name, "all") and not arm for one, _, arm in names)
        arms = [arm.id for arm in papers.find_experiment(name).arms]
        found += [(name, arm) for arm in arms if whole or arm in some]
    return found


def _list_runs(arms: Iterable[tuple[str, str]], seeds: int, config: Mapping[str, Any]) -> Iterator[Run]:
    """List the trainings of these arms: of a study those of the looks that are due, and not published yet."""
    of_study = config["scale"] == study.SCALE
    planned = plan_seeds(Path(config["results"]) / "claims.csv") if of_study else {}
    published = study.list_current() if of_study else ()
    for experiment, arm in arms:
        for seed in papers.find_experiment(experiment).list_seeds(max(seeds, planned.get(f"{experiment}/{arm}", 0))):
            if (experiment, arm, seed) not in published:
                yield Run(experiment, arm, seed)


def _choose_speed(asked: Mapping[str, Any], keys: Iterable[str]) -> Mapping[str, Any]:
    """Choose what is timed: the tables of speeds of these papers; without such a table nothing is.

    Raise `UserError` for an unknown table, or for an unknown model whose memory is asked for.
    """
    tables = _choose(_make_list(asked["tables"]) or ["all"], list_speed_tables(), "table of speeds")
    tables = [table for table in tables if table.split("/")[0] in keys]
    conditions = asked["conditions"] if tables else []
    if tables == list_speed_tables():
        tables = []  # which means all to the command
    memory = papers.list_compared() if asked["memory"] == "compared" else _make_list(asked["memory"])
    papers.choose_variants(memory)
    return {**asked, "conditions": conditions, "tables": tables, "blocks": int(asked["blocks"]), "memory": memory}


def list_speed_tables() -> list[str]:
    """List the papers' tables that print a speed."""
    tables = [(key, table) for key, card in papers.read_cards().items() for table in card.tables]
    return [f"{key}/{t.id}" for key, t in tables if any(METRICS[n.metric].kind == "speed" for n in t.published)]


def _check_data(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Check where data sets lie and come from. Raise `UserError` for an unusable folder or mirror."""
    mirror = str(read_mirror(asked["mirror"])) if asked["mirror"] else ""
    stage = check_folder(asked["stage"], "data.stage") if asked["stage"] else ""
    return {**asked, "root": check_folder(asked["root"], "data.root"), "mirror": mirror, "stage": stage}


def _check_recipes(
    asked: Mapping[str, Mapping[str, Any]], experiments: Iterable[str]
) -> Mapping[str, Mapping[str, Any]]:
    """Check the changes of recipes, by experiment. Raise `UserError` for an experiment that is not run."""
    for name in asked:
        if name not in experiments:
            raise nearest(name, experiments, "experiment under recipes")
    return asked


def _is_writable(folder: Path) -> bool:
    try:
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    except OSError:  # a name that is too long
        return False
    return existing.is_dir() and os.access(existing, os.W_OK)
