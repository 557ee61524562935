"""What came from elsewhere and means harm: archives, checkpoints, and names that a shell or a terminal would act on."""

from __future__ import annotations

import builtins
import hashlib
import io
import os
import pickle
import struct
import subprocess
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from replication.__main__ import main
from replication.answers import read_answers
from replication.data.fetch import fetch
from replication.models import build, load_checkpoint
from replication.records.words import UserError
from replication.training import checkpoint
from tests.data.test_fetch import publish

# --- archives ---------------------------------------------------------------------------------------


def make_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 3) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size if kind == tarfile.REGTYPE else 0
    return info


TARS: dict[str, list[tarfile.TarInfo]] = {
    "an absolute name": [make_member("/evil")],
    "up and out": [make_member("a/../../evil")],
    "up and out of a sibling": [make_member("../toys-evil/evil")],
    "a hard link": [make_member("link", tarfile.LNKTYPE, "/etc/passwd")],
    "a link to write through": [make_member("link", tarfile.SYMTYPE, "/tmp"), make_member("link/evil")],
    "a link that goes up": [make_member("link", tarfile.SYMTYPE, "../.."), make_member("link/evil")],
    "a pipe": [make_member("pipe", tarfile.FIFOTYPE)],
    "a disk": [make_member("disk", tarfile.BLKTYPE)],
    "a terminal": [make_member("terminal", tarfile.CHRTYPE)],
    "a terabyte": [make_member("a", size=2**40)],
    "a name with a newline": [make_member("a\nerror: evil/../../../evil")],
    "a file as a folder": [make_member("a"), make_member("a/evil")],
    "a name that is too long": [make_member("a" * 5000)],
    "no name": [make_member("")],
    "the folder itself": [make_member(".")],
}


def pack(members: list[tarfile.TarInfo]) -> bytes:
    """A tar of these members; of a terabyte nothing is in it but the promise."""
    with tarfile.open(fileobj=(buffer := io.BytesIO()), mode="w:gz") as archive:
        for member in members:
            if member.size > 3:
                assert archive.fileobj is not None
                archive.fileobj.write(member.tobuf())
            else:
                archive.addfile(member, io.BytesIO(b"abc"))
    return buffer.getvalue()


def pack_zip(name: str, mode: int = 0o644) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(), "w") as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        archive.writestr(info, "abc")
    return buffer.getvalue()


def refuse(content: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `fetch` says of an archive that has the published digest; nothing of it is left, here or elsewhere."""
    publish(monkeypatch, "http://127.0.0.1:9", **{name.replace(".", "_"): content})
    folder = tmp_path / "deep" / "data" / "toy"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    with pytest.raises((UserError, OSError)) as raised:
        fetch("toy", tmp_path / "deep" / "data", offline=True)
    assert [path.name for path in folder.iterdir()] == [name]
    assert not [path for path in tmp_path.rglob("*") if "evil" in path.name]
    return str(raised.value)


@pytest.mark.parametrize("kind", TARS)
def test_a_hostile_tar_is_one_line_and_writes_nothing(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\n" not in refuse(pack(TARS[kind]), "toys.tar.gz", tmp_path, monkeypatch)
    assert not Path("/evil").exists()


@pytest.mark.parametrize("name", ["/evil", "a/../../../evil", "../evil", "a" * 5000])
def test_a_hostile_zip_is_one_line_and_writes_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "\n" not in refuse(pack_zip(name), "toys.zip", tmp_path, monkeypatch)


def test_a_link_in_a_zip_becomes_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = pack_zip("link", 0o120777)
    publish(monkeypatch, "http://127.0.0.1:9", toys_zip=content)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "toys.zip").write_bytes(content)
    assert not (fetch("toy", tmp_path, offline=True) / "toys" / "link").is_symlink()


# --- checkpoints ------------------------------------------------------------------------------------


class Program:
    """What a pickle calls when it is read."""

    def __init__(self, call: Callable[..., Any], *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call, self.arguments


PROGRAMS = (
    (os.system, "touch evil"),
    (subprocess.getoutput, "touch evil"),
    (builtins.eval, "open('evil', 'w')"),
    (builtins.open, "evil", "w"),
    (os.mkdir, "evil"),
    (torch.load, "evil.pth"),
)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program[0].__name__)
@pytest.mark.parametrize("suffix", [".pth", ".pth.tar", ".bin", ".ckpt", ".pt"])
def test_a_checkpoint_runs_no_program(
    program: tuple[Any, ...], suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside weights or in their place, in each of the three formats of PyTorch's files."""
    monkeypatch.chdir(tmp_path)
    model, path = build("vit_ti16", 32, depth=1), tmp_path / f"file{suffix}"
    for held in ({"model": Program(*program)}, {**model.state_dict(), "more": Program(*program)}, Program(*program)):
        for new in (True, False):
            torch.save(held, path, _use_new_zipfile_serialization=new)
            with pytest.raises(UserError, match=r"which is more than data$"):
                load_checkpoint(model, path)
        path.write_bytes(pickle.dumps(held))
        with pytest.raises(UserError, match="is no checkpoint or is broken"):
            load_checkpoint(model, path)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
def test_a_checkpoint_that_fills_the_memory_is_refused(suffix: str, tmp_path: Path) -> None:
    """100 MB of zeros in 100 kB; PyTorch itself would unpack them, and so would numpy."""
    path = tmp_path / f"file{suffix}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy" if suffix == ".npz" else "archive/data.pkl", bytes(10**8))
    with pytest.raises(UserError, match="is no checkpoint or is broken: BadZipFile on reading"):
        load_checkpoint(build("vit_ti16", 32, depth=1), path)


