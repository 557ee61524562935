"""Figures repeat byte for byte, survive empty results, and can be read in a column of print."""

from __future__ import annotations

import itertools
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from matplotlib import figure as mpl_figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from replication import papers, report
from replication.records.reading import read_records
from replication.records.rows import (
    STATUSES,
    TRAINED,
    VERDICTS,
    AttentionDistance,
    DepthReading,
    DetectorEpoch,
    ReceptiveField,
    Run,
    SimilarPositions,
)
from replication.records.store import write_rows
from replication.report.colours import CATEGORIES, HUES, OUTCOMES
from replication.report.figures import FIGURES, Frames, inside, read_frames, render_figure
from replication.report.figures.canvas import Label, label_ends, make_axes
from replication.report.figures.families import select_headline
from tests.report.timed import relative_table, write_speed

REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference"


def write_insights(results: Path, *seeds: int, runs: tuple[int, ...]) -> None:
    """What `insight` leaves of the detectors with `seeds`, and the test results that `collect` finds of `runs`."""
    for seed in seeds:
        folder = results / "insight" / "detr_scenes" / "baseline" / f"seed{seed}"
        folder.mkdir(parents=True)
        tables = {
            "layers": "layer,nms,ap_box,ap_box_50\n1,no,30,50\n1,yes,31,\n",
            "slots": "query,image_id,category_id,score,cx,cy,w,h\n" + "1,1,7,0.8,0.5,0.5,0.25,0.25\n" * (seed > 0),
            "crowd": f"image_id,objects,found\n1,2,{seed}\n",
        }
        for name, text in tables.items():
            (folder / f"{name}.csv").write_text(text)
        arrays: dict[str, Any] = {f"{name}_0": np.ones((2, 4, 4)) for name in ("decoder", "encoder")}
        arrays |= {"image_0": np.zeros((8, 8), np.uint8), "points_0": [[2.0, 2.0], [6.0, 6.0]]}
        arrays |= {"boxes_0": [[0, 0, 4, 4], [4, 4, 8, 8]], "classes_0": [7, 1], "truths_0": [7, 2]}
        np.savez(folder / "attention.npz", **arrays)
        (folder / "manifest.json").write_text("{}")
    path = results / "training" / "runs.csv"
    path.parent.mkdir(exist_ok=True)
    known = read_records(path, Run) if path.exists() else []
    for seed in runs:
        training = results / "training" / "detr_scenes" / "baseline" / f"seed{seed}"
        epochs = [DetectorEpoch(0, 0, None, None, 9, 0, None), DetectorEpoch(1, 10, 1e-4, 8, 7, 20, 30)]
        write_rows(training / "epochs.csv", epochs, DetectorEpoch)
    found = [Run("detr_scenes", "baseline", seed, "digit_scenes", 64, "ap_box", 20, "%", 1) for seed in runs]
    write_rows(path, [*known, *found], Run)


def write_looks(results: Path) -> None:
    """What looking into the arms that figures are of leaves, and what `collect` finds of it."""
    path, found = results / "training" / "runs.csv", []
    for name in inside.NAMES:
        folder, (experiment, arm) = results / "inside" / name / "seed0", name.split("/")
        metrics = ("shift_change", "size_change", "rollout_in_scenes")
        own = [Run(experiment, arm, 0, "digits", 28, metric, 20, "%", 1) for metric in metrics]
        write_rows(folder / "numbers.csv", own, Run)
        write_rows(folder / "distances.csv", [AttentionDistance("trained", 1, 1, 3, 4)], AttentionDistance)
        write_rows(folder / "depths.csv", [DepthReading("trained", 1, 0.5, 50, 60)], DepthReading)
        write_rows(folder / "fields.csv", [ReceptiveField("trained", 1, 4, 50, 50, 0, 20)], ReceptiveField)
        pairs = [SimilarPositions("trained", *divmod(i, 2), *divmod(j, 2), 0.5) for i in range(4) for j in range(4)]
        write_rows(folder / "positions.csv", pairs, SimilarPositions)
        arrays: dict[str, Any] = {
            "scenes": np.zeros((2, 1, 8, 8), np.uint8),
            "boxes": np.tile([0, 0, 0.5, 0.5], (2, 1)),
        }
        arrays["trained_scenes_rollout"] = np.ones((2, 2, 2))
        np.savez(folder / "pictures.npz", trained_components=np.ones((3, 1, 4, 4)), **arrays)
        (folder / "manifest.json").write_text("{}")
        found += own
    write_rows(path, [*(read_records(path, Run) if path.exists() else []), *found], Run)


def write(results: Path) -> dict[str, bytes]:
    report.write_figures(results)
    return {path.name: path.read_bytes() for path in (results / "figures").iterdir() if path.suffix != ".json"}


