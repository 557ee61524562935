from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
import yaml

from replication.complexity.memory import MODES
from replication.models.attention import POLICIES
from replication.records import UserError
from replication.records.condition import ConditionName, read_condition
from replication.speed.condition import DEVICES, PRECISIONS

SCHEMA = Path(__file__).resolve().parents[2] / "workflow" / "schemas" / "config.schema.yaml"
FIELDS = itertools.product(DEVICES, PRECISIONS, POLICIES, MODES, (1, 64), (False, True), (False, True))


def test_a_name_says_its_condition_and_the_schema_knows_just_the_same() -> None:
    pattern = yaml.safe_load(SCHEMA.read_text())["properties"]["speed"]["properties"]["conditions"]["items"]["pattern"]
    for fields in FIELDS:
        condition = ConditionName(*fields)
        assert read_condition(condition.name) == condition
        there = condition.device in PRECISIONS[condition.precision].devices
        assert bool(re.search(pattern, condition.name)) == there


@pytest.mark.parametrize("name", ["", "cpu", "cpu_fp32_math_infer_b0", "cpu_fp32_math_infer_b1_channels-last_compiled"])
def test_what_is_no_name_of_a_condition_is_an_error(name: str) -> None:
    with pytest.raises(UserError, match="is no name of a condition"):
        read_condition(name)
