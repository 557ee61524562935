"""The page's filter, in a browser: it finds names, columns and units by whole words, and hides what has no hit."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.report.test_page import write

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
QUERIES = {
    "Toy_S GFLOPs": ["toy-table1", "toy-table2", "toy-table2"],
    "toy_s flops 3.8": ["toy-table1"],
    "Toy_S 3.8G": ["toy-table1"],
    "Toy_S 12.0 differs": ["toy-table2"],
    "toy-table1": [],  # what stands in an id is no word of a row
    "2.0": [],  # nor is the end of 12.0
    "Toy_": ["toy-table1", "toy-table2", "toy-table2"],  # still being typed
    "zzzz": [],
}
ASK = """<script>
const answers = {};
for (const query of %s) {
  box.value = query;
  box.dispatchEvent(new Event('input'));
  const rows = [...document.querySelectorAll('#tables tbody tr')].filter(row => row.checkVisibility());
  const places = rows.map(row => row.closest('section').id);
  answers[query] = [places, said.textContent, document.querySelector('#methods').hidden];
}
document.title = JSON.stringify(answers);
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="no browser")
def test_questions_find_their_rows(results: Path, tmp_path: Path) -> None:
    page = tmp_path / "asked.html"
    page.write_text(write(results).replace("</body>", ASK % json.dumps(list(QUERIES))), encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", page.as_uri()]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    (title,) = re.findall("<title>(.*?)</title>", dom)
    answers = json.loads(html.unescape(title))
    assert {query: rows for query, (rows, _, _) in answers.items()} == QUERIES
    assert all(hidden for _, _, hidden in answers.values())
    assert answers["zzzz"][1] == "Nothing found; try fewer words"
    assert answers["toy_s flops 3.8"][1].startswith("1 row")
    assert not answers["toy_s flops 3.8"][1].startswith("1 rows")