@pytest.mark.parametrize(
    "header", [b"{", b"[" * 1000, b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,9223372036854775807]}}']
)
@pytest.mark.parametrize("length", [None, 0, 2**40, 2**64 - 1])
def test_a_header_that_promises_too_much_is_refused(header: bytes, length: int | None, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(struct.pack("<Q", len(header) if length is None else length) + header)
    with pytest.raises(UserError, match="is no checkpoint or is broken: SafetensorError on reading"):
        load_checkpoint(build("vit_ti16", 32, depth=1), path)


def test_answers_run_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("answers.npz", labels=np.array([Program(os.system, "touch evil")], dtype=object))
    assert read_answers(Path("answers.npz")) is None
    np.save("array.npy", np.zeros(3))
    assert read_answers(Path("array.npy")) is None
    assert not Path("evil").exists()


def test_a_state_of_training_runs_no_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor where somebody made its digest: it is not used, and said."""
    monkeypatch.chdir(tmp_path)
    torch.save({"epoch": Program(os.system, "touch evil")}, buffer := io.BytesIO())
    Path("state.pt").write_bytes(hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    assert checkpoint.load(Path("state.pt")) is None
    said = "warning: the checkpoint state.pt cannot be read (UnpicklingError); training from the start\n"
    assert capsys.readouterr().err == said
    assert not Path("evil").exists()


# --- names ------------------------------------------------------------------------------------------

NAMES = (
    *("$(touch evil)", "`touch evil`", "a; touch evil", "a | touch evil", "a b", "a'b", 'a"b', "a\\b", "*", "-x"),
    *("a\nerror: b", "a\rb", "\x1b[31m", "ü", "{a}", "%s", "~no-such-user/a", "a" * 300),
)
TO_READ = {
    "show msg/table1": "--results",
    "collect": "--results",
    "judge": "--results",
    "tables": "--results",
    "figures": "--results",
    "report": "--results",
    "describe": "--results",
    "snapshot": "--results",
    "keep-study": "--results",
    "publish --out published": "--results",
    "complexity merge --out counts": "--folders",
    "complexity scaling --mechanisms m.csv --out s.csv": "--counts",
    "complexity crossings --out c.csv": "--counts",
    "weights --for deit_s": "--checkpoints",
    "plan": "--configfile",
    "fetch --dataset mnist --offline": "--mirror",
    "average-precision --ground-truth gt.json": "--results",
    "average-precision --results dt.json": "--ground-truth",
    "evaluate --model deit_ti --image-size 224 --images val --out out": "--checkpoint",
    "training --experiment detr_scenes --arm baseline --seeds 0 --scale smoke --out out": "--start-from",
    "inside arm --experiment vit_resolution --arm pretrain --seeds 0 --scale smoke --out out": "--weights",
    "insight --experiment detr_scenes --arm baseline --seeds 0 --scale smoke --out out": "--weights",
    "verify": "",
}
"""Commands, each with the option that names what is not there."""
TO_WRITE = {"published --papers msg": "--out", "describe": "--page"}


def call(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    try:
        status = main(arguments)
    except SystemExit as error:  # of argparse
        status = int(error.code or 0)
    return status, capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("command", TO_READ)
def test_a_name_of_what_is_not_there_is_one_line(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        option = [f"{TO_READ[command]}={name}"] if TO_READ[command] else ["--", name]
        status, said = call([*command.split(), *option], capsys)
        assert len(said.splitlines()) == bool(status), (name, said)
        assert "\x1b" not in said
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("command", TO_WRITE)
def test_a_name_is_written_as_it_is(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in NAMES:
        status, said = call([*command.split(), f"{TO_WRITE[command]}={name}"], capsys)
        assert len(said.splitlines()) == bool(status), (name, said)
        assert os.path.isfile(name) == (status == 0), (name, said)
    assert not list(tmp_path.rglob("evil"))


def test_a_name_that_is_no_text_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Bytes that are no UTF-8, as Python hands them on."""
    status, said = call(["published", "--out", "a\udcff"], capsys)
    assert status == 2
    assert said.splitlines()[-1].endswith("'a\\udcff' is no UTF-8 text; give the folder or file another name")
