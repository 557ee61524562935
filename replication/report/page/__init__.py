"""What people look at: `report.json`, the page made from it, a page a paper, and the downloads beside them."""

from __future__ import annotations

from pathlib import Path

from replication import papers
from replication.records.reading import read_records
from replication.records.rows import Verdict
from replication.records.store import read_clock, write_bytes, write_manifest, write_text
from replication.report.page.data import format_data, read_report_data
from replication.report.page.downloads import zip_tables
from replication.report.page.index import render_index
from replication.report.page.paper import render_paper
from replication.report.tables import join_tables

__all__ = ["write_page"]


def write_page(results: Path) -> None:
    """Write `report/`: the data, the page, a page a paper, and the tables as an archive, with one manifest for all.

    They are made from `verdicts.csv`, `claims.csv`, `figures/`, `tables/` and the manifests of the instruments.
    """
    started, folder = read_clock(), results / "report"
    data = read_report_data(results)
    text = format_data(data)
    tables = list(join_tables(papers.read_cards(), read_records(results / "verdicts.csv", Verdict)))
    pages = {f"papers/{key}.html": render_paper(key, data, tables, results) for key in data["papers"]}
    written = {"report.json": text, "index.html": render_index(results, data, text), **pages}
    for name, content in written.items():
        write_text(folder / name, content)
    write_bytes(folder / "tables.zip", zip_tables(results))
    files = [folder / name for name in (*written, "tables.zip")]
    write_manifest(folder / "manifest.json", started, files, digest_of_results=data["run"]["digest"])
