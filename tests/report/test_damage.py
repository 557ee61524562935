"""A damaged result is one line that names it, or is made again as it was: it never changes what follows in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from replication.__main__ import main

READ = {
    "judge": ("published.csv", "measured.csv", "measured.json", "training/runs.csv", "training/runs.json"),
    "tables": ("verdicts.csv", "verdicts.json", "claims.csv", "claims.json"),
}
"""What these commands read that has a manifest, or is one."""


def flipped(content: bytes, random: Random) -> bytes:
    place = random.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << random.randrange(8)]) + content[place + 1 :]


def repeated(content: bytes, random: Random) -> bytes:
    lines = content.splitlines(keepends=True)
    place = random.randrange(len(lines))
    return b"".join([*lines[: place + 1], *lines[place:]])


DAMAGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    flipped,
    flipped,
    repeated,
    lambda content, random: content[: random.randrange(len(content))],
    lambda content, random: b"",
    lambda content, random: b"\xef\xbb\xbf" + content,
    lambda content, random: content.replace(b"\n", b"\r\n"),
    lambda content, random: content + b"\0",
    lambda content, random: content.replace(b"1", b"nan", 1),
    lambda content, random: content.replace(b"2", b"3", 1),
    lambda content, random: b"[" * 100_000,
    lambda content, random: b'{"seed": []}',
)


@pytest.mark.slow
def test_damage_is_one_line_or_changes_nothing(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*arguments: str) -> int:
        return main([*arguments, "--results", str(results)])

    assert run("collect", "--seeds", "3") == run("judge") == run("tables") == 0
    assert main(["published", "--out", str(results / "published.csv")]) == 0
    good = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    random, refused = Random(0), 0
    for _ in range(150):
        command = random.choice(list(READ))
        path = results / random.choice(READ[command])
        content = random.choice(DAMAGES)(good[path], random)
        if content == good[path]:
            continue
        path.write_bytes(content)
        capsys.readouterr()
        status, said = run(command), capsys.readouterr().err
        if status:
            refused += 1
            assert (status, said.count("\n")) == (2, 1), said
            assert path.name in said or path.with_suffix(".json").name in said
        else:
            after = {other: other.read_bytes() for other in good if other != path and other.suffix != ".json"}
            assert after == {other: good[other] for other in after}, (path, content[:80])
        for other, was in good.items():
            other.write_bytes(was)
    assert refused > 100
