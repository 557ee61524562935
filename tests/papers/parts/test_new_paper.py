"""`replication new-paper` writes a card that passes the tests as it is, and says in one line why it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from replication import papers
from replication.__main__ import main
from replication.papers.parts.new_paper import STYLES, find_free_style, write_skeleton
from replication.records.words import UserError


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("papers", "models"):
        (tmp_path / "replication" / folder).mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


@pytest.mark.parametrize("key", ["", "Toy", "my-paper", "2toy", "../toy", "class", "a" * 25, "toy_s", "töy"])
def test_a_key_that_is_no_name_is_refused(checkout: Path, key: str) -> None:
    with pytest.raises(UserError, match="is no key of a paper"):
        write_skeleton(key, False, checkout)
    assert not list((checkout / "replication" / "papers").iterdir())


@pytest.mark.parametrize("name", ["papers/toy.py", "papers/toy.md", "models/toy.py", "papers/toy"])
def test_nothing_is_overwritten_and_nothing_half_written(checkout: Path, name: str) -> None:
    there = checkout / "replication" / name
    there.write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        write_skeleton("toy", True, checkout)
    assert [path for path in (checkout / "replication").rglob("*") if path.is_file()] == [there]
    assert there.read_text() == "mine"


def test_ids_of_models_stay_unique(checkout: Path) -> None:
    with pytest.raises(UserError, match="deit_s, which another card has"):
        write_skeleton("deit", False, checkout)


def test_an_installed_suite_says_that_it_is_no_checkout(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no checkout"):
        write_skeleton("toy", False, tmp_path)


def test_the_command_refuses_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new-paper", "vit"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        f"error: {Path(papers.__file__).parent / 'vit.py'} is there already; choose another key, nothing was written"
    ]


def test_the_next_paper_gets_what_no_paper_has() -> None:
    colours, markers = (
        {c.colour for c in papers.read_cards().values()},
        {c.marker for c in papers.read_cards().values()},
    )
    colour, marker = find_free_style()
    assert (colour, marker) in STYLES
    assert colour not in colours
    assert marker not in markers
    assert len({colour for colour, _ in STYLES}) == len({marker for _, marker in STYLES}) == len(STYLES)
