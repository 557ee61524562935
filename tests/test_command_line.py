"""Faults of the user are one clear line and exit status 2."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from replication.__main__ import main, parser

ROOT = Path(__file__).resolve().parents[1]


def fault(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line that the command prints when it fails as it should."""
    assert main(arguments) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def count(model: str, size: int, out: Path) -> list[str]:
    return ["complexity", "count", "--models", model, "--image-sizes", str(size), "--out", str(out)]


def test_unknown_model_names_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert (
        fault(capsys, *count("pvt_smal", 224, tmp_path)) == "error: unknown model 'pvt_smal'; did you mean 'pvt_small'?"
    )
    assert not list(tmp_path.iterdir())


def test_image_size_must_fit_the_patch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "multiples of 16" in fault(capsys, *count("vit_b16", 225, tmp_path))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [["--image-sizes", "-224"], ["--image-sizes", "0"], ["--batch-sizes", "0"]])
def test_numbers_must_be_positive(capsys: pytest.CaptureFixture[str], tmp_path: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([*count("vit_b16", 224, tmp_path), *arguments])
    assert stop.value.code == 2
    assert re.search("is not a positive number|is no image size", capsys.readouterr().err)


def test_unknown_experiment_and_arm_name_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rest = ["--seed", "0", "--scale", "smoke", "--out", str(tmp_path / "out"), "--checkpoints", str(tmp_path / "side")]
    line = fault(capsys, "training", "--experiment", "vit_resolutoin", "--arm", "pretrain", *rest)
    assert line == "error: unknown experiment 'vit_resolutoin'; did you mean 'vit_resolution'?"
    line = fault(capsys, "training", "--experiment", "vit_resolution", "--arm", "pretrained", *rest)
    assert "did you mean 'pretrain'?" in line


def test_a_recipe_is_changed_by_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arm = ["training", "--experiment", "vit_resolution", "--arm", "pretrain", "--seeds", "0", "--out", str(tmp_path)]
    assert "did you mean 'epochs'?" in fault(capsys, *arm, "--set", "epoch=3")
    assert "must be a multiple of 50" in fault(capsys, *arm, "--set", "images=7", "epochs=1")
    with pytest.raises(SystemExit):
        main([*arm, "--set", "epochs"])
    assert "'epochs' is not KEY=VALUE" in capsys.readouterr().err


def test_missing_and_unreadable_results_are_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert str(tmp_path) in fault(capsys, "judge", "--results", str(tmp_path))
    (tmp_path / "published.csv").write_text("some,other,file\n")
    assert "published.csv: expected the columns" in fault(capsys, "judge", "--results", str(tmp_path))


def test_output_below_a_file_is_refused_and_the_file_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    assert "file" in fault(capsys, "published", "--out", str(tmp_path / "file" / "published.csv"))
    assert (tmp_path / "file").read_text() == "precious"


def test_stored_predictions_are_evaluated_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    box = {"image_id": 1, "category_id": 3, "bbox": [4, 4, 40, 40]}
    one = {**box, "id": 1, "area": 1600, "iscrowd": 0}
    truth = {"images": [{"id": 1}], "annotations": [one], "categories": [{"id": 3}]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    (tmp_path / "found.json").write_text(json.dumps([{**box, "score": 0.9}]))
    files = ["--ground-truth", str(tmp_path / "truth.json"), "--results"]
    assert main(["average-precision", *files, str(tmp_path / "found.json")]) == 0
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert told["ap_box"] == told["ap_box_medium"] == "100.00"
    assert told["ap_box_small"] == "NA"
    assert "truth.json is no list of COCO's results" in fault(
        capsys, "average-precision", *files, str(tmp_path / "truth.json")
    )


def test_every_command_explains_itself() -> None:
    text = parser().format_help()
    for word in ("published", "complexity", "training", "insight", "collect", "judge", "tables", "figures", "report"):
        assert word in text


@pytest.mark.parametrize("command", ["training", "evaluate", "insight"])
def test_every_command_that_reads_images_can_leave_some_out(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--corrupt {strict,skip}" in capsys.readouterr().out


def test_listing_needs_no_torch() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "replication", "list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pvt_small" in done.stdout
    assert "torch" not in done.stderr


def test_home_is_understood_where_no_shell_has_made_it_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["published", "--out=~/published.csv"]) == 0
    assert (tmp_path / "published.csv").exists()
    assert parser().parse_args(["published", "--out=~nobody-here/x"]).out == Path("~nobody-here/x")
