"""A data set is copied to a machine's own disk once, whole, and read there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from replication.data.staging import copy_data

COPY = """
import sys
from pathlib import Path
from replication.data.staging import copy_data
copy_data(["mine"], *map(Path, sys.argv[1:]))
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "mine" / "images"
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"one")
    return tmp_path / "data"


def test_a_copy_is_made_once_and_again_when_a_file_changes(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_DISK", str(tmp_path))
    stage = tmp_path / "stage"
    assert copy_data(["mine"], root, Path("$NODE_DISK/stage")) == stage
    copied = stage / "mine" / "images" / "1.png"
    assert copied.read_bytes() == b"one"
    before = copied.stat().st_ino
    copy_data(["mine"], root, stage)
    assert copied.stat().st_ino == before
    (root / "mine" / "images" / "1.png").write_bytes(b"three")
    copy_data(["mine"], root, stage)
    assert copied.read_bytes() == b"three"


def test_a_copy_that_was_broken_off_is_not_used(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(source: Path, to: Path) -> None:
        to.mkdir()
        raise KeyboardInterrupt

    stage = tmp_path / "stage"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "copytree", stop)
        copy_data(["mine"], root, stage)
    assert not (stage / "mine").exists()
    copy_data(["mine"], root, stage)
    assert (stage / "mine" / "images" / "1.png").read_bytes() == b"one"
    assert sorted(path.name for path in stage.iterdir()) == [".mine.json", ".mine.lock", "mine"]


def test_what_is_made_in_memory_is_not_copied(tmp_path: Path) -> None:
    assert copy_data(["digits"], tmp_path / "data", tmp_path / "stage") == tmp_path / "data"
    assert not (tmp_path / "stage").exists()


def test_processes_that_want_it_at_once_make_one_copy(root: Path, tmp_path: Path) -> None:
    for n in range(200):
        (root / "mine" / "images" / f"{n}.png").write_bytes(os.urandom(100))
    stage = tmp_path / "stage"
    running = [subprocess.Popen([sys.executable, "-c", COPY, str(root), str(stage)]) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert len(list((stage / "mine" / "images").iterdir())) == 200
