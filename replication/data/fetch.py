"""Fetching a data set: every file whole and with the right digest, or not there; then the manifest."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pooch

from replication.data import scenes
from replication.files import now, sha256, write_manifest
from replication.records import UserError
from replication.registry import File, source

RETRIES = 3
TEMPORARY = "tmp"  # how the names of unfinished files begin, pooch's as well
ARCHIVES = (".tar.gz", ".tgz", ".zip")


def fetch(name: str, root: Path, mirror: str = "", offline: bool = False) -> Path:
    """Bring the data set `name` into `root/name`, unpack its archives, and write manifest.json last; the folder.

    A file that is there with the right digest is neither fetched nor unpacked again. `mirror` is a folder or an address
    that is asked first for `<name>/<file>`; `offline` asks nobody else. A broken download leaves nothing behind, and
    what a killed one left is removed. A data set that is drawn needs no source: it is drawn unless it is there whole.
    UserError: an unknown name, a mirror that is no folder, no source has a file whole, offline and missing, an archive
    that writes elsewhere.
    """
    started, wanted, folder = now(), source(name), root / name
    if not wanted.files and not wanted.drawn:
        raise UserError(f"{name} cannot be downloaded; put it into {folder} ({wanted.homepage})")
    if mirror and "://" not in mirror and not Path(mirror).is_dir():
        raise UserError(f"the mirror {mirror} is no folder")
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    (folder / "manifest.json").unlink(missing_ok=True)
    for file in wanted.files:
        new, target = _bring(file, name, folder, mirror, offline), folder / file.name.split(".")[0]
        if file.name.endswith(ARCHIVES) and (new or not target.exists()):
            _unpack(folder / file.name, target)
    digests = {file.name: sha256(folder / file.name) for file in wanted.files}
    if wanted.drawn:
        digests = scenes.draw(folder, image_size=wanted.drawn)
    write_manifest(folder / "manifest.json", started, data=name, licence=wanted.licence, sha256=digests)
    return folder


def _bring(file: File, name: str, folder: Path, mirror: str, offline: bool) -> bool:
    """Whether the file had to be fetched; it is there afterwards."""
    path = folder / file.name
    if path.exists() and _digest(path, file) == _published(file):
        return False
    local = Path(mirror) / name / file.name
    if mirror and "://" not in mirror and local.exists():
        if _digest(local, file) != _published(file):
            raise UserError(f"{local} is not the published file: its digest differs")
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder) as temporary:
            copy = shutil.copyfile(local, Path(temporary) / file.name)
            Path(copy).replace(path)
        return True
    addresses = [f"{mirror.rstrip('/')}/{name}/{file.name}"] if "://" in mirror else []
    addresses += [] if offline else file.urls
    if not addresses:
        raise UserError(
            f"{path} is missing, and this is offline; with a network run "
            f"`python -m replication fetch --dataset {name} --root {folder.parent}`"
        )
    faults = [fault for address in addresses if (fault := _download(address, file, folder))]
    if len(faults) == len(addresses):
        raise UserError(f"{file.name} of {name} could not be fetched: {'; '.join(faults)}")
    return True


def _download(address: str, file: File, folder: Path) -> str:
    """Fetch one file unless it is there by now; what went wrong, if anything did."""
    if (folder / file.name).exists() and _digest(folder / file.name, file) == _published(file):
        return ""
    try:
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=60, chunk_size=1 << 20)
        one = pooch.create(folder, "", registry={file.name: file.digest}, urls={file.name: address})
        one.retry_if_failed = RETRIES
        one.fetch(file.name, downloader=downloader)
    except (OSError, ValueError) as error:  # connections, and digests that differ
        (folder / file.name).unlink(missing_ok=True)
        return f"{address}: {str(error).splitlines()[0]}"
    return ""


def _published(file: File) -> str:
    return file.digest.rpartition(":")[2]


def _digest(path: Path, file: File) -> str:
    return pooch.file_hash(str(path), alg=file.digest.rpartition(":")[0] or "sha256")


def _check_members(archive: Path, inside: Path, names: Iterable[str]) -> None:
    for name in names:
        if not (inside / name).resolve().is_relative_to(inside.resolve()):
            raise UserError(f"{archive}: the member {name} would be written outside its folder")


def _unpack(archive: Path, target: Path) -> None:
    """Unpack into `target`, whole or not at all. UserError for a link, or a member that would lie outside of it."""
    with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=archive.parent) as temporary:
        inside = Path(temporary) / "unpacked"
        inside.mkdir()
        try:
            if archive.suffix == ".zip":
                with zipfile.ZipFile(archive) as packed:
                    _check_members(archive, inside, packed.namelist())
                    packed.extractall(inside)
            else:
                with tarfile.open(archive) as packed_tar:
                    members = packed_tar.getmembers()
                    _check_members(archive, inside, [member.name for member in members])
                    for member in members:
                        if not (member.isfile() or member.isdir()):
                            raise UserError(f"{archive}: the member {member.name} is a link or no file at all")
                    # Python before 3.11.4 has no filters; 3.12 and 3.13 warn where none is given.
                    given: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                    packed_tar.extractall(inside, **given)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error) as error:
            raise UserError(f"{archive} is no archive or is broken: {error}") from error
        shutil.rmtree(target, ignore_errors=True)
        inside.replace(target)
