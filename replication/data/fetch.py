"""Fetching a data set: every file whole and with the right digest, or not there; then the manifest."""

from __future__ import annotations

import fcntl
import queue
import shutil
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pooch

from replication.data import scenes
from replication.data_sources import MARGIN, File, Source, find_source, read_mirror
from replication.records.store import UNFINISHED, hash_file, move_into, read_clock, write_manifest
from replication.records.words import UserError

RETRIES = 3
PATIENCE = 60.0  # seconds, after which a download must have come at
SLOWEST = 10_000  # bytes a second
ARCHIVES = (".tar.gz", ".tgz", ".zip")
UNPACKED = 10  # times its own size is the most that an archive may unpack to, and a margin


def fetch(name: str, root: Path, mirror: str = "", offline: bool = False) -> Path:
    """Bring the data set `name` into `root/name`, unpack its archives, write manifest.json last; return the folder.

    Files that are there as published are left alone; a file that is missing or damaged is fetched again, and one that
    was unpacked is unpacked again; whatever else lies there stays. `mirror` is a folder or an address that is asked
    first for `<name>/<file>`; `offline` asks nobody else. A broken download leaves nothing behind, and the rest of a
    killed one is removed. One process at a time fetches a data set. A data set that is drawn needs no source: it is
    drawn unless it is there whole.

    Raise `UserError` for an unknown name, for a mirror that is none, if no source has a file whole (or only more bytes
    than the data set has, or too slowly), if a file is missing `offline`, and for an archive that is broken, is too
    large or writes elsewhere.
    """
    started, wanted, folder = read_clock(), find_source(name), root / name
    if not wanted.files and not wanted.drawn:
        official = "; its official files are unpacked by --from FOLDER" if name == "imagenet_1k" else ""
        raise UserError(f"{name} cannot be downloaded; put it into {folder} ({wanted.homepage}){official}")
    near = read_mirror(mirror) if mirror else ""
    if isinstance(near, Path) and not near.is_dir():
        raise UserError(f"the mirror {near} is no folder")
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder) as temporary:
        (folder / "manifest.json").unlink(missing_ok=True)
        for file in wanted.files:
            _bring(file, wanted, folder, near, offline, temporary)
            if file.name.endswith(ARCHIVES):
                _unpack(folder / file.name, folder / file.name.split(".")[0], temporary)
        digests = {file.name: hash_file(folder / file.name) for file in wanted.files}
        if wanted.drawn:
            digests = scenes.draw(folder, image_size=wanted.drawn)
        write_manifest(folder / "manifest.json", started, data=name, licence=wanted.licence, sha256=digests)
    return folder


@contextmanager
def lock_folder(folder: Path) -> Iterator[Path]:
    """Make a temporary folder in `folder`, into which nobody else fetches meanwhile.

    The lock ends with the process.
    """
    with (folder.parent / f".{folder.name}.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"another process fetches into {folder}; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(f"{UNFINISHED}*"):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
        with tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=folder) as temporary:
            yield Path(temporary)


# --- downloading ------------------------------------------------------------------------------------


def _bring(file: File, wanted: Source, folder: Path, mirror: Path | str, offline: bool, temporary: Path) -> None:
    """Leave `file` in `folder` with its digest: as it is there, from the mirror, or from where it is published."""
    path, new = folder / file.name, temporary / file.name
    if path.exists() and _is_published(path, file):
        return
    if isinstance(mirror, Path) and (local := mirror / folder.name / file.name).exists():
        with local.open("rb") as original, new.open("wb") as copy:
            shutil.copyfileobj(original, _Limited(copy, wanted.most))
        if not _is_published(new, file):
            raise UserError(f"{local} is not the published file: its digest differs")
        new.replace(path)
        return
    addresses = [f"{mirror}/{folder.name}/{file.name}"] if mirror and isinstance(mirror, str) else []
    addresses += [] if offline else file.urls
    if not addresses:
        raise UserError(
            f"{path} is missing, and this is offline; with a network run "
            f"`python -m replication fetch --dataset {folder.name} --root {folder.parent}`"
        )
    faults = []
    for address in addresses:
        fault = _download(address, file, new, wanted.most)
        if not fault:
            new.replace(path)
            return
        faults.append(f"{address}: {fault}")
    raise UserError(f"{file.name} of {folder.name} could not be fetched: {'; '.join(faults)}")


def _download(address: str, file: File, path: Path, most: int) -> str:
    """Fetch one file, again after faults that may pass; return what went wrong, or nothing."""
    fault = ""
    for attempt in range(RETRIES + 1):
        time.sleep(attempt)
        try:
            receive(address, path, most)
        except UserError as error:
            return str(error)
        except (OSError, ValueError) as error:  # connections, and headers that say nonsense
            fault = (str(error) or type(error).__name__).splitlines()[0]
            continue
        if _is_published(path, file):
            return ""
        fault = "what came is not the published file: its digest differs"
    return fault


