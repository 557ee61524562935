"""Fetching a data set: every file whole and with the right digest, or not there; then the manifest."""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pooch

from replication.files import now, sha256, write_manifest
from replication.records import UserError
from replication.registry import File, source

RETRIES = 3
ARCHIVES = (".tar.gz", ".tgz", ".zip")


def fetch(name: str, root: Path, mirror: str = "", offline: bool = False) -> Path:
    """Bring the data set `name` into `root/name`, unpack its archives, and write manifest.json last; the folder.

    A file that is there with the right digest is not fetched again. `mirror` is a folder or an address that is asked
    first for `<name>/<file>`; `offline` asks nobody else. A broken download leaves nothing behind.
    UserError: an unknown name, no source has a file whole, offline and missing, an archive that writes elsewhere.
    """
    started, wanted, folder = now(), source(name), root / name
    if not wanted.files:
        raise UserError(f"{name} cannot be downloaded; put it into {folder} ({wanted.homepage})")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").unlink(missing_ok=True)
    for file in wanted.files:
        _bring(file, name, folder, mirror, offline)
    for file in wanted.files:
        if file.name.endswith(ARCHIVES):
            _unpack(folder / file.name, folder / file.name.split(".")[0])
    digests = {file.name: sha256(folder / file.name) for file in wanted.files}
    write_manifest(folder / "manifest.json", started, data=name, licence=wanted.licence, sha256=digests)
    return folder


def _bring(file: File, name: str, folder: Path, mirror: str, offline: bool) -> None:
    path = folder / file.name
    if path.exists() and _digest(path, file) == _published(file):
        return
    local = Path(mirror) / name / file.name
    if mirror and "://" not in mirror and local.exists():
        if _digest(local, file) != _published(file):
            raise UserError(f"{local} is not the published file: its digest differs")
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            copy = shutil.copyfile(local, Path(temporary) / file.name)
            Path(copy).replace(path)
        return
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


def _download(address: str, file: File, folder: Path) -> str:
    """Fetch one file unless it is there by now; what went wrong, if anything did."""
    if (folder / file.name).exists() and _digest(folder / file.name, file) == _published(file):
        return ""
    try:
        downloader = pooch.HTTPDownloader(progressbar=True, timeout=60)
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


def _unpack(archive: Path, target: Path) -> None:
    """Unpack into `target`, whole or not at all. UserError for a member that would lie outside of it."""
    with tempfile.TemporaryDirectory(dir=archive.parent) as temporary:
        inside = Path(temporary) / "unpacked"
        inside.mkdir()
        try:
            if archive.suffix == ".zip":
                with zipfile.ZipFile(archive) as packed:
                    for member in packed.namelist():
                        if not (inside / member).resolve().is_relative_to(inside.resolve()):
                            raise UserError(f"{archive}: the member {member} would be written outside its folder")
                    packed.extractall(inside)
            else:
                with tarfile.open(archive) as packed_tar:
                    packed_tar.extractall(inside, filter="data")
        except tarfile.FilterError as error:
            raise UserError(f"{archive}: {error}") from error
        except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
            raise UserError(f"{archive} is no archive or is broken: {error}") from error
        shutil.rmtree(target, ignore_errors=True)
        inside.replace(target)
