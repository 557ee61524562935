"""Files in COCO's format, as labelling tools and random damage leave them: the right value, or one line."""

from __future__ import annotations

import codecs
import copy
import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from replication.data.annotations import FIELDS, read_annotations, read_results, read_truth
from replication.detection.average_precision import evaluate_file
from replication.records.words import UserError

HUGE = 10**400
"""An integer that is no float."""


def truth() -> dict[str, Any]:
    """Two images, one object each, one of which is a crowd."""
    box = {"bbox": [4, 8, 20, 30], "area": 512.5, "iscrowd": 0, "segmentation": []}
    return {
        "info": {"description": "toy", "mean": [0.5], "std": [0.25]},
        "images": [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 60, "license": 1} for n in (5, 9)],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 3, **box},
            {"id": 2, "image_id": 9, "category_id": 0, **box, "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "cat", "supercategory": "animal"}, {"id": 0, "name": "dog"}],
    }


def results() -> list[dict[str, Any]]:
    return [{"image_id": 5, "category_id": 3, "bbox": [4, 8, 20, 30], "score": 0.5, "caption": "a cat"}]


def changed(key: tuple[Any, ...], value: Any, content: Any = None) -> Any:
    """The file with another value, or without the field if that is `KeyError`."""
    content = truth() if content is None else content
    place = content
    for part in key[:-1]:
        place = place[part]
    if value is KeyError:
        del place[key[-1]]
    else:
        place[key[-1]] = value
    return content


@pytest.fixture
def said(tmp_path: Path) -> Callable[..., str]:
    """What the reader says of an annotation file, after its name; all of it one line."""

    def read(content: Any, corrupt: str = "strict") -> str:
        file = tmp_path / "instances_train.json"
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        with pytest.raises(UserError) as error:
            read_annotations(file, corrupt)
        message = str(error.value)
        assert message.startswith(str(file))
        assert len(message.splitlines()) == 1
        return message.removeprefix(str(file)).lstrip(": ")

    return read


def test_entries_keep_their_fields_and_null_is_as_absent(tmp_path: Path) -> None:
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(truth()))
    whole = read_annotations(file)
    for part, found in (("images", whole.images), ("annotations", whole.annotations), ("categories", whole.categories)):
        assert found == [{key: entry[key] for key in FIELDS[part]} for entry in truth()[part]]
    assert (whole.mean, whole.std, whole.left_out) == ((0.5,), (0.25,), 0)
    for nothing in (None, KeyError):
        content = truth()
        for number, key in ((0, "area"), (0, "iscrowd"), (1, "area")):
            changed(("annotations", number, key), nothing, content)
        file.write_text(json.dumps(changed(("info",), nothing, content)))
        bare = read_annotations(file)
        assert [one["area"] for one in bare.annotations] == [600, 600]  # of the box
        assert [one["iscrowd"] for one in bare.annotations] == [0, 1]
        assert (bare.mean, bare.std) == ((), ())
    file.write_text(json.dumps(changed(("annotations", 1, "iscrowd"), True)))
    assert read_annotations(file).annotations == whole.annotations


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
def test_a_byte_order_mark_and_any_line_ends_are_read(mark: bytes, tmp_path: Path) -> None:
    for name, content in (("truth", truth()), ("found", results())):
        text = json.dumps(content, indent=1).replace("\n", "\r\n")
        (tmp_path / f"{name}.json").write_bytes(mark + text.encode())
    assert read_annotations(tmp_path / "truth.json").categories[0]["name"] == "cat"
    assert evaluate_file(tmp_path / "truth.json", tmp_path / "found.json")["ap_box"] == pytest.approx(100)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON: Expecting property name"),
        ("[" * 200_000, "is not in COCO's format: it is nested too deeply"),
        ("9" * 5000, "is not JSON: Exceeds the limit"),
        ("[]", "is not in COCO's format: it has no list 'images'"),
        ("null", "is not in COCO's format: it has no list 'images'"),
        (changed(("categories",), KeyError), "is not in COCO's format: it has no list 'categories'"),
        (changed(("annotations",), {}), "is not in COCO's format: it has no list 'annotations'"),
        (changed(("images",), []), "has no images"),
        (changed(("categories",), []), "has no categories"),
        (changed(("images", 1), 7), "images[1] is 7, not an object with id, file_name, width, height"),
    ],
)
def test_what_is_no_annotation_file_is_said(said: Callable[..., str], content: Any, message: str) -> None:
    assert said(content).startswith(message)