@pytest.mark.slow
@pytest.mark.filterwarnings("error:constrained_layout not applied")  # no room is left for the axes
def test_the_same_bytes_every_time(results: Path) -> None:
    write_speed(results)
    report.collect(results, "laptop", seeds=3)
    report.judge(results)
    relative_table("toy", "table9", 3).to_csv(results / "speed" / "relative.csv", index=False)
    write_insights(results, 0, 1, runs=(0, 1))
    for manifest in ("speed/relative.json", "training/runs.json"):  # of what stood there before
        (results / manifest).unlink()
    write_looks(results)
    once = write(results)
    assert sorted(once) == sorted(f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "svg"))
    assert write(results) == once
    # SVG keeps texts; no gate is measured of the toy's trainings, so that they are no test.
    empty = {name for name, data in once.items() if b"Nothing to draw" in data}
    assert empty == {"effects.svg", "small_scale.svg"}


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_said(name: str) -> None:
    frames = Frames(*(pd.DataFrame() for _ in Frames.__dataclass_fields__))
    (text,) = FIGURES[name].draw(frames).axes[0].texts
    assert text.get_text().startswith("Nothing to draw: ")
    assert b"Nothing to draw" in render_figure(FIGURES[name], frames)["svg"]


def test_insights_are_of_the_runs_that_collect_found(tmp_path: Path) -> None:
    write_insights(tmp_path, 0, 1, 2, 3, runs=(0, 1, 2))
    (tmp_path / "insight" / "detr_scenes" / "baseline" / "seed2" / "manifest.json").unlink()  # was interrupted
    frames = read_frames(tmp_path)
    assert list(frames.crowd.itertuples(index=False, name=None)) == [(1, 2, 0, 0), (1, 2, 1, 1)]
    assert frames.layers["ap_box_50"].isna().tolist() == [False, True, False, True]
    assert frames.slots[["query", "seed"]].to_numpy().tolist() == [[1, 1]]
    assert frames.slots["cx"].dtype == float  # the first seed has no row
    assert frames.attention[["seed", "scene", "label"]].to_numpy().tolist() == [
        [0, 0, 7], [0, 0, 1], [1, 0, 7], [1, 0, 1],
    ]  # fmt: skip
    assert frames.attention["point"].iloc[1].tolist() == [6, 6]


def test_an_attention_file_without_scenes_or_encoder(tmp_path: Path) -> None:
    write_insights(tmp_path, 0, runs=(0,))
    path = tmp_path / "insight" / "detr_scenes" / "baseline" / "seed0" / "attention.npz"
    arrays: dict[str, Any] = dict(np.load(path))
    np.savez(path, **{name: array for name, array in arrays.items() if name != "encoder_0"})
    assert read_frames(tmp_path).attention["encoder"].isna().all()
    np.savez(path)
    (text,) = FIGURES["detr_attention"].draw(read_frames(tmp_path)).axes[0].texts
    assert " ".join(text.get_text().split()) == "Nothing to draw: the detectors trained so far find too little"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    """What was published, with insights that were not, and as if all trainings passed their gates."""
    folder = tmp_path_factory.mktemp("published")
    kept = shutil.ignore_patterns("figures", "report", "tables", "manifest.json", "epochs.csv")
    shutil.copytree(REFERENCE, folder, ignore=kept, dirs_exist_ok=True)
    for run in folder.glob("*/speed/*"):
        shutil.move(run, folder / "speed")
    write_insights(folder, 0, 1, runs=())
    write_looks(folder)
    frames = read_frames(folder)
    # Few or none of these trainings are tests, so that each is given an outcome here, and every outcome is drawn.
    trained = frames.claims["source"] == "difference"
    index = frames.claims.index[trained]
    outcomes = pd.Series(list(itertools.islice(itertools.cycle(TRAINED), len(index))), index=index)
    status = outcomes.reindex(frames.claims.index).fillna("needs data")
    return replace(frames, claims=frames.claims.assign(status=status), effects=frames.effects.assign(gated=1))


class Drawn(NamedTuple):
    """A figure as it is rendered, with the texts that show."""

    figure: mpl_figure.Figure
    texts: list[Text]
    svg: str


