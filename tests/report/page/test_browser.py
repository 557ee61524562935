"""The page in a browser, with the published measurements and the verdicts of today's cards: what a reader does.

The page forbids `eval`, so tests wait for elements, not for expressions.
"""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from replication import papers, report
from replication.records.metrics import METRICS
from replication.records.reading import read_records
from replication.records.rows import ClaimResult, Count, Evidence, Verdict
from replication.report.figures import FIGURES
from replication.report.page.library import Package, fetch

pytestmark = pytest.mark.slow
REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference"
CHROMIUM = shutil.which("chromium")
AXE = Package(
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ("axe.min.js",),
)
SWIN_T = "swin/table1a/swin-t-224/flops"
TWINS = "twins/claims/pcpvt_fewer_flops_than_swin"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was measured and published, judged again, with everything that people look at."""
    folder = tmp_path_factory.mktemp("published") / "results"
    shutil.copytree(REFERENCE, folder, ignore=shutil.ignore_patterns("report", "tables", "manifest.json"))
    for machine in folder.glob("*/speed"):
        for condition in machine.iterdir():
            shutil.move(condition, folder / "speed")
    papers.write_published(folder / "published.csv")
    report.judge(folder)
    report.write_tables(folder)
    for name in FIGURES:
        if not (folder / "figures" / f"{name}.svg").exists():
            (folder / "figures" / f"{name}.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    report.write_page(folder)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, results: Path) -> Iterator[Page]:
    """The page, loaded. No request may leave the results, and nothing may be said on the console."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, said, asked = context.new_page(), [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    visit(page, results)
    yield page
    assert said == []
    left = [url for url in asked if not url.startswith(("blob:", "data:", f"{results.as_uri()}/"))]
    assert left == []
    context.close()


def visit(page: Page, results: Path, where: str = "") -> None:
    page.goto("about:blank")
    page.goto(f"{(results / 'report' / 'index.html').as_uri()}{where}")
    page.wait_for_selector("#numbers-table tbody tr, #numbers.empty")


def search(page: Page, text: str) -> list[str]:
    """Type it: the ids of the numbers shown."""
    page.fill("#q", text)
    return shown(page)


def shown(page: Page) -> list[str]:
    ids: list[str] = page.eval_on_selector_all(
        "#numbers-table tbody th a", "links => links.map(link => decodeURIComponent(link.hash.slice(1)))"
    )
    return ids


def all_found(page: Page) -> set[str]:
    """The ids of all numbers that the question finds, over all windows."""
    found = set(shown(page))
    while page.locator("#numbers-pager button:text('Next'):enabled").count():
        page.click("#numbers-pager button:text('Next')")
        found |= set(shown(page))
    return found


def in_first_screen(page: Page, selector: str) -> bool:
    box = page.locator(selector).first.bounding_box()
    return box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 900


# --- the four questions -----------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["Swin-T 4.5 GFLOPs", "swin-t flops 4.5G", "does Swin-T's 4.5 GFLOPs hold?"])
def test_does_a_number_hold(page: Page, typed: str) -> None:
    found = search(page, typed.replace("'s", ""))
    assert SWIN_T in found
    assert len(found) < 10
    row = f"#numbers-table tr:has(a[href='#{SWIN_T}'])"
    assert page.inner_text(f"{row} .outcome") == "reproduced"
    assert in_first_screen(page, row)


def test_two_models_over_the_size_of_the_image(page: Page, results: Path) -> None:
    visit(page, results, "?models=pvt_small+swin_t&from=224&to=1024#curves")
    page.wait_for_selector("#curves-plot canvas")
    assert in_first_screen(page, "#curves-crossings")
    crossings = (results / "complexity" / "crossings.csv").read_text()
    (size, low, high) = re.findall(r"macs,pvt_small,swin_t,(\d+),(\d+),(\d+)", crossings)[0]
    assert page.inner_text("#curves-crossings") == f"PVT-Small is lower below {size} px [{low}, {high}], Swin-T above."


def test_which_claims_fail_and_why(page: Page) -> None:
    assert search(page, "twins contradicted") == []
    assert page.eval_on_selector_all("#claims-table tbody th a", "links => links.map(a => a.hash)") == [f"#{TWINS}"]
    assert in_first_screen(page, "#claims-table tbody tr")
    page.click(f"a[href='#{TWINS}']")
    assert "4.5 / 3.8 is 1.18" in page.inner_text("#one-facts")


