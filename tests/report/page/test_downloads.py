"""Archives repeat byte for byte and hold every table; the library of the page is the pinned one."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from replication import report
from replication.records.words import UserError
from replication.report.page.downloads import archive, zip_tables
from replication.report.page.library import LIBRARY, VENDOR, Package, fetch, read_library


def test_the_tables_are_in_it_three_times_each(results: Path) -> None:
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    report.write_tables(results)
    packed = zip_tables(results)
    with zipfile.ZipFile(io.BytesIO(packed)) as files:
        names = files.namelist()
        assert files.read("tables/toy/table1.md") == (results / "tables/toy/table1.md").read_bytes()
    stems = ("quotations", "summary", "toy/table1", "toy/table2")
    assert names == sorted(f"tables/{stem}.{suffix}" for stem in stems for suffix in ("csv", "md", "tex"))
    for path in (results / "tables").rglob("*"):
        os.utime(path, (10**9, 10**9))
    assert zip_tables(results) == packed
    (results / "tables" / "summary.tex").unlink()
    with pytest.raises(FileNotFoundError):  # not an archive that lacks it
        zip_tables(results)


def test_an_archive_does_not_depend_on_the_order() -> None:
    files = {"b": b"2", "a": b"1"}
    assert archive(files) == archive(dict(sorted(files.items())))


def test_the_licence_stands_before_the_library() -> None:
    assert read_library().startswith("/*\nThe MIT License (MIT)")


@pytest.mark.slow
def test_the_library_is_the_pinned_one(tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("no npm")
    try:
        fetch(LIBRARY, tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm cannot fetch: {error.stderr.decode()[-200:]}")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in VENDOR.iterdir()
    }
    with pytest.raises(UserError, match="not the pinned sha512-no"):
        fetch(Package(LIBRARY.name, LIBRARY.version, "sha512-no", ()), tmp_path)
