"""A result is read as it was written, or refused with file, line and what to do."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from replication.locking import lock, unlock
from replication.records.reading import (
    find_finished,
    find_lost,
    read_bytes,
    read_manifest,
    read_records,
    was_written,
)
from replication.records.rows import Measured
from replication.records.store import read_clock, render_manifest, write_manifest, write_text
from replication.records.words import UserError
from replication.verify import find_faults

GOOD = "model,image_size,dataset,metric,value,unit,ci_low,ci_high,n,scale,machine,seed_set,source_file,"
GOOD += "quantity,cost,mode,attention,part,batch_size,condition,experiment,arm,weights,precision\n"
ROW = "a,224,,macs,1.5,,,,,exact,any,,x.csv,macs,,,,,,,,,,\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1: expected the columns model, "),
        (GOOD.replace("model", "modle").encode(), "line 1: expected the columns model, "),
        (b"\xef\xbb\xbf" + GOOD.encode(), "line 1: expected the columns model, "),
        ((GOOD + ROW + ROW.replace("any", "any,more")).encode(), "line 3: 25 cells under 24 columns"),
        ((GOOD + "a,224\n").encode(), "line 2: 2 cells under 24 columns"),
        ((GOOD + ROW.replace("1.5", "1.5x")).encode(), "line 2: value cannot be '1.5x'"),
        ((GOOD + ROW.replace("1.5", "nan")).encode(), "line 2: value cannot be 'nan'"),
        ((GOOD + ROW.replace("224", "22x")).encode(), "line 2: image_size cannot be '22x'"),
        ((GOOD + ROW.replace("any", 'an"y')).encode() + b'"', "line 3: unexpected end of data|line 2: "),
        ((GOOD + ROW).encode() + b"\xff", "line 3: this is no UTF-8 text"),
        ((GOOD + ROW).encode() + b"\0", "line 3: a NUL character"),
    ],
)
def test_damage_of_a_csv_is_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "measured.csv"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read_records(path, Measured)
    text = str(raised.value)
    assert text.startswith(f"{path}, line ")
    assert text.endswith("delete it and run again")
    assert "\n" not in text


@pytest.mark.parametrize("text", ["", "{", "[]", "1" * 5000, "[" * 100_000, '{"a": 1}', '{"seed": "1"}'])
def test_damage_of_a_manifest_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json.*; delete it and run again"):
        read_manifest(tmp_path / "manifest.json", seed=int)


def test_every_flipped_bit_of_a_result_or_its_manifest_is_refused(tmp_path: Path) -> None:
    result, manifest = tmp_path / "a.csv", tmp_path / "a.json"
    write_text(result, "x\n1\n2\n")
    write_manifest(manifest, read_clock(), [result])
    assert read_bytes(result) == b"x\n1\n2\n"
    for path in (result, manifest):
        content = path.read_bytes()
        for bit in range(0, 8 * len(content), 7):
            damaged = bytearray(content)
            damaged[bit // 8] ^= 1 << bit % 8
            path.write_bytes(damaged)
            with pytest.raises(UserError):
                read_manifest(manifest, digest=str)
                read_bytes(result)
        path.write_bytes(content)


@pytest.mark.parametrize("change", [(b"\n", b"\r\n"), (b"}\n", b"}"), (b"}\n", b"}\n\n"), (b'"digest"', b'"dig"')])
def test_verify_knows_a_manifest_to_the_byte(tmp_path: Path, change: tuple[bytes, bytes]) -> None:
    for name in ("a.json", "b.json"):
        write_manifest(tmp_path / name, read_clock())
    (tmp_path / "a.json").write_bytes((tmp_path / "a.json").read_bytes().replace(*change))
    (line,) = find_faults(tmp_path)
    assert line.startswith(f"{tmp_path / 'a.json'} ")


def test_the_order_of_a_manifest_s_entries_says_nothing(tmp_path: Path) -> None:
    """A JSON object is an unordered collection (RFC 8259, section 1): another order holds the same facts."""
    path = tmp_path / "a.json"
    write_manifest(path, read_clock(), seed=1, scale="laptop")
    manifest = json.loads(path.read_text())
    path.write_text(render_manifest(dict(reversed(manifest.items()))))
    assert read_manifest(path) == manifest
    assert list(find_faults(tmp_path)) == []


@pytest.mark.parametrize("manifest", ["below/a.json", "below/manifest.json", "below/b.json", "manifest.json"])
def test_a_result_that_a_manifest_stands_for_must_be_there(tmp_path: Path, manifest: str) -> None:
    result = tmp_path / "below" / "a.csv"
    assert not was_written(result)
    write_text(result, "x\n")
    write_manifest(tmp_path / manifest, read_clock(), [result])
    assert was_written(result)
    result.write_text("y\n")
    with pytest.raises(UserError, match=r"a.csv is not what was written"):
        read_bytes(result)
    result.unlink()
    with pytest.raises(UserError, match=r"a.csv is missing, though a manifest stands for it; run `snakemake"):
        was_written(result)
    assert list(find_lost(tmp_path, ["below/*.csv"])) == list(find_lost(tmp_path, ["**/a.csv"])) == [result]
    assert list(find_lost(tmp_path, ["*.csv", "below/*/a.csv"])) == []


def test_runs_without_the_manifest_that_comes_last_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        write_text(tmp_path / name / "a.csv", "x\n")
    (tmp_path / "empty").mkdir()
    write_manifest(tmp_path / "one" / "manifest.json", read_clock())
    for _ in range(2):
        assert find_finished(tmp_path, "*/manifest.json") == [tmp_path / "one" / "manifest.json"]
    said = f"warning: {tmp_path}/two is left out: its run did not end, or manifest.json is lost\n"
    assert capsys.readouterr().err == said  # once


def test_verify_names_what_is_altered_missing_and_extra(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.csv", "b.csv")]
    for file in files:
        write_text(file, "x\n")
    write_manifest(tmp_path / "manifest.json", read_clock(), files)
    assert list(find_faults(tmp_path)) == []
    files[0].write_text("y\n")
    files[1].unlink()
    (tmp_path / "c.csv").touch()
    assert [line.replace(f"{tmp_path}/", "") for line in find_faults(tmp_path)] == [
        *("a.csv is altered", "b.csv is missing", "c.csv is extra: no manifest stands for it"),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="there is no manifest in"):
        list(find_faults(tmp_path / "empty"))


def test_a_second_run_in_a_folder_is_told_who_has_it_and_a_dead_one_has_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from replication.locking import lock; lock(Path(sys.argv[1]));"
        "print('locked', flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root, stdin=pipe, stdout=pipe) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(UserError, match=rf"a run goes on in .* already: process {other.pid} on .*, since 2"):
            lock(tmp_path)
        other.kill()
    lock(tmp_path)
    unlock(tmp_path)


def test_records_come_back_as_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "measured.csv").write_text(GOOD + ROW)
    (found,) = read_records(tmp_path / "measured.csv", Measured)
    assert found.value == 1.5
