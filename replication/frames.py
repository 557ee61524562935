"""Results as data frames."""

from __future__ import annotations

import io
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from replication.records.reading import check_rows, read_text


def read_frame(path: Path, columns: Mapping[str, Any] | type, others: Any = str, **options: Any) -> pd.DataFrame:
    """A CSV with these columns, or the fields of a dataclass, and `others`, as pandas reads it with `options`.

    UserError as in `reading.read_rows`.
    """
    text, exactly = read_text(path), isinstance(columns, type)
    check_rows(path, text, typing.get_type_hints(columns) if isinstance(columns, type) else columns, exactly, others)
    return pd.read_csv(io.StringIO(text), **options)
