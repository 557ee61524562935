"""Results as data frames."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from replication.records.reading import check_rows, read_text
from replication.records.rows import list_kinds


def read_frame(path: Path, row: type, **options: Any) -> pd.DataFrame:
    """Read a CSV with the columns of `row` or of a subclass of it, as pandas reads it with `options`.

    Raise `UserError` as `reading.read_rows` does.
    """
    text = read_text(path)
    header = text.partition("\n")[0]
    layouts: list[type] = [row, *row.__subclasses__()]
    kind = next((one for one in layouts if ",".join(list_kinds(one)) == header), row)
    check_rows(path, text, list_kinds(kind), exactly=True)
    return pd.read_csv(io.StringIO(text), **options)
