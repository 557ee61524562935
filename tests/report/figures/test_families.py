"""The figures over all families show every paper's own models, at the size that is printed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

from replication.records.card import Card, Variant
from replication.report.figures.families import choose_styles, select_headline


def test_headline_takes_own_models_of_the_named_table_and_turns_errors_around(results: Path, toy_papers: Card) -> None:
    published = pd.read_csv(results / "published.csv")
    accuracy = published[published["metric"] == "top1"]
    elsewhere = accuracy.assign(table="table2", row="elsewhere")  # not the headline
    error = accuracy[accuracy["model"] == "toy_s"].assign(metric="top1_error", value=18.5, image_size=384)
    native = accuracy[accuracy["model"] == "toy_s"].assign(image_size=224)
    found = select_headline(pd.concat([published, elsewhere, error, native]), {"toy": toy_papers})
    assert [(row.family, row.model, row.image_size, row.top1) for row in found.itertuples()] == [
        ("toy", "toy_s", 224, 79.8),
        ("toy", "toy_s", 384, 81.5),
    ]


def test_a_number_of_no_printed_size_is_left_out_among_enlarged_images(results: Path, toy_papers: Card) -> None:
    published = pd.read_csv(results / "published.csv")
    enlarged = published[(published["metric"] == "top1") & (published["model"] == "toy_s")].assign(
        image_size=384, value=81.5
    )
    found = select_headline(pd.concat([published, enlarged]), {"toy": toy_papers})
    assert [(row.image_size, row.top1) for row in found.itertuples()] == [(384, 81.5)]


def test_colour_and_marker_are_those_of_the_card_and_no_other_paper_changes_them(card: Card) -> None:
    before = {"b": dataclasses.replace(card, colour="#0000ff", marker="<"), "baselines": card}
    unseen = dataclasses.replace(card, headline="", compared=())
    after = {"a": dataclasses.replace(card, colour="#ff00ff"), **before, "unseen": unseen}
    assert choose_styles(after) == {"a": ("#ff00ff", card.marker), **choose_styles(before)}
    assert choose_styles(before)["b"] == ("#0000ff", "<")


def test_networks_of_no_paper_come_last(card: Card) -> None:
    assert list(choose_styles({"baselines": dataclasses.replace(card, headline=""), "toy": card})) == [
        "toy",
        "baselines",
    ]


def test_networks_of_no_paper_are_shown_wherever_they_are_printed(results: Path, toy_papers: Card) -> None:
    published = pd.read_csv(results / "published.csv").replace({"model": {"Other*": "resnet18"}})
    baselines = dataclasses.replace(
        toy_papers, headline="", variants=(Variant("resnet18", "ResNet18", "cnn", "timm/resnet18", {}),)
    )
    found = select_headline(published, {"toy": toy_papers, "baselines": baselines})
    assert list(found["family"]) == ["toy", "baselines"]