NO_INTEGER: list[Any] = [None, KeyError, True, 1.0, "1", [1], {}, math.nan, 2**70, HUGE]
NO_NUMBER = ["1", [1], {}, True, math.nan, math.inf, HUGE, -1]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        *[((part, 1, "id"), NO_INTEGER) for part in ("images", "annotations", "categories")],
        (("annotations", 1, "image_id"), NO_INTEGER),
        (("annotations", 1, "category_id"), NO_INTEGER),
        (("categories", 1, "id"), [-1, 10**5, 10**9]),  # of which a head would be made
        *[(("images", 1, side), [*NO_INTEGER, 0, -1]) for side in ("width", "height")],
        (
            ("images", 1, "file_name"),
            [None, KeyError, 3, "", "/etc/passwd", "../x.png", "a/../../x.png", "..\\x.png", "a\0.png", "\ud800.png"],
        ),
        (("categories", 1, "name"), [None, KeyError, 3, "\ud800"]),
        (("annotations", 1, "bbox"), [None, KeyError, "1", [], [1, 2, 3], [1, 2, 3, None], [[1, 2, 3, 4]], ["1"] * 4]),
        (("annotations", 1, "bbox"), [[True, 1, 2, 3], {"x": 1}]),
        (("annotations", 1, "area"), NO_NUMBER),
        (("annotations", 1, "iscrowd"), ["0", "", 2, -1, 0.0, [], {}, HUGE]),
    ],
)
def test_a_value_of_another_type_or_range_is_named_with_its_place(
    said: Callable[..., str], key: tuple[Any, ...], values: list[Any]
) -> None:
    for value in values:
        message = said(changed(key, value))
        named = "absent" if value is KeyError else "null" if value is None else ""
        assert message.startswith(f"{key[0]}[{key[1]}].{key[2]} is {named}")
        assert len(message) < 300


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (("images", 1, "id"), 5, "images[1].id is 5, which an earlier one has too"),
        (("annotations", 1, "id"), 1, "annotations[1].id is 1, which an earlier one has too"),
        (("annotations", 0, "image_id"), 6, "annotations[0].image_id is 6, the id of no image"),
        (("annotations", 0, "category_id"), 1, "annotations[0].category_id is 1, the id of no category"),
        (("annotations", 0, "bbox"), KeyError, "annotations[0].bbox is absent, not four numbers [x, y, width, height]"),
        (("info", "mean"), ["0.5"], 'info.mean is ["0.5"], not a list of one or three numbers from 0 up to 1'),
        (("info", "mean"), [HUGE], "info.mean is ["),
        (("info", "mean"), None, "info.mean is null"),
        (("info", "mean"), [0.1, 0.2], "info.mean is [0.1, 0.2]"),
        (("info", "std"), [0], "info.std is [0], not a list of one or three numbers above 0 up to 1"),
        (("info", "std"), [math.nan], "info.std is [NaN]"),
        (("info", "std"), KeyError, "info.std is null"),
        (("info", "std"), [0.1] * 3, "info.mean is of 1 channels and info.std of 3"),
    ],
)
def test_what_contradicts_itself_is_named(
    said: Callable[..., str], key: tuple[Any, ...], value: Any, message: str
) -> None:
    assert said(changed(key, value)).startswith(message)


def test_images_without_a_size_and_boxes_without_an_area_can_be_left_out(
    said: Callable[..., str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in (-1, 0, KeyError, None):
        content = changed(("images", 1, "width"), value)
        assert "`--corrupt skip` (in a configuration, `data.corrupt: skip`)" in said(content)
        (tmp_path / "sizes.json").write_text(json.dumps(content))
        found = read_annotations(tmp_path / "sizes.json", "skip")
        assert (len(found.images), len(found.annotations), found.left_out) == (1, 1, 1)
        assert "1 images without a size are left out" in capsys.readouterr().err
    for box in ([5, 5, 0, 9], [5, 5, -3, 9], [60, 0, 5, 5], [math.nan, 5, 5, 5], [HUGE, 1, 1, 1]):
        content = changed(("annotations", 1, "bbox"), box)
        assert said(content).startswith("annotations[1].bbox is [")
        (tmp_path / "boxes.json").write_text(json.dumps(content))
        assert [one["id"] for one in read_annotations(tmp_path / "boxes.json", "skip").annotations] == [1]
        assert "1 boxes without an area inside their images are left out" in capsys.readouterr().err
    assert said(changed(("images",), [{**one, "width": 0} for one in truth()["images"]]), "skip").startswith(
        "none of 2"
    )


# --- results ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("image_id", NO_INTEGER),
        ("category_id", NO_INTEGER),
        ("bbox", [None, KeyError, [], [1, 2, 3], ["1"] * 4, [math.nan, 1, 1, 1], [HUGE, 1, 1, 1], [9, 9, -4, -4]]),
        ("score", [None, KeyError, "0.5", True, math.nan, math.inf, HUGE, [0.5]]),
    ],
)
def test_a_faulty_result_is_named_with_its_place(tmp_path: Path, key: str, values: list[Any]) -> None:
    file = tmp_path / "found.json"
    for value in values:
        file.write_text(json.dumps(changed((1, key), value, results() + results())))
        with pytest.raises(UserError) as error:
            read_results(file, truth())
        assert str(error.value).startswith(f"{file}: results[1].{key} is ")
        assert len(str(error.value).splitlines()) == 1
    file.write_text(json.dumps([*results(), {**results()[0], "image_id": 6}]))
    with pytest.raises(UserError, match=r"results\[1\]\.image_id is 6, the id of no image"):
        read_results(file, truth())


