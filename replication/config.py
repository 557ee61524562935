"""The configuration, checked, and what it asks for. Torch-free, used by the Snakefiles."""

from __future__ import annotations

import copy
import dataclasses
import functools
import json
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from replication import papers, released
from replication.contents import content_digest, files_below
from replication.data_sources import SOURCES, place
from replication.papers.parts import user_models
from replication.papers.parts.recipe import Recipe, resolve
from replication.papers.parts.user_models import OWN, is_spec
from replication.records.card import Experiment
from replication.records.condition import read_condition
from replication.records.metrics import METRICS
from replication.records.store import digest, sha256
from replication.records.values import check_plain
from replication.records.words import Size, UserError, nearest
from replication.released import Evaluation

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
BOXES = {name for name, source in SOURCES.items() if source.drawn} | {"coco_2017"}
"""The known data sets to detect objects."""
_SCHEMAS = (ROOT / "workflow" / "schemas" / "config.schema.yaml", PACKAGE / "config.schema.yaml")
SCHEMA = next((path for path in _SCHEMAS if path.exists()), _SCHEMAS[0])
"""In a checkout, beside the workflow; of an installed package, inside it."""


@functools.cache
def _schema() -> Mapping[str, Any]:
    return yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))


def check(config: Mapping[str, Any]) -> None:
    """Hold a configuration against the schema. UserError for the first fault; an unknown key names the nearest one."""
    check_plain(config, "config")
    errors = jsonschema.Draft202012Validator(_schema()).iter_errors(config)
    error = next(iter(sorted(errors, key=lambda e: [str(part) for part in e.path])), None)
    if error is None:
        return
    where = ".".join(str(part) for part in error.path)
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = next(key for key in error.instance if key not in known)
        raise nearest(unknown, known, f"config key{' under ' + where if where else ''}")
    if error.validator == "pattern":
        raise UserError(f"config {where}: {error.instance!r} is not {error.schema['description']}")
    raise UserError(f"config {where}: {error.message[:300]}")


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """A valid configuration with the schema's defaults for what it does not say."""
    return _filled(config, _schema())


