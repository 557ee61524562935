"""Results are written whole or not at all."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from replication.records.store import digest, hash_file, read_clock, replace_file, write_csv, write_manifest, write_text

ROOT = Path(__file__).resolve().parents[2]


def test_failure_while_writing_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.csv"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="disk full"), replace_file(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_kill_while_writing_never_shows_under_the_final_name(tmp_path: Path) -> None:
    path = tmp_path / "result.csv"
    code = (
        "import sys, time; from pathlib import Path; from replication.records.store import replace_file\n"
        "with replace_file(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_text('half'); print('written', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not path.exists()


def test_csv_has_the_columns_in_order_and_exact_floats(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.csv"
    write_csv(path, [{"y": 0.1 + 0.2, "x": None}, {"y": 3, "x": "a,b"}], ["x", "y"])
    assert path.read_text() == 'x,y\n,0.30000000000000004\n"a,b",3\n'


def test_csv_refuses_a_value_without_a_column(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="z"):
        write_csv(tmp_path / "b.csv", [{"z": 1}], ["x"])
    assert not list(tmp_path.iterdir())


def test_manifest_says_what_made_the_result(tmp_path: Path) -> None:
    started = read_clock()
    write_manifest(tmp_path / "r.json", started, seed=3)
    manifest = json.loads((tmp_path / "r.json").read_text())
    assert manifest["seed"] == 3
    assert manifest["started"] == started <= manifest["ended"]
    assert {"command", "commit", "dirty", "libraries", "machine"} <= set(manifest)


def test_digests() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1}) != digest({"a": 1, "b": [2, 1]})


def test_sha256_of_the_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert (
        hash_file(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )  # FIPS 180-4


def test_what_a_dead_process_left_of_a_file_goes_with_the_next_writing(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, alive = tmp_path / f".a.csv.{dead.pid}.tmp", tmp_path / f".a.csv.{os.getppid()}.tmp"
    left.touch()
    alive.touch()
    write_text(tmp_path / "a.csv", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["a.csv", alive.name])


def test_a_full_disk_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left") as raised:
        write_text(tmp_path / "a.csv", "new")
    assert raised.value.filename == str(tmp_path / "a.csv")


def test_without_git_the_commit_is_unknown(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = (
        "from pathlib import Path; from replication.records.store import *; "
        "write_manifest(Path('r.json'), read_clock())"
    )
    environment = {"PATH": "", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
    manifest = json.loads((tmp_path / "r.json").read_text())
    assert (manifest["commit"], manifest["dirty"]) == ("", None)
    assert "git does not say which commit this is" in capfd.readouterr().err


def test_sets_have_a_digest_of_their_own_whatever_the_order() -> None:
    code = (
        "from replication.records.store import digest; print(digest({'a': {'p', 'q', 'r'}, (1, 2): frozenset('xyz')}))"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in "123"
    }
    assert len(digests) == 1
