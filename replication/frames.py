"""Results as data frames."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from replication.records.reading import MEND, check_rows, read_bytes, read_text
from replication.records.rows import list_kinds
from replication.records.words import UserError


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


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read the arrays of an `.npz` by name. Raise `UserError` if it is none, or is not what was written."""
    content = read_bytes(path)
    try:
        with np.load(io.BytesIO(content)) as found:
            return dict(found)
    except Exception as error:  # a broken byte makes the readers raise any kind
        raise UserError(f"{path} is no archive of arrays ({type(error).__name__}); {MEND}") from error
