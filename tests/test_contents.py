"""A data set is what its files hold."""

import os
from pathlib import Path

import pytest

from replication import contents
from replication.contents import digest_folder, list_files
from replication.records.store import hash_file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "mine").mkdir()
    for name in "ab":
        (tmp_path / "mine" / name).write_text(name)
    return tmp_path / "mine"


def test_other_contents_of_the_same_size_and_time_are_another_data_set(folder: Path) -> None:
    files = sorted(folder.iterdir())
    before, times = digest_folder(folder, files), files[0].stat()
    (folder / "c").write_text("c")
    (folder / "c").replace(files[0])
    os.utime(files[0], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert digest_folder(folder, files) != before


def test_the_same_contents_at_another_time_are_the_same(folder: Path) -> None:
    files = sorted(folder.iterdir())
    before = digest_folder(folder, files)
    os.utime(files[0], ns=(0, 0))
    assert digest_folder(folder, files) == before


def test_what_is_known_is_not_read_again_and_damage_of_the_memory_does_no_harm(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(folder.iterdir())
    before = digest_folder(folder, files)
    read: list[Path] = []

    def counted(path: Path) -> str:
        read.append(path)
        return hash_file(path)

    monkeypatch.setattr(contents, "hash_file", counted)
    assert digest_folder(folder, files) == before
    assert read == []
    (folder.parent / ".digests" / "mine.json").write_text('{"a": 1')
    assert digest_folder(folder, files) == before
    assert sorted(read) == files


def test_a_file_that_is_gone_is_another_data_set(folder: Path) -> None:
    files = sorted(folder.iterdir())
    before = digest_folder(folder, files)
    files[1].unlink()
    assert digest_folder(folder, files) != before


def test_what_a_link_leads_to_is_part_of_a_data_set(folder: Path) -> None:
    images = folder.parent / "elsewhere"
    images.mkdir()
    (images / "1.png").write_text("x")
    (folder / "train").symlink_to(images)
    (folder / "loop").symlink_to(folder)
    (folder / ".hidden").write_text("h")
    assert [str(file.relative_to(folder)) for file in list_files(folder)] == ["a", "b", "train/1.png"]
    before = digest_folder(folder, list_files(folder))
    (images / "1.png").write_text("y")
    assert digest_folder(folder, list_files(folder)) != before