def test_how_a_verdict_is_cited(page: Page, results: Path) -> None:
    visit(page, results, f"#{SWIN_T}")
    run = json.loads((results / "report" / "report.json").read_text())["run"]
    bibtex, csl, plain = (text.strip() for text in page.locator("#one-cite pre").all_text_contents())
    assert re.fullmatch(r"@misc\{[\w-]+,\n(  \w+ = \{.*\},?\n)+\}", bibtex)
    assert bibtex.count("{") == bibtex.count("}")
    (item,) = json.loads(csl)
    assert item["issued"]["date-parts"] == [[int(part) for part in run["date"].split("-")]]
    for text in (bibtex, csl, plain):
        assert run["digest"] in text
        assert SWIN_T in text
    page.click("#one-cite button:text('Copy BibTeX')")
    assert page.evaluate("navigator.clipboard.readText()").strip() == bibtex


# --- search, facets, address ------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["Swin-T", "swin_t", "Swin tiny"])
def test_a_name_finds_that_model_and_all_of_it(page: Page, results: Path, typed: str) -> None:
    search(page, typed)
    verdicts = {verdict.id: verdict for verdict in read_records(results / "verdicts.csv", Verdict)}
    labels = {variant.id: variant.label for variant in papers.list_variants().values()}
    name = re.compile(r"(?<![\w-])Swin[-_ ]T(?:iny)?(?![\w-])", re.IGNORECASE)
    named = {v.id for v in verdicts.values() if name.search(f"{v.row} | {labels.get(v.model, '')} | {v.model}")}
    assert len(named) > 100
    assert all_found(page) == named


@pytest.mark.parametrize(
    ("typed", "id_"),
    [
        ("flops 4.5G", SWIN_T),
        ("DeiT small 940.4", "swin/table1a/deit-s-224/throughput"),
        ("PVT-S params 24.5", "pvt/table2/pvt-small/params"),
        ("swin-t top-1 imagenet-1k 81.3", "swin/table1a/swin-t-224/top1"),
    ],
)
def test_synonyms_are_known(page: Page, typed: str, id_: str) -> None:
    assert id_ in {verdict.id for card in papers.read_cards().values() for t in card.tables for verdict in t.published}
    assert id_ in search(page, typed)


def test_what_is_not_there_is_said(page: Page, results: Path) -> None:
    assert search(page, "zzzz") == []
    assert page.inner_text("#hits") == "0 numbers, 0 claims"
    assert page.is_visible("#numbers > .none")
    visit(page, results, "#swin/table1a/nothing/flops")
    assert "has the id swin/table1a/nothing/flops" in page.inner_text("#unknown")


def test_bars_are_filters(page: Page, results: Path) -> None:
    page.click(".bars a[aria-label^='twins:'][aria-label$=' differs']")
    verdicts = [v for v in read_records(results / "verdicts.csv", Verdict) if v.paper == "twins"]
    built = {v.id for v in verdicts if METRICS[v.metric].kind == "architecture"}  # they have a part of their own
    assert all_found(page) == {v.id for v in verdicts if v.verdict == "differs"} - built
    assert page.url.endswith("&page=2#numbers")


def test_back_and_reload_keep_what_is_asked(page: Page) -> None:
    page.select_option("#facet-paper", "swin")
    page.select_option("#facet-metric", "macs")
    page.click("#numbers-table th button:text('printed')")
    asked, rows = page.url, shown(page)
    page.reload()
    page.wait_for_selector("#numbers-table tbody tr")
    assert shown(page) == rows
    printed = [float(text.split()[0]) for text in page.locator("td.printed").all_inner_texts()]
    assert printed == sorted(printed)
    page.click("#numbers-table tbody th a >> nth=3")
    assert page.evaluate("document.querySelector('#one').open")
    page.go_back()
    assert not page.evaluate("document.querySelector('#one').open")
    assert page.url == asked
    page.go_back()
    assert page.get_attribute("#numbers-table th[data-name=printed], #numbers-table th >> nth=2", "aria-sort") == "none"
    page.go_back()
    assert page.input_value("#facet-metric") == ""
    assert page.input_value("#facet-paper") == "swin"


def test_the_rows_that_are_saved_are_those_found(page: Page) -> None:
    search(page, "Swin-T GFLOPs")
    with page.expect_download() as saving:
        page.click("#numbers-csv")
    with Path(saving.value.path()).open(newline="") as file:
        saved = {row["id"]: row for row in csv.DictReader(file)}
    assert saved[SWIN_T]["published"] == "4.5"
    assert saved.keys() == all_found(page)


# --- the view of one --------------------------------------------------------------------------------


