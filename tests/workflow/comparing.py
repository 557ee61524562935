"""What two runs must have in common: every file of results, without what tells the time."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

OF_THE_MOMENT = {"started", "ended", "images_per_second", "takes", "digest", "files"}
"""Facts of manifests and columns of the page's data that are times, and the digests that follow from them."""
PACKED = rb'<script id="data"[^>]*>[^<]*'
"""The page's own copy of report.json, which is compared beside it."""


def contents(results: Path) -> dict[str, str]:
    """The digest of every file but logs and what a kill left half-written, as it is without times."""
    found = {}
    for file in sorted(path for path in results.rglob("*") if path.is_file()):
        content = file.read_bytes()
        if file.suffix in {".log", ".tmp"} or file.name == ".lock":
            continue
        if file.suffix == ".json":
            content = json.dumps(_without_times(json.loads(content)), sort_keys=True).encode()
        elif file.suffix == ".html":
            content = re.sub(PACKED, b"", content)
        found[str(file.relative_to(results))] = hashlib.sha256(content).hexdigest()
    return found


def _without_times(fact: Any) -> Any:
    if isinstance(fact, list):
        return [_without_times(value) for value in fact]
    if not isinstance(fact, dict):
        return fact
    kept = {key: _without_times(value) for key, value in fact.items() if key not in OF_THE_MOMENT}
    if isinstance(kept.get("model"), list | dict) and {"metric", "value"} <= kept.keys():  # a table of the page
        rows = zip(_column(kept["metric"]), _column(kept["value"]), strict=True)
        kept["value"] = [None if metric == "images_per_second" else value for metric, value in rows]
    return kept


def _column(packed: Any) -> list[Any]:
    """A column of the page's data, which may be packed as its different values and the index of each row's."""
    return [packed["values"][index] for index in packed["index"]] if isinstance(packed, dict) else packed
