"""A published folder is whole, described, and the same bytes every time; the citation is that of the page."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

import replication
from replication import papers, report
from replication.records.store import hash_file, make_address
from replication.records.words import UserError
from replication.report.figures import FIGURES
from replication.report.page.linked import AUTHOR, TITLE
from replication.report.publication import add_address, write_publication
from tests.report.timings import write_timings

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def finished(results: Path) -> Path:
    write_timings(results / "speed/x", {("toy_s", 224): [0.02] * 4})
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    report.write_tables(results)
    (results / "figures").mkdir()
    for name in FIGURES:
        for suffix in ("svg", "png"):
            (results / "figures" / f"{name}.{suffix}").write_text("<svg/>")
    report.write_page(results)
    return results


def test_a_copy_can_be_checked_and_every_file_is_described(finished: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_publication(finished, out, ROOT)
    done = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd=out, capture_output=True, text=True, check=True)
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert done.stdout.count(": OK\n") == len(files)
    assert files >= {"report/tables.zip", "report/papers/toy.html", "figures/effects.png", "LICENSE", "CITATION.cff"}
    graph = {one["@id"]: one for one in json.loads((out / "ro-crate-metadata.json").read_text())["@graph"]}
    parts = {part["@id"] for part in graph["./"]["hasPart"]}
    assert parts == files - {"ro-crate-metadata.json"}
    assert all(graph[name]["sha256"] == hash_file(out / name) for name in parts)
    assert graph["verdicts.csv"]["description"] == "What became of one published number."
    assert graph["ro-crate-metadata.json"]["about"] == {"@id": "./"}


def test_it_repeats_and_replaces_nothing(finished: Path, tmp_path: Path) -> None:
    sums = []
    for name in ("one", "two"):
        write_publication(finished, tmp_path / name, ROOT)
        sums.append((tmp_path / name / "SHA256SUMS").read_bytes())
    assert sums[0] == sums[1]
    with pytest.raises(UserError, match="is there already"):
        write_publication(finished, tmp_path / "one", ROOT)


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://example.org/group/suite.git", "https://example.org/group/suite"),
        ("https://name:secret@example.org/group/suite", "https://example.org/group/suite"),
        ("git@example.org:group/suite.git", "https://example.org/group/suite"),
        ("ssh://git@example.org:2222/group/suite.git", "https://example.org/group/suite"),
        ("/srv/suite.git", ""),
        ("../suite", ""),
        ("", ""),
    ],
)
def test_the_citation_has_the_public_address_of_origin_if_there_is_one(remote: str, address: str) -> None:
    assert make_address(remote) == address
    before = (ROOT / "CITATION.cff").read_text()
    cited = yaml.safe_load(add_address(before, address))
    assert cited == yaml.safe_load(before) | ({"repository-code": address} if address else {})


def test_the_citation_is_that_of_the_page() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["title"], cited["version"], cited["authors"]) == (TITLE, replication.__version__, [{"name": AUTHOR}])
    assert len([card for card in papers.read_cards().values() if card.claims]) == 10
    assert "ten vision-transformer papers" in cited["abstract"]