def _filled(section: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    filled = dict(section)
    for key, part in schema.get("properties", {}).items():
        if "default" in part:
            filled.setdefault(key, copy.deepcopy(part["default"]))
        if key in filled and part.get("type") == "object":
            filled[key] = _filled(filled[key], part)
    return filled


@dataclass(frozen=True)
class Run:
    """One seeded training: an arm of an experiment."""

    experiment: str
    arm: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """What one configuration asks for, enumerated from the cards."""

    scale: str
    results: str
    papers: tuple[str, ...]  # keys of those whose numbers and claims get a verdict
    models: Mapping[str, tuple[str, ...]]  # ids by paper, and the specs of the user's own
    sweep: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    seeds: int
    device: str
    data: Mapping[str, Any]  # root, mirror, offline, corrupt
    runs: tuple[Run, ...]
    evaluations: tuple[Evaluation, ...]
    notes: tuple[str, ...]  # what is there and left out, and why, a line each
    recipes: Mapping[str, Mapping[str, Any]]  # changes by experiment
    speed: Mapping[str, Any]

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions under which models are timed, by name."""
        return tuple(self.speed["conditions"])

    def speed_options(self, condition: str) -> str:
        """The options of the command `speed` for a condition of this name."""
        asked = read_condition(condition)
        options = ["--device", asked.device, "--precision", asked.precision]
        options += ["--attention", asked.attention, "--mode", asked.mode, "--batch-size", str(asked.batch_size)]
        options += ["--compiled"] * asked.compiled + ["--channels-last"] * asked.channels_last
        for key in ("largest", "blocks", "block_seconds"):
            options += [f"--{key.replace('_', '-')}", str(self.speed[key])]
        lists = {"--tables": self.speed["tables"], "--models": self.models.get(OWN, ()), "--memory": ()}
        if condition == self.conditions[0]:
            lists["--memory"] = self.speed["memory"]
        for option, values in lists.items():
            options += [option, *values] if values else []
        return shlex.join(options)

    @property
    def paper_options(self) -> str:
        """The option of the command `published` that names the papers; none for all."""
        return "" if set(self.papers) == set(papers.cards()) else shlex.join(["--papers", *self.papers])

    @property
    def tables(self) -> list[str]:
        """Every table with numbers, `<paper>/<table>`, which is made again with ours beside them."""
        return [f"{key}/{table.id}" for key in self.papers for table in papers.card(key).tables if table.published]

    def variants_digest(self, paper: str) -> str:
        """Changes when an architecture of the paper or a size to count it at does, not when its card's prose does."""
        models = self.models[paper]
        if paper == OWN:
            return digest(models)
        return digest([(dataclasses.asdict(papers.variant(model)), papers.printed_sizes(model)) for model in models])

    def own_sources(self, paper: str) -> list[str]:
        """The user's files that the models of a folder of counts are made of; none of a paper's."""
        specs = self.models.get(OWN, ()) if paper == OWN else ()
        return sorted({path for spec in specs for path in user_models.sources(papers.variant(spec))})

    def own_digest(self, paper: str) -> str:
        """Changes when a file does that the user's models of a folder of counts are made of."""
        return digest([(path, sha256(Path(path))) for path in self.own_sources(paper)])

    @property
    def architectures(self) -> str:
        """Changes when an architecture of any card does, or which models stand for its paper."""
        return digest([[dataclasses.asdict(variant) for variant in papers.variants().values()], papers.compared()])

    @property
    def speeds_digest(self) -> str:
        """Changes when a printed speed, a claim on speeds or the architecture of a model that they are of does."""
        numbers = [n for c in papers.cards().values() for t in c.tables for n in t.published]
        speeds = [number for number in numbers if METRICS[number.metric].kind == "speed"]
        claimed = [claim.speedup for card in papers.cards().values() for claim in card.claims if claim.speedup]
        compared = {model for speedup in claimed for pair in speedup.pairs for model, _ in pair}
        timed = {*(number.model for number in speeds), *compared} & papers.variants().keys()
        cells = [(n.paper, n.table, n.model, n.image_size) for n in speeds]
        architectures = [self.variant_digest(model) for model in sorted(timed)]
        return digest([cells, [dataclasses.asdict(speedup) for speedup in claimed], architectures])

    @staticmethod
    def arms(runs: Iterable[Run]) -> list[str]:
        """The arms of some runs, as `<experiment>/<arm>`."""
        return list(dict.fromkeys(f"{run.experiment}/{run.arm}" for run in runs))

    def variant_digest(self, model: str) -> str:
        """Changes when the architecture of one model does."""
        return digest(dataclasses.asdict(papers.variant(model)))

    def experiment_digest(self, experiment: str) -> str:
        """Changes when an experiment's model, arms or recipe at this scale do."""
        asked = self._experiment(experiment)
        return digest(dataclasses.asdict(dataclasses.replace(asked, scales={self.scale: asked.scales[self.scale]})))

    def changes(self, experiment: str) -> str:
        """The option of a command that lays the configuration's changes over an experiment's recipe."""
        changes = [f"{key}={json.dumps(value)}" for key, value in self.recipes.get(experiment, {}).items()]
        return shlex.join(["--set", *changes]) if changes else ""

    def folder(self, run: Run) -> str:
        """Where a training leaves its results."""
        return f"{self.results}/training/{run.experiment}/{run.arm}/seed{run.seed}"

    def fetched(self, experiment: str, arm: str) -> list[str]:
        """The manifest of the data set an arm learns from; none for the digits, and for what the user brings along."""
        dataset = self._recipe(experiment, arm).dataset
        there = dataset == "imagenet_1k" or dataset not in SOURCES
        return [] if there else [f"{self.data['root']}/{dataset}/manifest.json"]

    def contents(self, experiment: str, arm: str) -> str:
        """Changes when what the user brings along for an arm does: annotations and images, by what they hold."""
        folder = Path(self.data["root"]) / self._recipe(experiment, arm).dataset
        if self.fetched(experiment, arm) or not folder.is_dir():
            return ""
        return content_digest(folder, files_below(folder))

    @property
    def fetch_options(self) -> str:
        """The options of the command `fetch`."""
        options = ["--root", self.data["root"]]
        options += ["--mirror", self.data["mirror"]] if self.data["mirror"] else []
        return shlex.join([*options, *(["--offline"] if self.data["offline"] else [])])

    def weights(self, experiment: str, arm: str) -> list[str]:
        """The weights that an arm of an experiment, or none (""), ends with: one file a seed."""
        runs = (Run(experiment, arm, seed) for seed in range(self.seeds)) if arm else ()
        return [f"{self.folder(run)}/weights.safetensors" for run in runs]

    @property
    def detectors(self) -> tuple[Run, ...]:
        """The trainings that learn to find objects."""
        arms = {(run.experiment, run.arm) for run in self.runs}
        finding = {arm for arm in arms if self._recipe(*arm).task == "set_prediction"}
        return tuple(run for run in self.runs if (run.experiment, run.arm) in finding)

    def check_trainings(self) -> None:
        """UserError for an arm whose recipe, with the changes asked for, is faulty or has no data to learn from."""
        for experiment, arm in dict.fromkeys((run.experiment, run.arm) for run in self.runs):
            recipe, title = self._recipe(experiment, arm), f"{experiment}/{arm}"
            folder = os.path.join(self.data["root"], recipe.dataset, "annotations")
            known = recipe.dataset == "digits" or recipe.dataset in SOURCES
            if not known and not os.path.isdir(folder):
                raise nearest(recipe.dataset, ["digits", *SOURCES], f"data set of {title} (there is no {folder})")
            has_boxes = not known or recipe.dataset in BOXES
            if has_boxes != (recipe.task == "set_prediction"):
                raise UserError(f"{title}: {recipe.dataset} is no data set for {recipe.task}")

    def _experiment(self, experiment: str) -> Experiment:
        return papers.experiment(experiment).changed(self.scale, self.recipes.get(experiment, {}))

    def _recipe(self, experiment: str, arm: str) -> Recipe:
        return resolve(self._experiment(experiment), arm, self.scale)

    def start_weights(self, experiment: str, arm: str) -> list[str]:
        """The weights that an arm starts from: none, or those of another arm."""
        return self.weights(experiment, papers.experiment(experiment).arm(arm).start_from)

    def teacher_weights(self, experiment: str, arm: str) -> list[str]:
        """The weights that an arm is distilled from: none, or those of another arm."""
        return self.weights(experiment, papers.experiment(experiment).arm(arm).teacher)

    def other_arms(self, experiment: str, arm: str) -> str:
        """The options of the command `training` that name the arms whose weights an arm needs."""
        asked = papers.experiment(experiment).arm(arm)
        named = {"--start-from": asked.start_from, "--teacher": asked.teacher}
        folder = f"{self.results}/training/{experiment}"
        return shlex.join(part for option, arm in named.items() if arm for part in (option, f"{folder}/{arm}"))


def _evaluations(config: Mapping[str, Any]) -> tuple[tuple[Evaluation, ...], tuple[str, ...]]:
    """The released weights that are evaluated, and a line for what is not."""
    if "evaluation" not in config:
        return (), ()
    return released.find(_checkpoints(config), detectors="coco" in config["evaluation"])


def _checkpoints(config: Mapping[str, Any]) -> Path:
    return Path(_folder(config["evaluation"]["checkpoints"], "evaluation.checkpoints"))


def _listed(asked: str | Iterable[str]) -> list[str]:
    """A list; one name alone, which `--config models=swin_t` gives, is a list of one."""
    return [asked] if isinstance(asked, str) else list(asked)


def _chosen(asked: Iterable[str], known: Iterable[str], what: str) -> list[str]:
    """The known names that are asked for, or all of them (`all`). UserError for an unknown one."""
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


def _part(keys: Iterable[str]) -> _Part:
    """Of the papers of these keys. What an estimate of a claim asks for is found by asking it."""
    models: list[str] = []
    experiments: list[str] = []

    def find(model: str, metric: str, image_size: Size | None = None, dataset: str = "") -> float:
        models.append(model)
        return float(len(models))

    for card in map(papers.card, keys):
        models += [variant.id for variant in card.variants]
        models += [number.model for table in card.tables for number in table.published]
        experiments += [experiment.id for experiment in card.experiments]
        for claim in card.claims:
            if claim.estimate:
                claim.estimate(find)
            if claim.speedup:
                models += [model for pair in claim.speedup.pairs for model, _ in pair]
            if claim.contrast:
                experiments += [arm.split("/")[0] for arm in claim.contrast.arms]
    return _Part(frozenset(models), frozenset(experiments))


def _models(asked: str | Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The ids of the models asked for by paper and, last, under `own`, the specs of the user's own."""
    specs = [entry for entry in _listed(asked) if is_spec(entry)]
    papers.chosen(_listed(asked))  # for its errors
    known = set(_chosen((entry for entry in _listed(asked) if entry not in specs), papers.variants(), "model"))
    by_paper = {key: tuple(v.id for v in card.variants if v.id in known) for key, card in papers.cards().items()}
    return {key: models for key, models in (by_paper | {OWN: tuple(specs)}).items() if models}


def _experiments(asked: str | Iterable[str], scale: str) -> list[str]:
    """The experiments asked for that say what `scale` means for them. UserError for a named one that does not."""
    chosen = _chosen(_listed(asked), papers.experiments(), "experiment")
    there = [name for name in chosen if scale in papers.experiment(name).scales]
    left = [name for name in chosen if name not in there and name in _listed(asked)]
    if left:
        scales = ", ".join(papers.experiment(left[0]).scales)
        raise UserError(f"the experiment {left[0]} is not run at the scale {scale}, only at: {scales}")
    return there


def _speed(asked: Mapping[str, Any], keys: Iterable[str]) -> Mapping[str, Any]:
    """What is timed: of the tables of speeds those of these papers, and without one of them nothing.

    UserError for an unknown table, or an unknown model whose memory is asked for.
    """
    tables = _chosen(_listed(asked["tables"]) or ["all"], _tables_of_speeds(), "table of speeds")
    tables = [table for table in tables if table.split("/")[0] in keys]
    conditions = asked["conditions"] if tables else []
    if tables == _tables_of_speeds():
        tables = []  # which means all to the command
    memory = papers.compared() if asked["memory"] == "compared" else _listed(asked["memory"])
    papers.chosen(memory)
    return {**asked, "conditions": conditions, "tables": tables, "blocks": int(asked["blocks"]), "memory": memory}


def _tables_of_speeds() -> list[str]:
    """The papers' tables that print a speed."""
    tables = [(key, table) for key, card in papers.cards().items() for table in card.tables]
    return [f"{key}/{t.id}" for key, t in tables if any(METRICS[n.metric].kind == "speed" for n in t.published)]


def _data(asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where data sets are and come from. UserError for a folder or a mirror that is no use."""
    mirror = str(place(asked["mirror"])) if asked["mirror"] else ""
    return {**asked, "root": _folder(asked["root"], "data.root"), "mirror": mirror}


def _recipes(asked: Mapping[str, Mapping[str, Any]], experiments: Iterable[str]) -> Mapping[str, Mapping[str, Any]]:
    """The changes asked for by experiment. UserError for one that is not run."""
    for name in asked:
        if name not in experiments:
            raise nearest(name, experiments, "experiment under recipes")
    return asked


def _folder(text: str, key: str) -> str:
    """A folder that the configuration names, `~` being the home. UserError for a name that rules cannot be made of."""
    if text.startswith("-") or any(letter in "{}" or not letter.isprintable() for letter in text):
        raise UserError(f"config {key}: '{text}' is no folder for results or data: it starts with '-' or holds a brace")
    try:
        return str(Path(text).expanduser())
    except RuntimeError as error:
        raise UserError(f"config {key}: '{text}': {error}") from error


def _writable(folder: Path) -> bool:
    try:
        existing = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    except OSError:  # a name that is too long
        return False
    return existing.is_dir() and os.access(existing, os.W_OK)


def plan(config: Mapping[str, Any]) -> Plan:
    """What `config` asks for. UserError for a bad key or value, an unknown name, or a results folder that is no use."""
    check(config)
    config = with_defaults(config)
    keys = _chosen(_listed(config["papers"]), papers.cards(), "paper")
    part = _part(keys)
    evaluations, notes = _evaluations(config)
    results = _folder(config["results"], "results")
    if not _writable(Path(results)):
        raise UserError(f"cannot write to the results folder '{results}'; make it writable or set `results:` anew")
    by_paper = _models(config["models"])
    models = [papers.variant(model) for ids in by_paper.values() for model in ids]
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
    experiments = _experiments(config["experiments"], config["scale"])
    recipes = _recipes(config["recipes"], experiments)
    speed = _speed(config["speed"], keys)
    if config["speed"]["conditions"] and not speed["conditions"]:
        notes = (*notes, f"nothing is timed: no table of speeds that is asked for is of {', '.join(keys)}")
    asked = Plan(
        scale=config["scale"],
        results=results,
        papers=tuple(keys),
        models={key: ids for key, ids in by_paper.items() if ids},
        sweep=sweep,
        batch_sizes=tuple(int(size) for size in config["complexity"]["batch_sizes"]),
        seeds=seeds,
        device=config["training"]["device"],
        data=_data(config["data"]),
        runs=tuple(
            Run(experiment, arm.id, seed)
            for experiment in experiments
            if experiment in part.experiments
            for arm in papers.experiment(experiment).arms
            for seed in range(seeds)
        ),
        evaluations=tuple(one for one in evaluations if one.model in part.models),
        notes=notes,
        recipes=recipes,
        speed=speed,
    )
    asked.check_trainings()
    return asked


def checkpoint(config: Mapping[str, Any], model: str, image_size: str) -> str:
    """Where the released weights of a model at an image size [px] are, or would be. UserError if none are asked for."""
    if "evaluation" not in config:
        raise UserError("released weights are evaluated with `--configfile config/full.yaml`")
    there = {(one.model, str(one.image_size)): one.checkpoint for one in _evaluations(config)[0]}
    return there.get((model, image_size), str(_checkpoints(config) / f"{model}_{image_size}.pth"))


def evaluated_images(config: Mapping[str, Any], model: str) -> str:
    """The folder that a model's released weights are evaluated on. UserError if the configuration names none."""
    key = "coco" if papers.variant(model).task == "detection" else "imagenet"
    if key not in config["evaluation"]:
        raise UserError(f"{model} is evaluated on COCO; set `evaluation.coco` to the folder of COCO 2017")
    return _folder(config["evaluation"][key], f"evaluation.{key}")