def test_every_number_and_claim_has_a_view(page: Page, results: Path) -> None:
    ids = [row.id for row in read_records(results / "verdicts.csv", Verdict)][::197]
    ids += [row.id for row in read_records(results / "claims.csv", ClaimResult)][::47]
    for one in ids:
        page.evaluate("id => { location.hash = id }", one)
        expect(page.locator("#one-cite pre").last).to_contain_text(f"#{one}")
        box = page.locator("#one-title").bounding_box()
        assert box is not None
        assert 0 <= box["y"] < 900
        facts = page.locator("#one-facts dt").all_inner_texts()
        assert {"printed", "ours", "why", "paper", "command"} <= {*facts, "printed"}


def test_the_view_says_all_that_is_known(page: Page, results: Path) -> None:
    visit(page, results, "#cpvt/table5_v2/resnet-101-224/throughput")
    facts = page.inner_text("#one-facts")
    assert re.search(r"0\.9187 \[0\.9041, 0\.9734\] times as fast as deit_s@224, printed 0\.8014 times", facts)
    visit(page, results, "#swin/table1a/deit-s-224/top1")
    found = [one for one in read_records(results / "witnesses.csv", Evidence) if one.number in page.url]
    listed = page.locator("#one-facts details li").all_text_contents()
    assert len(listed) == len(found) > 1
    assert all(one.source in text for one, text in zip(found, listed, strict=True))
    visit(page, results, f"#{SWIN_T}")
    facts = page.inner_text("#one-facts")
    for part in ("4.5 G", "4.49057 G", "closed form 4,490,566,656", "read where the paper prints it", "Table 1a"):
        assert part in facts
    page.click("#one-facts button:text('Copy command')")
    assert page.evaluate("navigator.clipboard.readText()").startswith("python -m replication complexity count")


# --- curves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", ["macs", "peak_memory_train_math"])
def test_the_explorer_s_values_are_the_counts(page: Page, results: Path, cost: str) -> None:
    visit(page, results, f"?models=pvt_small+swin_t+deit_s&cost={cost}&from=1&to=9999#curves")
    page.wait_for_selector("#curves-plot canvas")
    page.evaluate("navigator.clipboard.writeText('')")
    page.click("#curves-csv")
    page.wait_for_selector("#curves-csv:text-is('Copied')")
    copied = list(csv.DictReader(page.evaluate("navigator.clipboard.readText()").splitlines()))
    scale = 1e9 if cost == "macs" else 2**20
    counted = {
        (count.model, str(count.image_size)): value / scale
        for count in read_records(results / "complexity" / "counts.csv", Count)
        if count.model in ("pvt_small", "swin_t", "deit_s") and (value := getattr(count, cost)) is not None
    }
    found = {(row["model"], row["image_size"]): float(row["value"]) for row in copied}
    assert found == pytest.approx(counted)
    assert len(found) > 30


def test_printed_points_and_other_models_can_be_added(page: Page, results: Path) -> None:
    visit(page, results, "#curves")
    page.wait_for_selector("#curves-plot canvas")
    page.fill("#curves-add", "deit_s")
    page.press("#curves-add", "Enter")
    assert page.locator("#curves-models li").all_text_contents() == ["PVT-Small×", "Swin-T×", "DeiT-S×"]
    assert "models=pvt_small+swin_t+deit_s" in page.url
    assert page.locator(f"#curves-values a[href='#{SWIN_T}'], #curves-values a:text('4.5')").count() >= 1
    with page.expect_download() as saving:
        page.click("#curves-picture")
    assert Path(saving.value.path()).read_bytes().startswith(b"\x89PNG")
    page.select_option("#curves-cost", index=6)
    assert page.is_visible("#curves-values")


# --- for everybody ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    if shutil.which("npm") is None:
        pytest.skip("no npm to fetch axe-core with")
    folder = tmp_path_factory.mktemp("axe")
    try:
        fetch(AXE, folder)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm cannot fetch axe-core: {error.stderr.decode()[-200:]}")
    return (folder / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (400, "light")])
@pytest.mark.parametrize("where", ["index.html", f"index.html#{TWINS}", "papers/cpvt.html"])
def test_nothing_serious_stands_in_anybody_s_way(
    browser: Browser, results: Path, axe: str, width: int, scheme: Any, where: str
) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(f"{(results / 'report').as_uri()}/{where}")
    page.wait_for_timeout(300)
    page.evaluate(axe)
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    serious = {
        one["id"]: [node["html"][:160] for node in one["nodes"]][:3]
        for one in found
        if one["impact"] in ("serious", "critical")
    }
    assert serious == {}
    page.close()


