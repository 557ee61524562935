from __future__ import annotations

import csv
from pathlib import Path

import frictionless
import pytest

from replication.records import UserError
from replication.records.description import PACKAGE, describe_package, render_page, write_package
from replication.records.reading import read_records
from replication.records.rows import FILES, CostCrossing, ScalingFit, list_columns, list_kinds
from replication.records.store import write_manifest, write_rows
from replication.verify import find_faults

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results" / "reference"


@pytest.mark.parametrize("row", dict.fromkeys(FILES.values()), ids=lambda row: row.__name__)
def test_every_column_is_described_by_a_sentence(row: type) -> None:
    assert row.__doc__
    assert all(column.text.endswith(".") for column in list_columns(row).values())


def test_the_page_is_what_the_classes_say() -> None:
    assert (ROOT / "docs" / "data.md").read_text() == render_page(), (
        "run: python -m replication describe --page docs/data.md"
    )


def test_the_package_of_a_folder_is_valid_and_its_manifest_stands_for_it(tmp_path: Path) -> None:
    crossing = CostCrossing("macs", "a", "b", 300, 224, 384)
    write_rows(tmp_path / "complexity" / "crossings.csv", [crossing], CostCrossing)
    write_package(tmp_path)
    assert frictionless.Package(str(tmp_path / PACKAGE)).validate().valid
    assert list(find_faults(tmp_path)) == [f"{tmp_path}/complexity/crossings.csv is extra: no manifest stands for it"]
    (tmp_path / "complexity" / "crossings.csv").write_text(
        ",".join(list_kinds(CostCrossing)) + "\nmacs,a,b,wide,224,384\n"
    )
    report = frictionless.Package(str(tmp_path / PACKAGE)).validate()
    assert [error[0] for error in report.flatten(["type"])] == ["type-error"]


def test_a_file_that_is_gone_or_cut_is_not_left_out(tmp_path: Path) -> None:
    path = tmp_path / "complexity" / "crossings.csv"
    write_rows(path, [CostCrossing("macs", "a", "b", 300, 224, 384)], CostCrossing)
    write_manifest(path.with_suffix(".json"), "", [path])
    path.write_text("metric,cheaper_below\n")
    with pytest.raises(UserError, match=r"crossings.csv is not what was written"):
        write_package(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"crossings.csv is missing; run `snakemake"):
        write_package(tmp_path)


def test_a_column_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "measured.csv").write_text("model,colour\n")
    with pytest.raises(UserError, match=r"measured\.csv, line 1: 'colour' is no column of it"):
        describe_package(tmp_path)


def test_every_published_csv_is_described_and_valid(tmp_path: Path) -> None:
    descriptor = describe_package(REFERENCE)
    described = {resource["path"] for resource in descriptor["resources"]}
    assert described == {path.relative_to(REFERENCE).as_posix() for path in REFERENCE.rglob("*.csv")}
    # one of the hundreds of trainings and timed samples stands for all
    resources = {tuple(f["name"] for f in one["schema"]["fields"]): one for one in descriptor["resources"]}
    some = frictionless.Package({**descriptor, "resources": list(resources.values())}, basepath=str(REFERENCE))
    report = some.validate()
    assert report.valid, report.flatten(["title", "rowNumber", "fieldName", "message"])[:5]


def test_rows_are_written_as_their_class_says(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [ScalingFit("deit_s", "macs", "whole", n=2)], ScalingFit)
    (row,) = csv.DictReader((tmp_path / "a.csv").open())
    assert list(row) == list(list_columns(ScalingFit))
    assert (row["metric"], row["slope"], row["n"]) == ("macs", "", "2")
    assert read_records(tmp_path / "a.csv", ScalingFit) == [ScalingFit("deit_s", "macs", "whole", n=2)]
