"""The facts of the machine are plain data, and its name is one that a folder may have."""

import json
import re

import pytest
import torch

from replication.speed import machine, watch

CPU = torch.device("cpu")


def test_facts_can_be_written_and_name_what_was_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "read_load", lambda: None)
    facts = machine.describe_machine(CPU)
    assert json.loads(json.dumps(facts)) == facts
    assert facts["threads"] == torch.get_num_threads()
    assert any("no /proc/stat" in blind for blind in facts["not_watched"])
    assert "gpu" not in facts


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
        ("Intel(R) Core(TM) i7-8650U CPU @ 1.90GHz, 8 cores", "intel-r-core-tm-i7-8650u-cpu-1-90ghz-8-cores"),
    ],
)
def test_a_slug_keeps_letters_and_digits(name: str, slug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "name_machine", lambda device: name)
    assert machine.make_slug(CPU) == slug


def test_the_slug_of_this_machine_counts_its_processors() -> None:
    assert re.fullmatch(rf"[a-z0-9-]*[a-z0-9]-{len(watch.list_processors())}-cores", machine.make_slug(CPU))
