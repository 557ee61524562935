"""The page is one valid file that needs nothing else, and says what the tables say."""

from __future__ import annotations

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
from replication.records.rows import Measured, Verdict
from replication.report.figures import FIGURES
from replication.report.page import code, provenance
from replication.report.tables import MARKS
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


@pytest.fixture
def text(results: Path) -> str:
    return write(results)


def write(results: Path) -> str:
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    (results / "figures").mkdir(exist_ok=True)
    for name in FIGURES:
        (results / "figures" / f"{name}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    report.write_page(results)
    return (results / "report" / "index.html").read_text()


def test_no_resource_lies_outside_the_page(text: str) -> None:
    page = Page(text)
    resources = [a.get("src") or a.get("href") or "" for tag, a in page.elements if tag != "a"]
    assert {value.split(",")[0] for value in resources if value} == {"data:image/svg+xml;base64"}
    assert not page.attributes("link")
    assert "@import" not in text
    assert "url(" not in text
    links = {a["href"] or "" for a in page.attributes("a")}
    assert {link for link in links if not link.startswith("#")} == {"https://arxiv.org/abs/2100.00001"}


def test_every_link_inside_leads_somewhere_and_ids_are_unique(text: str) -> None:
    page = Page(text)
    ids = Counter(a["id"] for _, a in page.elements if "id" in a)
    assert max(ids.values()) == 1
    inside = {a["href"][1:] for a in page.attributes("a") if a["href"] and a["href"].startswith("#")}
    assert inside <= ids.keys()
    assert {"toy-table1", "toy/claims/ratio", "figure-claims", "methods", "provenance", "cite"} <= ids.keys()


def test_readers_that_cannot_see_are_served(text: str) -> None:
    page = Page(text)
    assert page.attributes("html") == [{"lang": "en"}]
    assert all(len(image["alt"] or "") > 30 for image in page.attributes("img"))
    assert all("scope" in header for header in page.attributes("th"))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_it_says_what_the_verdicts_say(text: str, results: Path) -> None:
    answer = " ".join(text.split())
    assert "Of 11 printed numbers, 3 are checked by a measurement of ours: 2 hold, 1 differ." in answer
    assert "Another 2 are hyper-parameters, which build our models and so check the transcript alone: 1 are" in answer
    assert "2 printed numbers, 1 of those checked among them, were not read where the paper prints them" in answer
    assert "Of 4 claims, 2 rest on counts: 2 supported, 0 contradicted, 0 inconclusive. 1 are for" in answer
    assert "test no more than a direction: 1 supported, 0 contradicted, 0 inconclusive. 1 need data." in answer
    cells = [a for a in Page(text).attributes("td") if "title" in a]
    verdicts = read_records(results / "verdicts.csv", Verdict)
    assert len(cells) == 10  # one of them a list of two
    assert {a["id"] for _, a in Page(text).elements if "id" in a} >= {v.id for v in verdicts}
    assert {a["title"] for a in cells} >= {v.reason for v in verdicts if "depths" not in v.column}
    listed = "".join(re.findall(r"<dl class=.reasons.>(.*?)</dl>", text, re.DOTALL))  # without a mouse
    assert set(re.findall("<dt>(.*?)</dt>", listed)) == {str(escape(v.reason)) for v in verdicts}
    assert "A toy of a &lt;transformer&gt;" in text
    for mark in set(MARKS.values()):
        assert mark in text


def test_backticks_become_code_and_nothing_else_becomes_markup() -> None:
    assert code("at `a<b`, not 2<3") == "at <code>a&lt;b</code>, not 2&lt;3"
    assert code("a ` alone") == "a ` alone"


def test_it_repeats_and_does_without_trainings(results: Path, text: str) -> None:
    assert write(results) == text
    for path in (results / "training").rglob("manifest.json"):
        path.unlink()
    assert "1 inconclusive" not in write(results)


def test_provenance_groups_what_was_made_alike(results: Path) -> None:
    (made,) = provenance(results)
    assert made["machine"]["processor"] == "toy processor"
    assert made["results"] == [f"training/exp/{arm}/seed{seed}" for arm in "ab" for seed in range(3)]


def test_an_experiment_shows_its_arms_with_their_means(results: Path, text: str) -> None:
    (section,) = re.findall(r'<section id="experiments">(.*?)</section>', text, re.DOTALL)
    assert "Does B beat A? Trained on digits." in section
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr>(.*?)</tr>", section, re.DOTALL)]
    found = {row[0]: row[1:] for row in rows[1:]}
    (b,) = (m for m in read_records(results / "measured.csv", Measured) if m.model == "exp/b" and m.metric == "top1")
    assert found["a"][:2] == ["Mini", ""]
    assert found["b"] == [
        *(
            "Mini",
            "from a; epochs 3",
            "28",
            "top1",
            f"{b.value:.1f}",
            "%",
            f"{b.ci_low:.1f} to {b.ci_high:.1f}",
            str(b.n),
        )
    ]


def test_a_detector_s_rate_is_the_median_over_its_seeds(results: Path, text: str) -> None:
    assert "images/s</th>" not in text
    for seed, rate in enumerate((90.0, 110.4, 300.0)):
        manifest = {"experiment": "exp", "arm": "b", "images_per_second": rate}
        path = results / f"insight/exp/b/seed{seed}/manifest.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(manifest))
    report.write_page(results)
    page = (results / "report" / "index.html").read_text()
    (section,) = re.findall(r'<section id="experiments">(.*?)</section>', page, re.DOTALL)
    assert re.findall(r'<td class="rate">(.*?)</td>', section) == ["", "110"]


def test_it_tells_of_speed_what_was_timed(text: str, results: Path) -> None:
    assert "Nothing is timed yet" in text
    write_speed(results)
    text = write(results)
    Page(text)
    (section,) = re.findall(r'<section id="speed">(.*?)<section id="departures">', text, re.DOTALL)
    assert "Nothing is timed yet" not in section
    assert "global to 400 [196, 784], then windowed" in section
    assert section.count("blocks vary by 9 %") == section.count("17.6 GMACs an image are more than 2") == 2
    assert re.findall('<figure id="figure-(.*?)"', section) == [n for n, f in FIGURES.items() if f.section == "speed"]
    assert text.count("<figure") == len(FIGURES)
