"""Results as data frames."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd

from replication.records.reading import check_rows, read_text
from replication.records.rows import kinds


def read_frame(path: Path, row: type, **options: Any) -> pd.DataFrame:
    """A CSV with the columns of `row` or of a subclass of it, as pandas reads it with `options`.

    UserError as in `reading.read_rows`.
    """
    text = read_text(path)
    header = text.partition("\n")[0]
    layouts: list[type] = [row, *row.__subclasses__()]
    kind = next((one for one in layouts if ",".join(kinds(one)) == header), row)
    check_rows(path, text, kinds(kind), exactly=True)
    return pd.read_csv(io.StringIO(text), **options)