@pytest.fixture(scope="module")
def drawn(published: Frames) -> dict[str, Drawn]:
    found = {}
    draw_text = Text.draw
    with pytest.MonkeyPatch.context() as patch:
        for name, one in FIGURES.items():
            figures: list[mpl_figure.Figure] = []
            texts: list[Text] = []

            def keep(frames: Frames, one: Any = one, to: Any = figures) -> mpl_figure.Figure:
                to.append(one.draw(frames))
                return to[-1]

            def note(text: Text, *args: Any, to: Any = texts) -> None:
                to.append(text)
                draw_text(text, *args)

            svg = render_figure(replace(one, draw=keep), published)["svg"].decode()
            patch.setattr(Text, "draw", note)
            FigureCanvasAgg(figures[0]).draw()
            patch.setattr(Text, "draw", draw_text)
            shown = [text for text in dict.fromkeys(texts) if text.get_visible() and text.get_text().strip()]
            found[name] = Drawn(figures[0], shown, svg)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_text_legends_and_markers_lie_inside_the_canvas(name: str, drawn: dict[str, Drawn]) -> None:
    figure, texts, _ = drawn[name]
    assert texts
    for part in [*texts, *figure.legends]:
        box = part.get_window_extent()
        said = part.get_text() if isinstance(part, Text) else "legend"
        assert -0.5 <= box.x0 < box.x1 <= figure.bbox.x1 + 0.5, said
        assert -0.5 <= box.y0 < box.y1 <= figure.bbox.y1 + 0.5, said


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_it_is_read_in_a_column_of_8_5_cm(name: str, drawn: dict[str, Drawn]) -> None:
    figure, texts, _ = drawn[name]
    scale = 8.5 / 2.54 / figure.get_figwidth()
    small = {text.get_text(): text.get_fontsize() for text in texts if scale * float(text.get_fontsize()) < 6}
    assert small == {}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_curves_and_words_have_contrast(name: str, drawn: dict[str, Drawn]) -> None:
    figure, texts, _ = drawn[name]
    on_white = [ax for ax in figure.axes if not ax.images]
    curves = [line.get_color() for ax in on_white for line in ax.lines]
    assert min(map(measure_contrast, curves), default=21) >= 3
    inside = [text for ax in figure.axes for text in ax.texts]  # may stand on a bar
    assert min(measure_contrast(text.get_color()) for text in texts if text not in inside) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_its_title_states_a_finding_and_its_text_is_text(name: str, drawn: dict[str, Drawn]) -> None:
    svg = drawn[name].svg
    assert len(drawn[name].figure.get_suptitle().splitlines()) <= 4
    (title,) = re.findall("<title>(.*?)</title>", svg)
    assert re.search(r"\d", title)
    assert title != FIGURES[name].title
    words = " ".join(re.findall("<text[^>]*>(.*?)</text>", svg))
    assert all(word in words for word in title.split())


def measure_contrast(colour: Any) -> float:
    """Contrast against white, as WCAG 2 defines it."""
    values = np.asarray(to_rgb(colour))
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05))


def test_the_colours_of_outcomes_and_curves_have_contrast() -> None:
    assert min(measure_contrast(hue.light) for hue in HUES.values()) >= 4.5
    assert min(map(measure_contrast, CATEGORIES)) >= 3
    assert min(measure_contrast(card.colour) for card in papers.read_cards().values()) >= 3
    assert set(OUTCOMES) <= {*VERDICTS, *STATUSES}


def test_labels_keep_apart_and_in_order() -> None:
    figure, ax = make_axes(2.0)
    ax.set(ylim=(0, 1))
    label_ends(figure, ax, [Label(y, f"at {y}", "black") for y in (0.5, 0.51, 0.52, 1.0, 0.99, 0.0)])
    places = [text.get_position()[1] for text in ax.texts]
    assert [text.get_text() for text in ax.texts] == [f"at {y}" for y in (0.0, 0.5, 0.51, 0.52, 0.99, 1.0)]
    room = 1.3 * 6 / (0.7 * 2.0 * 72)
    assert min(np.diff(places)) == pytest.approx(room)
    assert 0 <= places[0] < places[-1] <= 1


def test_the_paper_s_numbers_lie_on_its_figure(published: Frames) -> None:
    figure = FIGURES["pvt_figure6"].draw(published)
    rings = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "none"]
    found = {tuple(point) for line in rings for point in np.asarray(line.get_xydata()).tolist()}
    assert found == {(224.0, 3.8), (224.0, 4.1), (224.0, 9.9)}  # Table 2: PVT-Small, ResNet50, ViT-Small/16
    assert "the paper orders ViT-Small/16 > ViT-Small/32 > PVT-Small > ResNet50" in " ".join(
        figure.get_suptitle().split()
    )
    assert figure.axes[0].get_xlim()[1] > 1280  # the last size of the paper's figure


def test_accuracies_are_drawn_at_sizes_that_are_printed(published: Frames) -> None:
    cards = papers.read_cards()
    shown = select_headline(published.published, cards)
    numbers = published.published[published.published["metric"].isin(["top1", "top1_error"])]
    sizes = numbers.groupby("model")["image_size"].apply(lambda of: set(of.dropna().astype(int)))
    for model, size in shown[["model", "image_size"]].itertuples(index=False):
        assert size == 224 or size in sizes[model], model
    assert "vit_h14" not in set(shown["model"])
