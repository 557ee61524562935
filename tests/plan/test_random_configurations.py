"""Whatever a configuration holds, it ends in a plan or in one line that says what is wrong."""

from __future__ import annotations

import copy
import datetime
from random import Random
from typing import Any

from replication.papers.parts.recipe import Recipe
from replication.plan.digests import digest_experiment
from replication.plan.make import make_plan
from replication.plan.options import write_recipe_options
from replication.records.words import UserError
from replication.schema import fill_defaults

CONFIG = fill_defaults({})
VALUES: list[Any] = [
    *(None, True, -1, 0, 1, 2.0, 1.5, 1e-3, "1e-3", 10**30, float("inf"), float("nan"), "", "all", "x\ny", "a{b}", "-"),
    *([], {}, [1], ["all"], {"a": 1}, {1: 2}, {None: "x"}, {2}, datetime.date(2024, 1, 1), b"x", "\0", "\ud800", [[]]),
    *("many", "~", "~nobody/x", "$(x)", "timm/x(", "a:b(c={1})", "b" * 5000, "swin_t", "digits", "deit/table1"),
    *([224, 224.0], ["swin_t", "swin_t"], "cpu_fp32_math_infer_b1", "laptop", "vit_shape", [{}], {"depth": "x"}),
]
KEYS: list[Any] = [*Recipe.__dataclass_fields__, "epoch", 1, "a\nb"]
MORE = ("root", "mirror", "coco", "imagenet", "tables", "device")


def distorted(random: Random) -> dict[str, Any]:
    """The default configuration with a few values, keys or changes of recipes drawn at random."""
    config = copy.deepcopy(CONFIG)
    config |= {key: {} for key in ("data", "evaluation") if random.random() < 0.2}
    experiment = random.choice(["detr_scenes", "vit_shape", "pvt_pyramid"] * 3 + ["nope"])
    changes: dict[Any, Any] = {}
    sections = [config, *(part for part in config.values() if isinstance(part, dict))]
    for _ in range(random.randint(1, 2)):
        harmless = random.random() < 0.5
        if random.random() < 0.5:
            changes[random.choice(KEYS)] = random.choice([0.5, 1, 2.0, "1e-3"] if harmless else VALUES)
            config["recipes"] = {experiment: changes}
        else:
            section = random.choice(sections)
            key = random.choice([*section, *MORE])
            section[key] = section[key] if harmless and key in section else random.choice(VALUES)
    return config


def outcome(config: dict[str, Any]) -> str:
    """What a configuration ends in: "planned", or the error's text."""
    try:
        asked = make_plan(config)
        for run in asked.runs[:1]:
            write_recipe_options(asked, run.experiment)
            digest_experiment(asked, run.experiment)
    except UserError as error:
        return str(error)
    return "planned"


def test_it_is_a_plan_or_one_line() -> None:
    random = Random(0)
    outcomes = [outcome(distorted(random)) for _ in range(300)]
    assert not [text for text in outcomes if not text.isprintable()]
    assert 20 < outcomes.count("planned") < 200  # both are tried