def test_results_of_no_category_count_for_nothing_and_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "truth.json").write_text(json.dumps(truth()))
    (tmp_path / "found.json").write_text(json.dumps([*results(), {**results()[0], "category_id": 4}]))
    assert evaluate_file(tmp_path / "truth.json", tmp_path / "found.json")["ap_box"] == pytest.approx(100)
    assert "1 of 2 results are of no category, the first of 4; they count for nothing" in capsys.readouterr().err


# --- random damage ----------------------------------------------------------------------------------

VALUES: list[Any] = [
    *(None, True, False, -1, 0, 1, 5, 1.5, math.nan, math.inf, -math.inf, 2**70, -(2**63), HUGE, 10**9, 1e308),
    *("", "1", "x", "\0", "\ud800", "../x.png", "/etc/passwd", [], [1], [1, 2, 3, 4], [[[]]], {}, {"id": 1}),
]


def damaged(content: Any, draw: random.Random) -> Any:
    """A copy with one to three values replaced, removed or doubled, anywhere."""
    content = copy.deepcopy(content)
    for _ in range(draw.randint(1, 3)):
        places: list[tuple[Any, Any]] = []
        stack = [content]
        while stack:
            node = stack.pop()
            keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
            places += [(node, key) for key in keys]
            stack += [node[key] for key in keys]
        if not places:
            break
        node, key = draw.choice(places)
        what = draw.random()
        if what < 0.7:
            node[key] = copy.deepcopy(draw.choice(VALUES))
        elif what < 0.85:
            del node[key]
        elif isinstance(node, list):
            node.append(copy.deepcopy(node[key]))
    return content


def test_random_damage_gives_numbers_or_one_line(tmp_path: Path) -> None:
    draw = random.Random(0)
    said: list[str] = []
    read = 0
    for trial in range(300):
        of_truth = trial % 2
        (tmp_path / "truth.json").write_text(json.dumps(damaged(truth(), draw) if of_truth else truth()))
        (tmp_path / "found.json").write_text(
            json.dumps(results() if of_truth else damaged(results() + results(), draw))
        )
        for reader in (
            lambda: evaluate_file(tmp_path / "truth.json", tmp_path / "found.json"),
            lambda: read_annotations(tmp_path / "truth.json", "skip"),
            lambda: read_truth(tmp_path / "truth.json"),
        ):
            try:
                reader()
                read += 1
            except UserError as error:
                said.append(str(error))
    assert min(read, len(said)) > 100
    assert {len(message.splitlines()) for message in said} == {1}


# --- masks ------------------------------------------------------------------------------------------

POLYGON = [4, 8, 24, 8, 24.5, 38]


@pytest.mark.parametrize(
    "mask",
    [
        [POLYGON],
        [POLYGON, [*POLYGON, 0, 0]],
        {"size": [60, 40], "counts": [2000, 400]},
        {"size": [60, 40], "counts": "a"},
    ],
)
def test_masks_are_polygons_or_run_lengths(tmp_path: Path, mask: Any) -> None:
    """Read where they are asked for, and then by every object."""
    content = truth()
    for annotation in content["annotations"]:
        annotation["segmentation"] = mask
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(content))
    assert [one["segmentation"] for one in read_annotations(file, masks=True).annotations] == [mask, mask]
    assert not any("segmentation" in one for one in read_annotations(file).annotations)


@pytest.mark.parametrize(
    "mask",
    [
        None,
        [],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [POLYGON, 3],
        [[1, 2, 3, 4, 5, "6"]],
        {"counts": [2400]},
        {"size": [60], "counts": [2400]},
        {"size": [60, 40], "counts": [2000, 399]},
        {"size": [60, 40], "counts": [2401, -1]},
        {"size": [60, 40], "counts": None},
    ],
)
def test_what_is_no_mask_is_named(tmp_path: Path, mask: Any) -> None:
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(changed(("annotations", 1, "segmentation"), mask, masked())))
    with pytest.raises(
        UserError, match=r"annotations\[1\]\.segmentation is .*, not a list of polygons, each of three points"
    ):
        read_annotations(file, masks=True)


def test_run_lengths_are_of_the_whole_image(tmp_path: Path) -> None:
    mask = {"size": [40, 60], "counts": [2400]}
    file = tmp_path / "instances.json"
    file.write_text(json.dumps(changed(("annotations", 1, "segmentation"), mask, masked())))
    with pytest.raises(
        UserError, match=r"annotations\[1\]\.segmentation\.size is \[40, 60\], but image 9 has the height"
    ):
        read_annotations(file, masks=True)


def masked() -> dict[str, Any]:
    """The toy with a polygon for each object."""
    content = truth()
    for annotation in content["annotations"]:
        annotation["segmentation"] = [POLYGON]
    return content
