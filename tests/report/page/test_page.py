"""The pages are valid files that need nothing else, and say what the tables say."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markupsafe import escape

from replication import report
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, Verdict
from replication.records.store import hash_file
from replication.report.figures import FIGURES
from replication.report.page.index import SHOWN_OTHERWISE, mark_code, read_provenance
from tests.report.figures.test_figures import write_looks
from tests.report.timed import write_speed

VOID = {"meta", "img", "input", "br", "link", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, checking that tags nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def ids(self) -> Counter[str | None]:
        return Counter(attributes["id"] for _, attributes in self.elements if "id" in attributes)


@pytest.fixture
def folder(results: Path) -> Path:
    return write(results)


def write(results: Path) -> Path:
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    report.write_tables(results)
    (results / "figures").mkdir(exist_ok=True)
    for name in FIGURES:
        (results / "figures" / f"{name}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    report.write_page(results)
    return results / "report"


@pytest.fixture(params=["index.html", "papers/toy.html"])
def page(folder: Path, request: pytest.FixtureRequest) -> Page:
    return Page((folder / request.param).read_text(encoding="utf-8"))


def test_no_resource_lies_outside(page: Page) -> None:
    assert not page.attributes("link")
    assert not [script for script in page.attributes("script") if "src" in script]
    assert {image.get("src") for image in page.attributes("img")} <= {None}  # of the toy, no figure is of its own
    outside = {a["href"] or "" for a in page.attributes("a") if (a["href"] or "").startswith("http")}
    assert outside <= {"https://arxiv.org/abs/2100.00001"}


def test_every_link_inside_leads_somewhere_and_ids_are_unique(page: Page) -> None:
    assert max(page.ids.values()) == 1
    inside = {a["href"][1:] for a in page.attributes("a") if a["href"] and a["href"].startswith("#")}
    assert inside <= page.ids.keys()


def test_links_between_the_pages_lead_somewhere(folder: Path) -> None:
    index, paper = (Page((folder / name).read_text()) for name in ("index.html", "papers/toy.html"))
    across = {a["href"] for a in index.attributes("a") if (a["href"] or "").startswith("papers/")}
    assert {link.partition("#")[0] for link in across if link} == {"papers/toy.html"}
    assert {link.partition("#")[2] for link in across if link and "#" in link} <= paper.ids.keys()
    downloads = [a["href"] for a in index.attributes("a") if "download" in a]
    for link in downloads:
        assert link
        assert (folder / link).is_file(), link
    assert len(downloads) > 8


def test_readers_that_cannot_see_are_served(page: Page) -> None:
    assert page.attributes("html") == [{"lang": "en"}]
    assert all(len(image["alt"] or "") > 30 for image in page.attributes("img"))
    assert all("scope" in header for header in page.attributes("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_it_says_what_the_verdicts_say(folder: Path) -> None:
    answer = " ".join((folder / "index.html").read_text().split())
    assert "Of 11 printed numbers, 3 are checked by a measurement of ours: 2 hold, 1 differ." in answer
    assert "Another 2 are hyper-parameters, which build our models and so check the transcript alone: 1 are" in answer
    assert "2 printed numbers, 1 of those checked among them, were not read where the paper prints them" in answer
    assert "Of 4 claims, 2 rest on counts: 2 supported, 0 contradicted, 0 inconclusive. 1 are for" in answer
    assert 'href="?paper=toy&amp;verdict=differs#numbers" aria-label="toy: 1 differs">1</a>' in answer


def test_its_data_are_those_beside_it(folder: Path) -> None:
    (packed,) = re.findall(r'<script id="data" [^>]*>(.*?)</script>', (folder / "index.html").read_text())
    assert gzip.decompress(base64.b64decode(packed)) == (folder / "report.json").read_bytes()


def test_a_paper_s_page_has_every_number_claim_and_reason_without_scripts(folder: Path) -> None:
    text = (folder / "papers" / "toy.html").read_text()
    page, results = Page(text), folder.parent
    verdicts = read_records(results / "verdicts.csv", Verdict)
    claims = read_records(results / "claims.csv", ClaimResult)
    assert page.ids.keys() >= {v.id for v in verdicts} | {claim.id for claim in claims}
    listed = "".join(re.findall(r'<ol class="reasons">(.*?)</ol>', text, re.DOTALL))
    assert set(re.findall("<li id=[^>]*>(.*?)</li>", listed)) == {str(escape(v.reason)) for v in verdicts}
    (cell,) = re.findall(r'id="toy/table1/toy-s-a-b/flops"></span>(.*?)</td>', text)
    assert re.sub("<[^>]*>", "", cell) == "3.8 | 3.82 ✓2"  # the second reason below the table
    assert "Table 1 prints 3, the code uses 4." in text
    assert "A toy of a &lt;transformer&gt;" in text
    assert "<script>" not in text


def test_every_claim_is_reviewed_for_machines(folder: Path) -> None:
    text = (folder / "papers" / "toy.html").read_text()
    (reviews,) = re.findall(r'<script type="application/ld\+json">(.*?)</script>', text)
    found = {review["@id"]: review for review in json.loads(reviews)}
    claims = read_records(folder.parent / "claims.csv", ClaimResult)
    assert {name[1:]: review["reviewRating"]["alternateName"] for name, review in found.items()} == {
        claim.id: claim.status for claim in claims
    }
    assert {review["@type"] for review in found.values()} == {"ClaimReview"}


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert mark_code("at `a<b`, not 2<3") == "at <code>a&lt;b</code>, not 2&lt;3"
    assert mark_code("a ` alone") == "a ` alone"


def test_it_repeats_and_does_without_trainings(results: Path, folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "manifest.json"]
    before = {path: hash_file(path) for path in files}
    assert {path.suffix for path in files} == {".html", ".json", ".zip"}
    write(results)
    assert {path: hash_file(path) for path in files} == before
    for path in (results / "training").rglob("manifest.json"):
        path.unlink()
    write(results)
    assert "No training is in this run." in (folder / "index.html").read_text()


def test_figures_of_what_models_look_at_have_their_data_and_claims(results: Path) -> None:
    write(results)
    assert 'id="csv-' not in (results / "report" / "index.html").read_text()
    (results / "training" / "runs.json").unlink()  # of what stood there before
    write_looks(results)
    report.write_page(results)
    text = (results / "report" / "index.html").read_text()
    Page(text)
    saved = {
        name: gzip.decompress(base64.b64decode(packed)).decode()
        for name, packed in re.findall('id="csv-(.*?)">(.*?)<', text)
    }
    names = {"vit_embedding", "vit_distances", "vit_rollout", "inside_fields", "inside_depths", "cpvt_moves"}
    assert set(saved) == names
    assert saved["vit_distances"].splitlines()[0] == "state,block,head,distance,uniform,arm,seed"
    assert text.count('data-csv="csv-') == len(saved)


def test_provenance_groups_what_was_made_alike(results: Path) -> None:
    (made,) = read_provenance(results)
    assert made["machine"]["processor"] == "toy processor"
    assert made["results"] == [f"training/exp/{arm}/seed{seed}" for arm in "ab" for seed in range(3)]


def test_it_tells_of_speed_what_was_timed(folder: Path, results: Path) -> None:
    assert "Nothing is timed yet" in (folder / "index.html").read_text()
    write_speed(results)
    text = (write(results) / "index.html").read_text()
    Page(text)
    (section,) = re.findall(r'<section id="speed">(.*?)<section id="figures">', text, re.DOTALL)
    assert "Nothing is timed yet" not in section
    assert "global to 400 [196, 784], then windowed" in section
    assert section.count("blocks vary by 9 %") == section.count("17.6 GMACs an image are more than 2") == 2
    assert set(re.findall('<details data-packed="packed-(.*?)"', text)) == FIGURES.keys() - SHOWN_OTHERWISE
