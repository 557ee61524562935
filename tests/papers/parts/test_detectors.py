"""Detectors and segmenters are variants because tables print counts of them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from replication import papers
from replication.papers.parts.detectors import METHODS, derive_variants
from replication.records.card import Variant
from replication.records.metrics import METRICS
from replication.records.rows import Published
from replication.records.words import Size

DENSE = {v.id: v for v in papers.list_variants().values() if v.factory.startswith("own/dense.")}
SWIN_T = papers.find_variant("swin_t")


def printed(model: str, metric: str = "macs", image_size: Size | None = None) -> Published:
    return Published(
        *("paper", "table", "row", "column"), model, image_size, "", metric, Decimal(1), "G", "", "source", "yes", ""
    )


def test_a_printed_count_makes_a_variant() -> None:
    (variant,) = derive_variants([SWIN_T], [printed("mask_r_cnn_swin_t", image_size="800x1216")])
    assert variant == Variant(
        id="mask_r_cnn_swin_t",
        label="Mask R-CNN Swin-T",
        family="mask_r_cnn",
        factory="own/dense.mask_r_cnn",
        architecture={"backbone": "swin_t", "num_classes": 80},
        task="detection",
        toolbox="mmdetection",
        image_size="800x1216",
        image_sizes_by=4,
        sized=False,
        sweep=False,
    )


@pytest.mark.parametrize(
    ("number", "sizes"),
    [
        (printed("upernet_swin_t", "params"), [512]),  # no size is printed
        (printed("upernet_swin_t", "miou"), []),  # an accuracy is no count
        (printed("htc_swin_t"), []),  # no such method here
        (printed("swin_t"), []),
    ],
)
def test_only_counts_of_known_methods_do(number: Published, sizes: list[Size]) -> None:
    assert [variant.image_size for variant in derive_variants([SWIN_T], [number])] == sizes


def test_only_models_with_maps_at_four_scales_are_backbones() -> None:
    assert derive_variants([papers.find_variant("deit_s")], [printed("upernet_deit_s")]) == ()


def test_every_dense_model_is_of_the_card_of_its_backbone() -> None:
    for card in papers.read_cards().values():
        own = {variant.id for variant in card.variants}
        backbones = {v.architecture["backbone"] for v in card.variants if v.id in DENSE}
        assert backbones <= own


@pytest.mark.parametrize(
    ("model_id", "sizes"),
    [
        ("retinanet_resnet50", ["600x800", "800x1280"]),  # PVT, Tables 3 and 11; Twins, Table 3
        ("retinanet_pvt_small", ["600x800", "640x960", "800x1280"]),
        ("cascade_mask_r_cnn_msg_t_v1", ["800x1280"]),
        ("upernet_swin_b", [512, "512x2048", "640x2560"]),  # Twins, Table 2; Swin, Table 3
        ("semantic_fpn_twins_svt_l", [512]),
    ],
)
def test_sizes_are_those_that_papers_print(model_id: str, sizes: list[Size]) -> None:
    assert papers.list_printed_sizes(model_id) == sizes


@pytest.mark.parametrize("paper", ["msg", "pvt", "swin", "twins"])
def test_every_count_of_a_dense_model_is_at_a_size_it_takes(paper: str) -> None:
    """So that it is counted and judged."""
    numbers = [n for table in papers.find_card(paper).tables for n in table.published if n.model in DENSE]
    counts = [n for n in numbers if METRICS[n.metric].kind == "count"]
    assert counts
    assert [n for n in counts if n.image_size is None or not DENSE[n.model].allows(n.image_size)] == []


def test_methods_are_named_as_tables_print_them() -> None:
    from replication.papers.parts.transcript import make_slug

    assert {name: make_slug(method.label) for name, method in METHODS.items()} == {name: name for name in METHODS}