class _Limited:
    """A file to write to, up to `most` bytes; it raises `UserError` for more."""

    def __init__(self, file: IO[bytes], most: int, received: int = 0) -> None:
        self.file, self.most, self.received = file, most, received

    def write(self, part: bytes) -> None:
        self.received += len(part)
        if self.received > self.most:
            raise UserError(f"more came than {self.most / 1e6:,.0f} MB, which is more than the data set has")
        self.file.write(part)

    def flush(self) -> None:
        self.file.flush()


def receive(address: str, path: Path, most: int, resume: bool = False) -> None:
    """Download into `path`; raise `UserError` for more than `most` bytes, a page of HTML, and too slow a server.

    To `resume`, the part that is there is kept and the rest is asked for; a server that has only wholes sends all anew.
    Another thread reads, for a server can keep it waiting anywhere; left alone, it ends at the closed file.
    """
    ended: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
    started = time.monotonic()
    there = path.stat().st_size if resume and path.exists() else 0
    with path.open("ab" if there else "wb") as file:
        body = _Limited(file, most, there)

        def begin(response: Any, **_: object) -> None:
            if response.headers.get("Content-Type", "").startswith("text/html") and not response.is_redirect:
                raise UserError("a page of HTML came instead of the file; open the address in a browser")
            if there and response.status_code != 206:
                file.truncate(0)

        def read() -> None:
            try:
                headers = {"Range": f"bytes={there}-"} if there else {}
                load = pooch.HTTPDownloader(
                    progressbar=True, timeout=60, chunk_size=1 << 16, headers=headers, hooks={"response": begin}
                )
                load(address, body, None)
            except Exception as error:
                ended.put(error)  # raised below
            else:
                ended.put(None)

        threading.Thread(target=read, daemon=True).start()
        while True:
            try:
                fault = ended.get(timeout=0.5)
                break
            except queue.Empty:
                if time.monotonic() - started > PATIENCE + (body.received - there) / SLOWEST:
                    raise UserError(f"it came at less than {SLOWEST / 1000:g} kB a second") from None
    if fault:
        raise fault


def _is_published(path: Path, file: File) -> bool:
    algorithm, _, digest = file.digest.rpartition(":")
    return pooch.file_hash(str(path), alg=algorithm or "sha256") == digest


# --- unpacking --------------------------------------------------------------------------------------


def _unpack(archive: Path, target: Path, temporary: Path) -> None:
    """Put the files of an archive below `target`: none of them if one is at fault, and only those that differ.

    Raise `UserError` if it is broken, unpacks to too much, or has a link or a member that would lie elsewhere.
    """
    inside = Path(tempfile.mkdtemp(dir=temporary))
    room = UNPACKED * archive.stat().st_size + MARGIN
    try:
        for name, size, content in _read_members(archive):
            if not (inside / name).resolve().is_relative_to(inside.resolve()):
                raise UserError(f"{archive}: the member {name} would be written outside its folder")
            room -= size
            if room < 0:
                raise UserError(
                    f"{archive} unpacks to more than {UNPACKED} times its size; it is not what it should be"
                )
            if not _is_same(target / name, size, content):
                content.seek(0)
                (inside / name).parent.mkdir(parents=True, exist_ok=True)
                with (inside / name).open("wb") as file:
                    shutil.copyfileobj(content, file)
    except UserError:
        raise
    except Exception as error:  # a broken archive makes the readers raise any kind
        if isinstance(error, OSError) and error.errno:  # but this is the disk's
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise UserError(f"{archive} is no archive or is broken: {reason}") from error
    if target.exists():
        move_into(inside, target)
    else:
        inside.replace(target)


def _read_members(archive: Path) -> Iterator[tuple[str, int, IO[bytes]]]:
    """Yield name, size and content of every file in an archive. Raise `UserError` for a link or a device."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as packed:
            for info in packed.infolist():
                if not info.is_dir():
                    with packed.open(info) as content:
                        yield info.filename, info.file_size, content
        return
    with tarfile.open(archive) as packed_tar:
        for member in packed_tar:
            if member.isdir():
                continue
            file = packed_tar.extractfile(member) if member.isfile() else None
            if file is None:
                raise UserError(f"{archive}: the member {member.name} is a link or no file at all")
            yield member.name, member.size, file


def _is_same(path: Path, size: int, content: IO[bytes]) -> bool:
    """Tell whether a file is there with this content."""
    if not path.is_file() or path.stat().st_size != size:
        return False
    with path.open("rb") as file:
        while part := content.read(1 << 20):
            if file.read(len(part)) != part:
                return False
    return True
