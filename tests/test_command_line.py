"""Faults of the user are one clear line and exit status 2."""

import argparse
import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from replication import __version__
from replication.__main__ import main, make_parser
from replication.commands import list_commands
from replication.records.condition import read_condition
from replication.records.words import LARGEST_SIDE
from replication.schema import fill_defaults, read_bounds, read_schema

ROOT = Path(__file__).resolve().parents[1]
CONDITION = ("device", "precision", "attention", "mode", "batch_size")


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
    assert re.search("is not a whole number from 1 to|is no image size", capsys.readouterr().err)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["published", "--out", ""], "--out: an empty name is no path"),
        (["published", "--out=--"], "--out=--: -- is no value"),
        (["complexity", "merge", "--folders=--", "--out", "x"], "--folders=--: -- is no value"),
        (["collect", "--seeds", "1001"], "--seeds: 1001 is not a whole number from 1 to 1000"),
        (["speed", "--models", "deit_ti", "--threads", "999999999"], "is not a whole number from 1 to 4096"),
        (["speed", "--models", "deit_ti", "--threads", "4096"], "4096 threads are more than the"),
        (["speed", "--models", "deit_ti", "--blocks", "10001"], "10001 is not a whole number from 1 to 10000"),
        (["speed", "--models", "deit_ti", "--block-seconds", "1e9"], "1e9 is not a number from 1e-06 to 3600"),
        (["speed", "--models", "deit_ti", "--batch-size", "9" * 30], "is not a whole number from 1 to 99999"),
        (["speed", "--models", "deit_ti", "--image-sizes", "65537"], "a side is at most 65536 px"),
        (["speed", "--models", "timm/vit_tiny_patch16_224(img_size=65552)"], "in pixels, at most 65536, not 65552"),
        (["speed", "--models", "deit_ti", "--tables", "swin/table1a"], "it goes with --published"),
    ],
)
def test_values_that_are_none_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    status = 2
    with contextlib.suppress(SystemExit):  # of the parser itself
        status = main(arguments)
    assert status == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_the_sides_and_batches_of_a_configuration_are_those_of_all_else() -> None:
    assert read_bounds("complexity.image_sizes")[1] == LARGEST_SIDE
    most = read_bounds("complexity.batch_sizes")[1]
    pattern = read_schema()["properties"]["speed"]["properties"]["conditions"]["items"]["pattern"]
    assert re.search(pattern, f"cpu_fp32_math_infer_b{most}")
    assert not re.search(pattern, f"cpu_fp32_math_infer_b{most + 1}")


def test_every_number_of_the_command_line_has_a_limit() -> None:
    """No option is read by Python's own `int` or `float`, which take any number."""
    waiting, seen = [make_parser()], 0
    while waiting:
        for action in waiting.pop()._actions:
            waiting += action.choices.values() if isinstance(action, argparse._SubParsersAction) else ()
            seen += 1
            assert action.type not in (int, float), action.option_strings
    assert seen > 50


def test_unknown_experiment_and_arm_name_the_nearest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rest = ["--seeds", "0", "--scale", "smoke", "--out", str(tmp_path / "out"), "--checkpoints", str(tmp_path / "side")]
    line = fault(capsys, "training", "--experiment", "vit_resolutoin", "--arm", "pretrain", *rest)
    assert line == "error: unknown experiment 'vit_resolutoin'; did you mean 'vit_resolution'?"
    line = fault(capsys, "training", "--experiment", "vit_resolution", "--arm", "pretrained", *rest)
    assert "did you mean 'pretrain'?" in line


@pytest.mark.parametrize("value", ["[", "!!python/name:os.system", "2024-99-99", "[" * 20_000, "1" * 5_000])
def test_a_value_that_is_no_yaml_is_one_line(capsys: pytest.CaptureFixture[str], value: str) -> None:
    arm = ["training", "--experiment", "vit_resolution", "--arm", "pretrain", "--seeds", "0", "--out", "nowhere"]
    with pytest.raises(SystemExit):
        main([*arm, "--set", f"epochs={value}"])
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert "cannot be read; is a bracket or quote open?" in line


