"""The plan: what one configuration asks for, enumerated from the cards, and where each part of it is left."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from replication import papers
from replication.data_sources import MADE_HERE, SOURCES, check_numbers
from replication.papers.parts.keywords import read_keywords
from replication.papers.parts.recipe import Recipe, resolve
from replication.records.card import Experiment, find_published
from replication.records.words import UserError, nearest
from replication.released import Evaluation


@dataclass(frozen=True)
class Run:
    """One training with one seed: an arm of an experiment."""

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
    processes: int  # that train one model together
    data: Mapping[str, Any]  # root, mirror, offline, stage, corrupt
    runs: tuple[Run, ...]
    checkpoints: str  # the folder of published weights
    evaluations: tuple[Evaluation, ...]
    notes: tuple[str, ...]  # what is there and left out, and why, a line each
    recipes: Mapping[str, Mapping[str, Any]]  # changes by experiment
    speed: Mapping[str, Any]

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions under which models are timed, by name."""
        return tuple(self.speed["conditions"])

    @property
    def tables(self) -> list[str]:
        """Every table with numbers, `<paper>/<table>`, which is made again with our numbers beside them."""
        return [f"{key}/{table.id}" for key in self.papers for table in papers.find_card(key).tables if table.published]

    @staticmethod
    def list_arms(runs: Iterable[Run]) -> list[str]:
        """List the arms of some runs, as `<experiment>/<arm>`."""
        return list(dict.fromkeys(f"{run.experiment}/{run.arm}" for run in runs))

    def name_folder(self, run: Run) -> str:
        """Name the folder in which a training leaves its results."""
        return f"{self.results}/training/{run.experiment}/{run.arm}/seed{run.seed}"

    def list_fetched(self, experiment: str, arm: str) -> list[str]:
        """List the manifest of the data set that an arm learns from.

        The list is empty for the digits and for a user's own data set, which are not fetched.
        """
        dataset = self.resolve_recipe(experiment, arm).dataset
        dataset = MADE_HERE.get(dataset, dataset)
        there = dataset not in SOURCES or not (SOURCES[dataset].files or SOURCES[dataset].drawn)
        return [] if there else [f"{self.data['root']}/{dataset}/manifest.json"]

    def find_experiment(self, experiment: str) -> Experiment:
        """Find an experiment and apply the changes that the configuration asks for."""
        return papers.find_experiment(experiment).change(self.scale, self.recipes.get(experiment, {}))

    def resolve_recipe(self, experiment: str, arm: str) -> Recipe:
        """Resolve the recipe of an arm at this scale, with the changes that the configuration asks for."""
        return resolve(self.find_experiment(experiment), arm, self.scale)

    def list_weights(self, experiment: str, arm: str, seed: int | None = None) -> list[str]:
        """List the files of weights that an arm of an experiment ends with, one a `seed`; none for the arm ""."""
        seeds = papers.find_experiment(experiment).list_seeds(self.seeds) if seed is None else [seed]
        runs = (Run(experiment, arm, seed) for seed in seeds) if arm else ()
        return [f"{self.name_folder(run)}/weights.safetensors" for run in runs]

    @property
    def detectors(self) -> tuple[Run, ...]:
        """The trainings that learn to find objects."""
        arms = {(run.experiment, run.arm) for run in self.runs}
        finding = {arm for arm in arms if self.resolve_recipe(*arm).task == "set_prediction"}
        return tuple(run for run in self.runs if (run.experiment, run.arm) in finding)

    @property
    def classifiers(self) -> tuple[Run, ...]:
        """The trainings whose models are looked into: those that a claim of any card asks an insight of."""
        claims = [claim for card in papers.read_cards().values() for claim in card.claims]
        asked = {arm for claim in claims if claim.insight for arm in claim.insight.trained}
        return tuple(run for run in self.runs if f"{run.experiment}/{run.arm}" in asked)

    def check_trainings(self) -> None:
        """Raise `UserError` if the recipe of an arm, with its changes, is faulty or has no data to learn from."""
        for experiment, arm in dict.fromkeys((run.experiment, run.arm) for run in self.runs):
            recipe, title = self.resolve_recipe(experiment, arm), f"{experiment}/{arm}"
            if "architecture" in self.recipes.get(experiment, {}):
                _check_keywords(
                    recipe.architecture, read_keywords(self.find_experiment(experiment).choose_variant(arm)), title
                )
            folder = os.path.join(self.data["root"], recipe.dataset, "annotations")
            known = recipe.dataset in MADE_HERE or recipe.dataset in SOURCES
            if not known and not os.path.isdir(folder):
                raise nearest(recipe.dataset, [*MADE_HERE, *SOURCES], f"data set of {title} (there is no {folder})")
            has_boxes = not known or (recipe.dataset in SOURCES and SOURCES[recipe.dataset].boxes)
            if has_boxes != (recipe.task == "set_prediction"):
                raise UserError(f"{title}: {recipe.dataset} is no data set for {recipe.task}")
            check_numbers(recipe.dataset, recipe.images, recipe.train_images)

    def list_start_weights(self, experiment: str, arm: str, seed: int | None = None) -> list[str]:
        """List the weights that an arm starts from, with every seed or with one: none, or those of another arm.

        Of published weights it is the file that says that they were fetched.
        """
        return self._list_weights_called(experiment, papers.find_experiment(experiment).find_arm(arm).start_from, seed)

    def list_teacher_weights(self, experiment: str, arm: str, seed: int | None = None) -> list[str]:
        """List the weights that an arm is distilled from, as for those that it starts from."""
        return self._list_weights_called(experiment, papers.find_experiment(experiment).find_arm(arm).teacher, seed)

    def _list_weights_called(self, experiment: str, name: str, seed: int | None) -> list[str]:
        published = find_published(name)
        return [self.name_fetched(published)] if published else self.list_weights(experiment, name, seed)

    def list_needed(self, evaluation: Evaluation) -> list[str]:
        """List what an evaluation needs: the file of its weights, or the one that says that they were fetched."""
        return [evaluation.checkpoint or self.name_fetched(evaluation.weights)]

    def name_fetched(self, weights: str) -> str:
        """Name the file that says that published weights lie in the folder of all of them, as they were published."""
        return f"{self.checkpoints}/.fetched/{weights}"


def _check_keywords(given: Iterable[str], known: Collection[str], title: str) -> None:
    """Raise `UserError` for a keyword that is not among the `known` ones of a model, if any are known."""
    for key in given:
        if known and key not in known:
            raise nearest(key, known, f"keyword of the model of {title}")
