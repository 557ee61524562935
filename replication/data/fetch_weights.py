"""Fetching published weights: every file whole, with its digest where one is published, or not there."""

from __future__ import annotations

import json
import re
import shutil
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from replication.data.fetch import RETRIES, lock_folder, receive
from replication.data_sources import read_mirror
from replication.evaluable import estimate_gigabytes
from replication.records.rows import Weight
from replication.records.store import hash_file, write_text
from replication.records.words import UserError
from replication.released import NOTED, SUFFIXES, check_digest, find_files, read_digests

MOST = 8 * 10**9
"""Bytes that no file of weights has."""
DRIVE = re.compile(r"https://drive\.google\.com/file/d/([\w-]+)")
HUB = re.compile(r"hf-hub:(.+)")


def fetch_weights(records: Iterable[Weight], folder: Path, mirror: str = "", offline: bool = False) -> Iterator[str]:
    """Bring the files of some records into `folder`, and yield a line for each.

    A file that lies there stays. Another is called by its authors' name if an address ends in it, else by the id. A
    `mirror`, a folder or an address, is asked first for `<mirror>/weights/<name>`, then for `<mirror>/<name>`, by
    either name; `offline` asks nobody else. A broken download is resumed. The digest of the file goes into
    digests.json, and is compared with the published one, if there is any.

    Raise `UserError` for a mirror that is none, if no source has a file whole, for another digest, and for too little
    room on the disk.
    """
    near = read_mirror(mirror) if mirror else ""
    if isinstance(near, Path) and not near.is_dir():
        raise UserError(f"the mirror {near} is no folder")
    folder.mkdir(parents=True, exist_ok=True)
    with lock_folder(folder):
        done: set[str] = set()
        for record in records:
            if (there := find_files(folder).get(record.id)) and there.name not in done:
                check_digest(there, record)
                yield f"{record.id} lies there as {there.name}"
            elif not there:
                there = _bring(record, folder, near, offline)
                megabytes = there.stat().st_size / 1e6
                yield f"{record.id} is {there.name}, {megabytes:,.1f} MB, {_check_digest(record)}; {record.terms}"
            done.add(there.name)


def _check_digest(record: Weight) -> str:
    if record.sha256:
        return f"its SHA-256 begins with the published {record.sha256}"
    return f"no digest is published: its own is kept in {NOTED} from now on"


def _bring(record: Weight, folder: Path, near: Path | str, offline: bool) -> Path:
    sources = [*_list_mirrored(record, near), *([] if offline else map(resolve_address, record.urls.split()))]
    if not sources:
        known = "this is offline" if offline else "no address is known" if not record.urls else "it is not there"
        raise UserError(f"{record.id} cannot be fetched: {known}; put the file into {folder} as {record.id}.pth")
    size = estimate_gigabytes(record)
    if size and (room := shutil.disk_usage(folder).free / 1e9) < 1.1 * size:
        raise UserError(f"{folder} has room for {room:.1f} GB, and {record.id} needs {size:.1f} GB")
    faults = []
    for source in sources:
        name = _choose_name(record, str(source))
        part = folder / f".{name}.part"
        fault = _obtain(source, part, record)
        if not fault:
            path = folder / name
            digest = hash_file(part)
            part.replace(path)
            write_text(folder / NOTED, json.dumps(read_digests(folder) | {name: digest}, indent=1) + "\n")
            return path
        faults.append(f"{source}: {fault}")
    raise UserError(f"{record.id} could not be fetched: {'; '.join(faults)}")


def _obtain(source: Path | str, part: Path, record: Weight) -> str:
    """Put the file at `part` and return its fault, or nothing. After a broken connection the part that came stays."""
    fault = ""
    if isinstance(source, Path):
        shutil.copyfile(source, part)
        fault = _find_fault(part, record)
    else:
        for attempt in range(RETRIES + 1):
            time.sleep(attempt)
            try:
                receive(source, part, MOST, resume=True)
            except UserError as error:
                return str(error)
            except (OSError, ValueError) as error:  # connections, and headers that say nonsense
                fault = (str(error) or type(error).__name__).splitlines()[0]
                if " 404 " in f" {fault} ":
                    break
                continue
            if not (fault := _find_fault(part, record)):
                return ""
            part.unlink()
    if fault and isinstance(source, Path):
        part.unlink()
    return fault


def _find_fault(path: Path, record: Weight) -> str:
    """Return what is wrong with a file that came whole, as far as one can tell without loading it."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.lstrip().lower().startswith((b"<!doctype", b"<html")):
        return "a page of HTML came instead of the file; open the address in a browser"
    if record.sha256 and not (found := hash_file(path)).startswith(record.sha256):
        return f"what came is not the published file: its SHA-256 begins with {found[:8]}, not with {record.sha256}"
    if start.startswith(b"PK") and not zipfile.is_zipfile(path):
        return "what came is cut off"
    if not start:
        return "what came is empty"
    return ""


def _list_mirrored(record: Weight, near: Path | str) -> list[Path | str]:
    """List where a mirror may have the file."""
    names = [*record.called.split(), *(f"{record.id}{suffix}" for suffix in SUFFIXES)]
    if isinstance(near, Path):
        places = [folder / name for folder in (near / "weights", near) for name in names]
        return [path for path in places if path.is_file()]
    return [f"{near}/weights/{name}" for name in names[: len(record.called.split()) + 2]] if near else []


def resolve_address(address: str) -> str:
    """Turn the address that is printed into that of the file itself."""
    if drive := DRIVE.match(address):
        return f"https://drive.usercontent.google.com/download?id={drive[1]}&export=download&confirm=t"
    if hub := HUB.match(address):
        return f"https://huggingface.co/{hub[1]}/resolve/main/model.safetensors"
    return address


def _choose_name(record: Weight, source: str) -> str:
    """Name a file from there as its authors call it, else by the id."""
    name = source.rsplit("/", 1)[1]
    if name in record.called.split() and not record.id.endswith("in21k"):
        return name
    suffix = next((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), ".pth")
    return f"{record.id}{suffix}"