def test_ctrl_c_says_how_to_go_on(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(path: Path, keys: list[str]) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("replication.papers.write_published", stopped)
    assert main(["published"]) == 130
    assert capsys.readouterr().err == "stopped; run the same command again to go on\n"


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
    assert "published.csv, line 1: expected the columns" in fault(capsys, "judge", "--results", str(tmp_path))


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
    text = make_parser().format_help()
    for word in ("published", "complexity", "training", "insight", "collect", "judge", "tables", "figures", "report"):
        assert word in text


@pytest.mark.parametrize("command", ["training", "evaluate", "insight"])
def test_every_command_that_reads_images_can_leave_some_out(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    assert "--corrupt {strict,skip}" in capsys.readouterr().out


def test_names_that_are_no_model_say_what_to_write(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    def said(model: str) -> str:
        return fault(capsys, *count(model, 224, tmp_path))

    assert said("msg") == "error: 'msg' is a paper; name its models: msg_t msg_s msg_b msg_t_v1 msg_s_v1 msg_b_v1"
    assert said("vit_base_patch16_224").endswith("; timm has it: timm/vit_base_patch16_224")
    assert said("deit_small_patch16_224.fb_in1k").endswith("; timm has it: timm/deit_small_patch16_224.fb_in1k")
    assert said("torchvision.models.vit_b_16").endswith("one of your own is written torchvision.models:vit_b_16")
    assert said("DeiT_S") == "error: unknown model 'DeiT_S'; did you mean 'deit_s'?"
    assert said("qqq") == "error: unknown model 'qqq'"  # nothing is near
    assert "deit_s is built as its paper says" in said("deit_s(img_size=384)")


@pytest.mark.parametrize("option", ["--block-seconds", "--largest"])
@pytest.mark.parametrize("value", ["0", "-1", "inf", "nan", "much"])
def test_times_and_costs_are_positive_and_finite(capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["speed", "--models", "deit_ti", f"{option}={value}"])
    assert stop.value.code == 2
    assert f"argument {option}: {value} is not a number from" in capsys.readouterr().err.splitlines()[-1]


def test_both_spellings_of_models_and_sizes_are_taken_and_no_abbreviation(capsys: pytest.CaptureFixture[str]) -> None:
    read = make_parser().parse_args
    for several in ([], ["complexity", "count", "--out", "x"]):
        words = several or ["speed"]
        assert read([*words, "--model", "a", "--image-size", "32"]) == read(
            [*words, "--models", "a", "--image-sizes", "32"]
        )
    rest = ["--checkpoint", "c", "--images", "i", "--out", "o"]
    one = read(["evaluate", "--models", "a", "--image-sizes", "32", *rest])
    assert (one.model, one.image_size) == ("a", 32)
    with pytest.raises(SystemExit):
        read(["speed", "--mod", "deit_ti"])
    assert "unrecognized arguments: --mod" in capsys.readouterr().err


def test_without_results_a_command_says_where_it_is_run(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("collect", "judge", "tables", "figures", "report", "snapshot"):
        assert "there is no folder 'results': run this in the root of a checkout" in fault(capsys, command)
    assert not list(tmp_path.iterdir())


def test_a_count_is_shown_and_says_where_it_is(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--models", "deit_ti", "pvt_tiny", "--image-sizes", "224", "240", "224", "--out", str(tmp_path)]
    assert main(["complexity", "count", *arguments]) == 0
    told = capsys.readouterr()
    assert [line.split()[:5] for line in told.out.splitlines()[1:-1]] == [
        ["deit_ti", "224", "197", "5,717,416", "1,253,683,200"],
        ["deit_ti", "240", "226", "5,722,984", "1,468,429,824"],
        ["pvt_tiny", "224", "3,136", "13,229,288", "1,932,911,616"],
    ]
    assert told.out.splitlines()[-1] == f"written: {tmp_path / 'counts.csv'}, {tmp_path / 'memory.csv'}"
    assert "not counted: pvt_tiny at 240 px: it takes image sizes that are positive multiples of 32 px" in told.err


def examples() -> Iterator[str]:
    """Every whole command that a text of the repository or a help prints."""
    texts = [path.read_text() for path in (ROOT / "README.md", *ROOT.glob("config/*"), *ROOT.glob("*.md"))]
    texts += [
        make_parser().format_help(),
        *(f"  python -m replication {one.example}" for one in list_commands().values()),
    ]
    for text in texts:
        yield from re.findall(r"^ *python -m replication (?:.*\\\n)*.*", text, re.MULTILINE)


@pytest.mark.parametrize("words", list_commands())
def test_the_help_of_every_command_ends_with_an_example_of_it(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([*words.split(), "--help"])
    example = capsys.readouterr().out.split("Example:\n")[1]
    assert example.startswith(f"  python -m replication {words}")


def test_commands_that_are_printed_are_understood() -> None:
    found = list(examples())
    assert len(found) >= len(list_commands())
    for command in found:
        assert make_parser().parse_args(shlex.split(command.replace("\\\n", ""), comments=True)[3:]).run, command


def test_what_the_readme_asks_of_files_is_there_in_a_fresh_clone() -> None:
    asked = re.findall(r"^grep \w+ (\S+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert asked
    assert all((ROOT / name).is_file() for name in asked)


@pytest.mark.parametrize("words", [["list"], ["--help"], ["speed", "--help"]])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "replication", *words]
    done = subprocess.run(command, cwd=ROOT, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_help_is_as_wide_as_a_terminal() -> None:
    environment = {**os.environ, "COLUMNS": "80"}
    for words in ([], ["speed"], ["complexity", "count"]):
        command = [sys.executable, "-m", "replication", *words, "-h"]
        told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
        assert max(map(len, told.splitlines())) <= 80


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out == f"replication {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said", "without"),
    [
        ("list", "pvt_small", ("torch", "timm", "numpy", "pandas")),
        ("--help", "complexity", ("torch", "timm", "numpy", "replication.papers", "replication.complexity")),
        ("show swin/table1a/swin-t-224/flops", "4.5 G", ("torch", "timm")),
        ("verify results/reference", "is what was written", ("torch", "timm", "replication.papers")),
    ],
)
def test_what_needs_no_torch_imports_none(words: str, said: str, without: tuple[str, ...]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "replication", *words.split()]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert said in done.stdout
    assert "argparse" in imported
    assert not imported & set(without)


def schema_defaults(section: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The default of every key of the configuration, by its last name."""
    for key, value in section.items():
        if isinstance(value, dict) and value:
            yield from schema_defaults(value, key)
        else:
            yield key, value


@pytest.mark.parametrize("words", list_commands())
def test_a_default_is_that_of_the_configuration_or_asks_for_nothing(words: str) -> None:
    """The folder of data sets is `--data` where a command has no other, and `--root` where it fetches them."""
    known = dict(schema_defaults(fill_defaults({})))
    known |= {"data": known["root"], "folder": known["results"]}
    known |= {name: getattr(read_condition(known["conditions"][0]), name) for name in CONDITION}
    grammar = argparse.ArgumentParser()
    list_commands()[words].declare(grammar)
    for action in grammar._actions:
        if action.dest in known and not action.required and action.default not in (None, [], ""):
            default = str(action.default) if isinstance(action.default, Path) else action.default
            assert default == known[action.dest], action.dest


def test_home_is_understood_where_no_shell_has_made_it_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["published", "--out=~/published.csv"]) == 0
    assert (tmp_path / "published.csv").exists()
    assert make_parser().parse_args(["published", "--out=~nobody-here/x"]).out == Path("~nobody-here/x")
