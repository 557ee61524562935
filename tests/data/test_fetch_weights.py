"""Fetching published weights, from folders and from a server of the test's own: right, wrong, cut, a page, a stall."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replication.data import fetch, fetch_weights
from replication.papers.parts.weights import read_weights
from replication.records.rows import Weight
from replication.records.words import UserError
from replication.released import NOTED, check_digest, find_files


@pytest.fixture
def released(tmp_path: Path) -> Path:
    """A folder with one file of weights, an archive as PyTorch's and NumPy's are."""
    folder = tmp_path / "release"
    folder.mkdir()
    np.savez(folder / "pvt_tiny.npz", weight=np.arange(30_000.0))
    (folder / "pvt_tiny.npz").rename(folder / "pvt_tiny.pth")
    return folder


def record(name: str = "pvt_tiny_224", **changes: Any) -> Weight:
    return dataclasses.replace(read_weights()[name], **changes)


def bring(one: Weight, folder: Path, mirror: Path | str = "", offline: bool = False) -> list[str]:
    return list(fetch_weights.fetch_weights([one], folder, str(mirror), offline))


def test_a_file_comes_whole_and_its_digest_is_kept(released: Path, tmp_path: Path) -> None:
    folder = tmp_path / "weights"
    (line,) = bring(record(), folder, f"file://{released}", offline=True)
    assert line == (
        "pvt_tiny_224 is pvt_tiny.pth, 0.2 MB, no digest is published: its own is kept in digests.json from now on; "
        "Apache-2.0 (recalled)"
    )
    digest = hashlib.sha256((released / "pvt_tiny.pth").read_bytes()).hexdigest()
    assert json.loads((folder / NOTED).read_text()) == {"pvt_tiny.pth": digest}
    assert find_files(folder)["pvt_tiny_224"] == folder / "pvt_tiny.pth"
    assert bring(record(), folder, offline=True) == ["pvt_tiny_224 lies there as pvt_tiny.pth"]
    with (folder / "pvt_tiny.pth").open("ab") as file:
        file.write(b"x")
    with pytest.raises(UserError, match=f"begins with .*, not with {digest[:8]}"):
        check_digest(folder / "pvt_tiny.pth", record())
    with pytest.raises(UserError, match="is not the file of its authors"):
        bring(record(), folder, offline=True)


def test_a_published_digest_is_held(released: Path, tmp_path: Path) -> None:
    digest = hashlib.sha256((released / "pvt_tiny.pth").read_bytes()).hexdigest()
    (line,) = bring(record(sha256=digest[:8]), tmp_path / "right", released, offline=True)
    assert f"its SHA-256 begins with the published {digest[:8]}" in line
    with pytest.raises(UserError, match=f"its SHA-256 begins with {digest[:8]}, not with 12345678"):
        bring(record(sha256="12345678"), tmp_path / "wrong", released, offline=True)
    assert [path.name for path in (tmp_path / "wrong").iterdir()] == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<!DOCTYPE html><html>Virus scan warning</html>", "a page of HTML came instead of the file"),
        (b"", "what came is empty"),
        (None, "what came is cut off"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(
    released: Path, tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = released / "pvt_tiny.pth"
    path.write_bytes(path.read_bytes()[:100_000] if content is None else content)
    with pytest.raises(UserError, match=message):
        bring(record(), tmp_path / "weights", released, offline=True)
    assert list((tmp_path / "weights").iterdir()) == []


def test_offline_without_a_file_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"this is offline; put the file into .* as pvt_tiny_224\.pth"):
        bring(record(), tmp_path, offline=True)
    with pytest.raises(UserError, match="is no folder"):
        bring(record(), tmp_path, tmp_path / "nowhere")


def test_a_full_disk_is_one_line(released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"has room for 0\.0 GB, and pvt_tiny_224 needs 0\.1 GB"):
        bring(record(), tmp_path / "weights", released, offline=True)


class Release(BaseHTTPRequestHandler):
    """Serves one file: whole or from where it is asked for; cut off at first; a redirect to a page; or nothing more."""

    content = b""
    manner = "whole"
    asked: list[str]

    def do_GET(self) -> None:
        """As the manner says."""
        self.asked.append(self.headers.get("Range", ""))
        if self.path == "/page":
            self.reply(200, b"<html>Google Drive - Virus scan warning</html>", "text/html; charset=utf-8")
        elif self.manner == "page":
            self.send_response(302)
            self.send_header("Location", "/page")
            self.end_headers()
        elif self.manner == "stall":
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content)))
            self.end_headers()
            self.wfile.write(self.content[:1000])
            self.wfile.flush()
            threading.Event().wait(20)
        elif start := re.match(r"bytes=(\d+)-", self.headers.get("Range", "")):
            self.reply(206, self.content[int(start[1]) :])
        elif self.manner == "cut" and len(self.asked) == 1:
            self.send_response(200)
            self.send_header("Content-Length", str(len(self.content)))
            self.end_headers()
            self.wfile.write(self.content[:150_000])
        else:
            self.reply(200, self.content)

    def reply(self, status: int, content: bytes, kind: str = "application/octet-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def server(released: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(Release, "content", (released / "pvt_tiny.pth").read_bytes())
    monkeypatch.setattr(Release, "asked", [], raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), Release) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}/pvt_tiny.pth"
        running.shutdown()


def test_a_broken_download_goes_on_where_it_was(
    server: str, released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Release, "manner", "cut")
    bring(record(urls=server), tmp_path / "weights")
    assert (tmp_path / "weights" / "pvt_tiny.pth").read_bytes() == (released / "pvt_tiny.pth").read_bytes()
    assert Release.asked == ["", f"bytes={2 << 16}-"]  # whole chunks of what came


def test_a_killed_download_goes_on_where_it_was(server: str, released: Path, tmp_path: Path) -> None:
    folder, content = tmp_path / "weights", (released / "pvt_tiny.pth").read_bytes()
    folder.mkdir()
    (folder / ".pvt_tiny.pth.part").write_bytes(content[:70_000])
    bring(record(urls=server), folder)
    assert (folder / "pvt_tiny.pth").read_bytes() == content
    assert Release.asked == ["bytes=70000-"]


def test_a_redirect_to_a_page_is_refused(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Release, "manner", "page")
    with pytest.raises(UserError, match="a page of HTML came instead of the file; open the address in a browser"):
        bring(record(urls=server), tmp_path / "weights")
    assert not (tmp_path / "weights" / "pvt_tiny.pth").exists()


def test_a_network_that_stalls_is_left(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Release, "manner", "stall")
    monkeypatch.setattr(fetch, "PATIENCE", 0.5)
    with pytest.raises(UserError, match="it came at less than 10 kB a second"):
        bring(record(urls=server), tmp_path / "weights")


@pytest.mark.parametrize(
    ("address", "file"),
    [
        (
            "https://drive.google.com/file/d/17xZXOWEcSGs0quBmMEkBYCxjPRYH-L45",
            "https://drive.usercontent.google.com/download?id=17xZXOWEcSGs0quBmMEkBYCxjPRYH-L45&export=download&confirm=t",
        ),
        ("hf-hub:timm/regnety_040.pycls_in1k", "https://huggingface.co/timm/regnety_040.pycls_in1k/resolve/main/model.safetensors"),
        ("https://example.org/a.pth", "https://example.org/a.pth"),
    ],
)  # fmt: skip
def test_where_a_file_itself_is(address: str, file: str) -> None:
    assert fetch_weights.resolve_address(address) == file
