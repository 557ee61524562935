"""Another workflow imports this one with a configuration of its own; so does `.test`, in a folder of its own."""

from __future__ import annotations

import csv
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from replication import papers
from replication.report.figures import FIGURES
from tests.workflow.test_sources import RULES

pytestmark = pytest.mark.slow  # all of them start Snakemake

ROOT = Path(__file__).resolve().parents[2]
OUTER = f"""
module suite:
    snakefile: "{ROOT}/workflow/Snakefile"
    config: config["suite"]


use rule * from suite as suite_*


rule lines:
    input:
        "here/tables/pvt/table2.md",
    output:
        "lines.txt",
    shell:
        "wc -l < {{input}} > {{output}}"
"""
CONFIG = """
suite:
  results: here
  papers: [pvt]
  models: [pvt_tiny]
  complexity: {image_sizes: [224, 448, 896], batch_sizes: [1]}
  experiments: []
  speed: {conditions: []}
"""


def snakemake(folder: Path, *arguments: str) -> str:
    """What Snakemake says in `folder`, where nothing but this clone's files says where the package is."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout + done.stderr


def planned(folder: Path, *arguments: str) -> set[str]:
    """The rules that a run would execute now."""
    lines = snakemake(folder, "--dry-run", *arguments).splitlines()
    return {line.split()[1].rstrip(":") for line in lines if line.startswith(("rule ", "localrule "))}


@pytest.fixture(scope="module")
def outer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a workflow that imports this one, in which a table of PVT's and the figures were made."""
    folder = tmp_path_factory.mktemp("outer")
    (folder / "workflow").mkdir()
    (folder / "workflow" / "Snakefile").write_text(f'configfile: "config.yaml"\n{OUTER}')
    (folder / "config.yaml").write_text(CONFIG)
    snakemake(folder, "lines.txt", "here/figures/complexity_macs.svg")
    return folder


def test_a_rule_of_the_outer_workflow_uses_a_table(outer: Path) -> None:
    table = outer / "here" / "tables" / "pvt" / "table2.md"
    assert int((outer / "lines.txt").read_text()) == len(table.read_text().splitlines())
    assert "13.2 / 13.2" in table.read_text()  # millions of parameters of PVT-Tiny


def test_only_the_paper_that_is_asked_for_is_judged(outer: Path) -> None:
    with (outer / "here" / "verdicts.csv").open(newline="") as file:
        assert {row["paper"] for row in csv.DictReader(file)} == {"pvt"}
    tables = {table.id for table in papers.find_card("pvt").tables if table.published}
    assert {path.stem for path in (outer / "here" / "tables").glob("*/*.md")} == tables


def test_a_deleted_table_or_figure_is_made_again(outer: Path) -> None:
    for name, rule in (("tables/pvt/table2.tex", "suite_tables"), ("figures/effects.svg", "suite_figures")):
        path = outer / "here" / name
        before = path.read_bytes()
        path.unlink()
        assert planned(outer, str(path.relative_to(outer))) == {rule}
        snakemake(outer, str(path.relative_to(outer)))
        assert path.read_bytes() == before


def test_all_of_it_is_planned(outer: Path) -> None:
    assert {"suite_report", "suite_departures"} <= planned(outer, "suite_all")


def test_the_small_run_is_planned_in_its_own_folder(tmp_path: Path) -> None:
    shutil.copytree(ROOT / ".test" / "config", tmp_path / "config")
    rules = planned(tmp_path, "--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path))
    assert {"complexity_count", "tables", "figures", "report", "describe"} <= rules
    assert not {"speed", "training"} & rules


def test_every_figure_has_a_caption_and_every_caption_a_figure() -> None:
    captions = (ROOT / "replication/report/figures/captions").glob("*/*.rst")
    assert sorted(path.stem for path in captions) == sorted(FIGURES)


def test_every_rule_says_what_it_needs() -> None:
    for name, text in RULES.items():
        assert f'**RESOURCES["{name}"]' in text, name


def test_every_caption_of_the_report_is_there() -> None:
    captions = [caption for text in RULES.values() for caption in re.findall(r'caption="([^"]+)"', text)]
    assert len(captions) == 4
    assert all((ROOT / "workflow" / "rules" / caption).is_file() for caption in captions)