@pytest.mark.parametrize(
    "where", ["index.html", "index.html?q=twins+flops", f"index.html#{SWIN_T}", "papers/twins.html"]
)
def test_nothing_is_wider_than_a_phone(browser: Browser, results: Path, where: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto(f"{(results / 'report').as_uri()}/{where}")
    page.wait_for_timeout(300)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


def test_the_keyboard_reaches_every_reason(page: Page, results: Path) -> None:
    search(page, "EffNet-B4 flops differs")
    assert len(shown(page)) >= 1
    page.focus("#q")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('#numbers-table tbody th a')"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("#one[open]")
    assert "No cause found" in page.inner_text("#one-facts")
    page.keyboard.press("Escape")
    page.wait_for_selector("#one", state="hidden")
    page.goto(f"{(results / 'report' / 'papers' / 'swin.html').as_uri()}")
    cells = page.locator("td:has(.outcome)")
    assert cells.count() == page.locator("td:has(.outcome):has(sup a[href^='#'])").count() > 300


@pytest.mark.parametrize("anchor", ["numbers", "claims", "differences", "curves", "speed", "figures", "methods"])
def test_every_anchor_lands_in_view(page: Page, results: Path, anchor: str) -> None:
    visit(page, results, f"#{anchor}")
    page.wait_for_timeout(200)
    box = page.locator(f"#{anchor} h2").bounding_box()
    assert box is not None
    assert 0 <= box["y"] < 900
    top = "([x, y]) => document.elementFromPoint(x, y).closest('h2') !== null"
    assert page.evaluate(top, [box["x"] + 5, box["y"] + box["height"] / 2])


def test_anchors_of_a_paper_land_in_view(page: Page, results: Path) -> None:
    for anchor in ("swin-table1a", SWIN_T, "swin/claims/shift_helps_imagenet"):
        page.goto("about:blank")
        page.goto(f"{(results / 'report' / 'papers' / 'swin.html').as_uri()}#{anchor}")
        place = page.evaluate("id => document.getElementById(id)?.getBoundingClientRect().top", anchor)
        if place is not None:
            assert 0 <= place < 900, anchor


def test_print_of_a_paper_keeps_the_reasons(page: Page, results: Path) -> None:
    page.goto(f"{(results / 'report' / 'papers' / 'cpvt.html').as_uri()}")
    page.emulate_media(media="print")
    reasons = {v.reason for v in read_records(results / "verdicts.csv", Verdict) if v.paper == "cpvt"}
    visible = page.eval_on_selector_all(
        "ol.reasons li", "items => items.filter(item => item.checkVisibility()).map(item => item.textContent)"
    )
    assert set(visible) == reasons


def test_figures_and_trainings_open_on_demand(page: Page, results: Path) -> None:
    visit(page, results, "#figures")
    figure = page.locator("details[data-packed]").first
    figure.locator("summary").click()
    page.wait_for_selector("details[data-packed] img[src^='blob:']")
    page.evaluate("document.querySelector('details[data-packed] img').decode()")  # fails for what is no picture
    training = page.locator("#experiment-vit_resolution")
    training.locator("summary").click()
    training.locator(".scroll tbody tr").nth(1).wait_for()  # `toggle` comes after the click
    expect(training.locator("canvas")).to_be_visible()
    with page.expect_download() as saving:
        training.locator("button").click()
    with Path(saving.value.path()).open(newline="") as file:
        saved = list(csv.DictReader(file))
    kept = results / "training" / "vit_resolution" / "pretrain" / "seed0" / "epochs.csv"
    epochs = len(kept.read_text().splitlines()) - 1
    assert [int(row["epoch"]) for row in saved if row["arm"] == "pretrain"] == list(range(epochs))
    assert all(float(row["least"]) <= float(row["mean"]) <= float(row["most"]) for row in saved)


def test_what_a_figure_is_about_stands_below_it_with_its_numbers(page: Page, results: Path) -> None:
    visit(page, results, "#figures")
    page.locator("#figure-inside_fields summary").click()
    line = page.locator("#figure-inside_fields li", has_text="pairs joined by the shift")
    assert re.search(r"12\.89 .*%, 5 seeds, direction seen", line.inner_text())
    line.locator("a").click()
    expect(page.locator("#one-title")).to_contain_text("Shifting the windows connects")


def test_it_is_small_and_does_little(page: Page, results: Path) -> None:
    assert (results / "report" / "index.html").stat().st_size <= 1_500_000
    assert page.evaluate("document.querySelectorAll('*').length") <= 3000
    search(page, "flops")
    assert page.locator("#numbers-table tbody tr").count() == 20
    assert page.evaluate("document.querySelectorAll('*').length") <= 3000


def test_without_scripts_the_papers_are_reached(browser: Browser, results: Path) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto((results / "report" / "index.html").as_uri())
    assert "printed numbers" in page.inner_text(".answer")
    page.click("noscript a:text-is('swin')")
    assert page.locator("td:has(.outcome)").count() > 300
