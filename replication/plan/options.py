"""The options of the commands that rules run, as a configuration asks for them: quoted, in one line."""

from __future__ import annotations

import json
import shlex

from replication import papers
from replication.papers.parts.user_models import OWN
from replication.plan.plan import Plan
from replication.records.card import find_published
from replication.records.condition import read_condition


def write_speed_options(plan: Plan, condition: str) -> str:
    """Write the options of `speed` for the condition of this name; memory is measured under the first one only."""
    asked = read_condition(condition)
    options = ["--device", asked.device, "--precision", asked.precision]
    options += ["--attention", asked.attention, "--mode", asked.mode, "--batch-size", str(asked.batch_size)]
    options += ["--compiled"] * asked.compiled + ["--channels-last"] * asked.channels_last
    for key in ("largest", "blocks", "block_seconds"):
        options += [f"--{key.replace('_', '-')}", str(plan.speed[key])]
    lists = {"--tables": plan.speed["tables"], "--models": plan.models.get(OWN, ()), "--memory": ()}
    if condition == plan.conditions[0]:
        lists["--memory"] = plan.speed["memory"]
    for option, values in lists.items():
        options += [option, *values] if values else []
    return shlex.join(options)


def write_paper_options(plan: Plan) -> str:
    """Write the options of `published`: the papers; no option means all of them."""
    return "" if set(plan.papers) == set(papers.read_cards()) else shlex.join(["--papers", *plan.papers])


def write_fetch_options(plan: Plan) -> str:
    """Write the options of `fetch`: where data sets lie, and where they come from."""
    options = ["--root", plan.data["root"]]
    options += ["--mirror", plan.data["mirror"]] if plan.data["mirror"] else []
    return shlex.join([*options, *(["--offline"] if plan.data["offline"] else [])])


RESTARTS = 3
"""So many times a training of several processes goes on by itself after one of them died."""


def write_launcher(plan: Plan) -> str:
    """Write what starts a training: Python, or `torchrun` where several processes share it."""
    if plan.processes == 1:
        return "python"
    return f"torchrun --standalone --nproc-per-node={plan.processes} --max-restarts={RESTARTS}"


def write_stage_option(plan: Plan) -> str:
    """Write the option of `training` that names the machine's own disk; the job puts in variables such as `$TMPDIR`."""
    return shlex.join(["--stage", plan.data["stage"]]) if plan.data["stage"] else ""


def write_recipe_options(plan: Plan, experiment: str) -> str:
    """Write the options of `training` and `insight`: the configuration's changes of an experiment's recipe."""
    changes = [f"{key}={json.dumps(value)}" for key, value in plan.recipes.get(experiment, {}).items()]
    return shlex.join(["--set", *changes]) if changes else ""


def write_arm_options(plan: Plan, experiment: str, arm: str) -> str:
    """Write the options of `training` that name the folders of the weights that an arm needs."""
    asked = papers.find_experiment(experiment).find_arm(arm)
    named = {"--start-from": asked.start_from, "--teacher": asked.teacher}
    folders = {
        option: plan.checkpoints if find_published(name) else f"{plan.results}/training/{experiment}/{name}"
        for option, name in named.items()
        if name
    }
    return shlex.join(part for option_and_folder in folders.items() for part in option_and_folder)
