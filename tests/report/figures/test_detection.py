"""The figures on DETR draw the numbers they are given."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.lines import Line2D

from replication.report.figures.detection import (
    SCENES,
    draw_attention,
    draw_crowds,
    draw_layers,
    draw_slots,
    measure_inside,
)


def xy(line: Line2D) -> list[list[float]]:
    """The points of a line."""
    return np.asarray(line.get_xydata()).tolist()


def line(ax: Axes, label: str) -> list[list[float]]:
    """The points of the line with a label."""
    (found,) = [line for line in ax.lines if line.get_label() == label]
    return xy(found)


def values(drawn: ScalarMappable) -> np.ndarray:
    """What the colours of a picture or of points stand for."""
    return np.asarray(drawn.get_array())


def band(ax: Axes, index: int) -> set[tuple[float, float]]:
    """The corners of a band."""
    return {(float(x), float(y)) for x, y in np.asarray(ax.collections[index].get_paths()[0].vertices)}


def test_layers_are_means_over_seeds_in_bands_from_the_smallest_to_the_largest() -> None:
    rows = [
        (seed, layer, nms, 10.0 * layer + seed + (nms == "yes"), 20.0 * layer + 3 * seed)
        for seed in (0, 2)
        for layer in (2, 1)
        for nms in ("yes", "no")
    ]
    figure = draw_layers(pd.DataFrame(rows, columns=["seed", "layer", "nms", "ap_box", "ap_box_50"]))
    ap, ap_50 = figure.axes
    assert line(ap, "without NMS") == [[1, 11], [2, 21]]
    assert line(ap, "with NMS") == [[1, 12], [2, 22]]
    assert line(ap_50, "with NMS") == [[1, 23], [2, 43]]
    assert band(ap, 0) == {(1, 10), (1, 12), (2, 20), (2, 22)}
    assert band(ap_50, 1) == {(1, 20), (1, 26), (2, 40), (2, 46)}


SLOT_COLUMNS = ["seed", "query", "cx", "cy", "w", "h"]


def test_every_slot_has_the_boxes_of_the_first_seed() -> None:
    rows = [(1, 0, 0.2, 0.3, 0.1, 0.5), (1, 2, 0.4, 0.9, 0.2, 0.4), (1, 2, 0.5, 0.8, 0.5, 0.4), (2, 3, 0.1, 0.1, 1, 1)]
    figure = draw_slots(pd.DataFrame(rows, columns=SLOT_COLUMNS))
    panels = [ax for ax in figure.axes if ax.get_title()]
    assert [ax.get_title() for ax in panels] == ["0: 1", "1: 0", "2: 2", "3: 0"]
    points = panels[2].collections[0]
    assert np.asarray(points.get_offsets()).tolist() == [[0.4, 0.9], [0.5, 0.8]]
    assert values(points) == pytest.approx([8.0, 20.0])  # % of the image
    assert points.get_clim() == pytest.approx((5.0, 20.0))  # of all slots of that seed
    assert panels[2].get_ylim() == (1, 0)  # as in an image, down


def test_one_box_alone_can_be_drawn() -> None:
    figure = draw_slots(pd.DataFrame([(0, 0, 0.2, 0.3, 0.1, 0.5)], columns=SLOT_COLUMNS))
    figure.canvas.draw()
    assert np.asarray(figure.axes[0].collections[0].get_offsets()).tolist() == [[0.2, 0.3]]


def found(scenes: int, objects: int, encoder: bool = True) -> pd.DataFrame:
    """Scenes of 6 x 8 px whose pixels are their number, with `objects` in each, of two seeds."""
    return pd.DataFrame(
        {
            "seed": seed,
            "scene": scene,
            "pixels": np.full((6, 8), 10 * seed + scene, np.uint8),
            "box": np.array([index, 1.0, index + 2, 4.0]),
            "label": index + 5,
            "truth": 5,
            "decoder": np.array([[1.0, 2.0], [3.0, 4.0]]) / 10,
            "point": np.array([index + 1.0, 2.5]),
            "encoder": np.array([[2.0, 0.0], [0.0, 0.0]]) if encoder else None,
        }
        for seed in (4, 3)
        for scene in range(scenes)
        for index in range(objects)
    )


def test_each_object_has_its_box_and_its_two_maps() -> None:
    figure = draw_attention(found(scenes=2, objects=2))
    second = figure.axes[6:]
    assert [ax.get_title() for ax in second] == [
        *("found", "5: decoder", "6 ≠ 5: decoder"),
        *("", "5: encoder", "6 ≠ 5: encoder"),
    ]
    scene, _, decoder, _, _, encoder = second
    assert (values(scene.images[0]) == 31).all()  # the second scene of the first seed
    assert [text.get_text() for text in scene.texts] == ["5", "6 ≠ 5"]
    corners = [[1, 1], [3, 1], [3, 4], [1, 4], [1, 1]]
    assert xy(scene.lines[1]) == xy(decoder.lines[0]) == corners
    assert xy(encoder.lines[0]) == [[2, 2.5]]
    assert values(decoder.images[1]) == pytest.approx(np.array([[0.25, 0.5], [0.75, 1.0]]))
    assert values(encoder.images[1]).tolist() == [[1, 0], [0, 0]]
    assert {tuple(image.get_extent()) for ax in second for image in ax.images} == {(0, 8, 6, 0)}


def test_the_share_of_attention_in_a_box_counts_parts_of_cells() -> None:
    heat, shape = np.array([[1.0, 2.0], [3.0, 4.0]]), (6, 8)
    assert measure_inside(heat, np.array([0, 0, 8, 6]), shape) == pytest.approx((1.0, 1.0))
    assert measure_inside(heat, np.array([4, 0, 8, 3]), shape) == pytest.approx((0.2, 0.25))
    assert measure_inside(heat, np.array([2, 0, 6, 6]), shape) == pytest.approx((0.5, 0.5))


def test_wrong_labels_are_on_white() -> None:
    right, wrong = draw_attention(found(scenes=1, objects=2)).axes[0].texts
    grounds = [text.get_bbox_patch() for text in (right, wrong)]
    assert [ground is not None and ground.get_facecolor()[:3] == (1, 1, 1) for ground in grounds] == [False, True]


def test_no_more_is_drawn_than_can_be_read() -> None:
    figure = draw_attention(found(scenes=SCENES + 1, objects=5))
    assert len(figure.axes) == SCENES * 2 * (1 + 3)
    assert [text.get_text() for text in figure.axes[0].texts] == ["5", "6 ≠ 5", "7 ≠ 5"]


def test_without_an_encoder_there_is_no_map_of_it() -> None:
    figure = draw_attention(found(scenes=1, objects=2, encoder=False))
    assert [ax.get_title() for ax in figure.axes] == ["found", "5: decoder", "6 ≠ 5: decoder"]


CROWD = pd.DataFrame(
    [(0, 2, 2), (0, 2, 1), (0, 4, 1), (1, 2, 2), (1, 2, 2), (1, 4, 2)], columns=["seed", "objects", "found"]
)


def test_crowds_show_the_share_missed_and_the_number_of_queries() -> None:
    (ax,) = draw_crowds(CROWD, pd.DataFrame({"seed": [0, 1], "query": [2, 0]})).axes
    missed, fewest, queries = ax.lines
    assert xy(missed) == [[2, 12.5], [4, 62.5]]
    assert band(ax, 0) == {(2, 0), (2, 25), (4, 50), (4, 75)}
    assert xy(fewest) == [[3, 0], [4, 25]]
    assert [x for x, _ in xy(queries)] == [3, 3]
    assert [text.get_text() for text in ax.texts] == ["3 queries", "fewest\npossible", "missed"]


def test_detectors_that_find_nothing_still_miss_everything() -> None:
    (ax,) = draw_crowds(CROWD.assign(found=0), pd.DataFrame(columns=["seed", "query"])).axes
    (missed,) = ax.lines
    assert xy(missed) == [[2, 100], [4, 100]]


def test_untrained_and_unable_are_told_apart() -> None:
    (untrained,) = draw_slots(pd.DataFrame()).axes[0].texts
    (unable,) = draw_slots(pd.DataFrame(columns=SLOT_COLUMNS)).axes[0].texts
    assert untrained.get_text() == "Nothing to draw: no detector is trained yet"
    assert " ".join(unable.get_text().split()) == "Nothing to draw: the detectors trained so far find too little"
