"""Every card is tested by existing: the tests run over `cards()`."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from replication import papers
from replication.papers import make_ratio, read_cards
from replication.records.card import Card, Claim, Lookup, MissingError, Table, Variant
from replication.records.metrics import METRICS, UNIT_SCALE
from replication.records.reading import read_records
from replication.records.rows import Published
from replication.records.words import Size, UserError

every_card = pytest.mark.parametrize("card", read_cards().values(), ids=read_cards().keys())
every_variant = pytest.mark.parametrize("variant", papers.list_variants().values(), ids=papers.list_variants().keys())
CLAIMS_ON_TABLES = [(card, c) for card in read_cards().values() for c in card.claims if c.estimate and c.table]
SPEEDUPS = [(card, c) for card in read_cards().values() for c in card.claims if c.speedup and c.table]


def numbers(card: Card) -> list[Published]:
    return [number for table in card.tables for number in table.published]


def printed_in(table: Table) -> Lookup:
    """Finds the numbers that a table prints, in base units."""

    def find(model: str, metric: str, image_size: Size | None = None, dataset: str = "") -> float:
        sizes = {image_size} if image_size else {papers.find_variant(model).image_size, None}
        for number in table.published:
            if (number.model, number.metric, number.dataset) == (model, metric, dataset) and number.image_size in sizes:
                return float(number.value) * UNIT_SCALE.get(number.unit, 1.0)
        raise MissingError(f"{table.id} does not print {metric} of {model} at {image_size or 'its native size'}")

    return find


# --- the tables -------------------------------------------------------------------------------------


@every_card
def test_key_is_the_module_name(card: Card) -> None:
    assert read_cards()[card.key] == card


@every_card
def test_every_number_has_a_key_of_its_own(card: Card) -> None:
    assert [key for key, n in Counter(table.id for table in card.tables).items() if n > 1] == []
    keys = Counter((number.table, number.row, number.column) for number in numbers(card))
    assert [key for key, n in keys.items() if n > 1] == []


@every_card
def test_every_table_says_where_it_is_printed(card: Card) -> None:
    assert [table.id for table in card.tables if not (table.title and table.source and table.published)] == []


@every_card
def test_every_number_names_its_model(card: Card) -> None:
    """The sizes of data sets are the only numbers that are about no model."""
    assert {METRICS[number.metric].kind for number in numbers(card) if not number.model} <= {"setting"}


@every_card
def test_every_accuracy_names_its_data_set(card: Card) -> None:
    accuracies = [number for number in numbers(card) if METRICS[number.metric].kind == "accuracy"]
    assert [n for n in accuracies if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", n.dataset)] == []


@every_card
def test_counts_are_in_prefix_units(card: Card) -> None:
    counts = [number for number in numbers(card) if METRICS[number.metric].kind == "count"]
    other = {"", "G, mean over 100 images", "of the standard block"}  # ones; the last two are judged not comparable
    assert {number.unit for number in counts} <= {*UNIT_SCALE, *other}


@every_card
def test_percentages_are_percentages_and_fractions_fractions(card: Card) -> None:
    """A slipped column of a transcript shows itself here: parameters in a column of accuracies and the like."""
    high = {"%": 100, "fraction": 1}
    assert [n for n in numbers(card) if n.unit in high and not 0 <= n.value <= high[n.unit]] == []


@pytest.mark.parametrize("card", [c for c in read_cards().values() if c.printed is not None], ids=lambda card: card.key)
def test_no_number_was_lost(card: Card) -> None:
    """Counted by another program in the collection that the transcripts were made from.

    Counted is each number that stands alone in a cell or in a list, of the tables of the paper, of its repository and
    of those who quote it, and of the figures that print numbers. Not counted are numbers that tell rows apart: image
    sizes, crops, scales, epochs of a row, iterations. DeiT's Table 9 has three more than the 15 cells that are one
    number: 9/0.5 is two, "0.0005 x batch/512" one.
    """
    assert len(numbers(card)) == card.printed


@pytest.mark.parametrize(
    ("paper", "table", "row", "column", "model", "image_size", "metric", "value", "unit"),
    [
        ("vit", "table1", "ViT-Huge", "params", "vit_h14", None, "params", "632", "M"),
        ("vit", "table5", "JFT-300M, ImageNet", "ViT-B/16", "vit_b16", 384, "top1", "84.15", "%"),
        ("vit", "table6", "R50x1+ViT-L/32, 7", "exaflops", "r50_vit_l32", None, "pretrain_compute", "246", "exaFLOPs"),
        ("vit", "table8", "relative", "default_stem", "vit_b16", None, "few_shot", "0.64032", "fraction"),
        ("deit", "table5", "DeiT-B 384, transformer, 384", "top1", "deit_b", 384, "top1", "83.1", "%"),
        ("deit", "table3", "hard distillation, hard", "S_224", "deit_s", 224, "top1", "80.9", "%"),
        ("deit", "table2", "RegNetY-8GF", "student_384", "deit_b_distilled", 384, "top1", "83.8", "%"),
        ("deit", "table4", "student_both", "student_distil", "student_both", None, "disagreement", "0.019", "fraction"),
        ("pvt", "table1", "PVT-Large", "depths_printed[2]", "pvt_large", None, "depth", "27", ""),
        ("pvt", "table2", "ResNeXt50-32x4d*", "flops", "resnext50_32x4d", 224, "macs", "4.3", "G"),
        ("pvt", "table2", "PVT-Small", "flops", "pvt_small", 224, "macs", "3.8", "G"),
        ("pvt", "table4", "Mask R-CNN, PVT-Large", "ap_mask_3x", "mask_r_cnn_pvt_large", None, "ap_mask", "40.7", "%"),
        ("swin", "table1a", "Swin-B, 384", "flops", "swin_b", 384, "macs", "47.0", "G"),
        ("swin", "table1b", "R-152x4, 480", "flops", "bit_r152x4", 480, "macs", "840.5", "G"),
        ("swin", "table2a", "ATSS, R-50", "flops", "atss_resnet50", "800x1280", "macs", "205", "G"),
        ("swin", "table3", "UperNet, Swin-T, 512x2048", "flops", "upernet_swin_t", "512x2048", "macs", "945", "G"),
        ("swin", "table4", "rel. pos.", "miou", "upernet_swin_t", None, "miou", "46.1", "%"),
        ("swin", "table5", "window (w/o shifting)", "s4_ms", "window_w_o_shifting_s4", None, "latency", "0.9", "ms"),
        ("swin", "table5", "shifted window (cyclic)", "fps_s", "swin_s", None, "throughput", "437", "img/s"),
        ("tnt", "table5", "TNT-S-2, 1 6 12", "flops", "tnt_s_2", None, "macs", "4.7", "G"),
        ("swin", "table5", "Performer", "fps_b", "swin_b_performer", None, "throughput", "241", "img/s"),
    ],
)  # fmt: skip
def test_numbers_as_in_the_papers(
    paper: str,
    table: str,
    row: str,
    column: str,
    model: str,
    image_size: Size | None,
    metric: str,
    value: str,
    unit: str,
) -> None:
    (number,) = [n for n in numbers(read_cards()[paper]) if (n.table, n.row, n.column) == (table, row, column)]
    assert (number.model, number.image_size, number.metric, number.unit) == (model, image_size, metric, unit)
    assert str(number.value) == value


def test_the_paper_s_depth_of_pvt_small_is_not_the_released_one() -> None:
    """What is printed contradicts itself: Table 1's depths would give 23.9M parameters, Table 2 says 24.5M."""
    printed = [n.value for n in numbers(read_cards()["pvt"]) if n.row == "PVT-Small" and n.column.startswith("depths")]
    assert printed == [3, 3, 6, 3]
    assert papers.find_variant("pvt_small").architecture["depths"] == (3, 4, 6, 3)
    (cause,) = read_cards()["pvt"].find_causes(("table1", "PVT-Small", "depths_printed[1]"))
    assert cause.startswith("Stage-2 depth of PVT-Small")


def test_published_numbers_survive_the_csv(tmp_path: Path) -> None:
    papers.write_published(tmp_path / "published.csv")
    expected = [number for card in read_cards().values() for number in numbers(card)]
    read = read_records(tmp_path / "published.csv", Published)
    assert read == expected
    assert [str(n.value) for n in read] == [str(n.value) for n in expected]  # 83.0 == 83, but not in print


@every_card
def test_a_cause_names_what_there_is_and_nothing_has_two(card: Card) -> None:
    """Cells with a model of ours, and claims on counts: nothing else can differ."""
    cells = {number.name for number in numbers(card) if number.model in papers.list_variants()}
    assert len({number.name for number in numbers(card)}) == len(numbers(card))
    claims = {claim.id for claim in card.claims if claim.estimate}
    named = [name for cause in card.causes for name in (*cause.cells, *cause.claims)]
    assert set(named) <= cells | claims
    assert len(named) == len(set(named))


@every_card
def test_a_cause_says_whether_it_is_known(card: Card) -> None:
    for cause in card.causes:
        assert cause.cells or cause.claims, cause
        assert cause.known == ("No cause found" not in cause.text), cause


# --- the models -------------------------------------------------------------------------------------


@every_variant
def test_variant_is_one_consistent_architecture(variant: Variant) -> None:
    """As many stages in every list, heads that divide the width, an image size of its own that it takes."""
    assert variant.allows(variant.image_size)
    for image_size in (variant.image_size, *variant.at_size):
        lists = variant.list_stages(image_size)
        assert len({len(values) for values in lists.values()}) <= 1, lists
        if "num_heads" in lists:
            assert all(width % heads == 0 for width, heads in zip(lists["embed_dims"], lists["num_heads"], strict=True))


def test_a_width_doubles_from_stage_to_stage_where_only_the_first_is_named() -> None:
    assert papers.find_variant("swin_t").list_stages(224)["embed_dims"] == (96, 192, 384, 768)
    assert papers.find_variant("pvt_small").list_stages(224)["embed_dims"] == (64, 128, 320, 512)
    assert papers.find_variant("vit_b16").list_stages(224) == {"embed_dims": (768,), "num_heads": (12,)}


def test_families_shown_beside_others_can_be_told_apart() -> None:
    """No two cards have one colour, nor one marker: `replication new-paper` takes the next that are free."""
    shown = [card for card in read_cards().values() if card.headline or card.compared]
    assert len({card.colour for card in shown}) == len({card.marker for card in shown}) == len(shown)


@pytest.mark.parametrize("layers", [(3, 4, 9), (3, 4, 6, 3)])
def test_hybrids_have_a_resnet50_of_sixteen_blocks(layers: tuple[int, ...]) -> None:
    """Stage 4's three blocks move into stage 3 (ViT, Section 4.1): the number of blocks stays."""
    assert sum(layers) == 16
    hybrids = [v for v in papers.list_variants().values() if v.family == "hybrid"]
    matching = [v for v in hybrids if v.architecture["backbone_layers"] == layers]
    assert {v.image_sizes_by for v in matching} == {4 * 2 ** (len(layers) - 1)}


def test_swin_has_wider_windows_at_384() -> None:
    assert papers.find_variant("swin_b").resolve(384)["window_size"] == 12
    assert papers.find_variant("swin_b").resolve(224)["window_size"] == 7


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown model 'pvt_smal'; did you mean 'pvt_small'"):
        papers.find_variant("pvt_smal")
    with pytest.raises(UserError, match="unknown paper 'swing'; did you mean 'swin'"):
        papers.find_card("swing")


# --- the claims -------------------------------------------------------------------------------------


@every_card
def test_claims_are_well_formed(card: Card) -> None:
    assert [key for key, n in Counter(claim.id for claim in card.claims).items() if n > 1] == []
    for claim in card.claims:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", claim.id)
        assert claim.statement
        assert claim.where
        ways = [
            claim.estimate is not None,
            claim.contrast is not None,
            claim.insight is not None,
            claim.speedup is not None,
            bool(claim.reason),
        ]
        assert sum(ways) == 1, f"{claim.id}: one of estimate, contrast, insight, speedup, reason"
        assert bool(claim.reason) == (claim.low == -float("inf") and claim.high == float("inf")), claim.id
        assert claim.low < claim.high, claim.id
        assert claim.table in {"", *(table.id for table in card.tables)}, claim.id


@pytest.mark.parametrize(("card", "claim"), CLAIMS_ON_TABLES, ids=[c.id for _, c in CLAIMS_ON_TABLES])
def test_the_paper_agrees_with_itself_or_says_otherwise(card: Card, claim: Claim) -> None:
    """A claim holds on the table it rests on, unless a cause that names it says why it does not."""
    (table,) = [table for table in card.tables if table.id == claim.table]
    assert claim.estimate is not None
    holds = claim.low <= claim.estimate(printed_in(table)) <= claim.high
    assert holds != bool(card.find_causes(claim.id))


@pytest.mark.parametrize(("card", "claim"), SPEEDUPS, ids=[c.id for _, c in SPEEDUPS])
def test_the_printed_speeds_are_as_claimed(card: Card, claim: Claim) -> None:
    """The least ratio of the printed speeds lies in the declared range, whether they are rates or times."""
    (table,) = [table for table in card.tables if table.id == claim.table]
    assert claim.speedup is not None
    native = {variant.id: variant.image_size for variant in papers.list_variants().values()}
    speeds = {
        (n.model, n.image_size or native.get(n.model)): float(n.value) ** (1 if n.metric == "throughput" else -1)
        for n in reversed(table.published)
        if n.metric == claim.speedup.metric
    }
    assert claim.low <= min(speeds[faster] / speeds[slower] for faster, slower in claim.speedup.pairs) <= claim.high


def test_ratio_divides_at_one_image_size() -> None:
    def find(model: str, metric: str, image_size: Size | None = None, dataset: str = "") -> float:
        at_384 = {"a": 12.0, "b": 4.0}
        return at_384[model] if image_size == 384 else {"a": 5.0, "b": 2.0}[model]

    assert make_ratio("macs", "a", "b", 384)(find) == 3.0
    assert make_ratio("macs", "a", "b")(find) == 2.5


def test_printed_digits_are_kept() -> None:
    """83.0 is printed, not 83: the digits decide what the same number means."""
    values = [n.value for n in numbers(read_cards()["swin"]) if n.row == "Swin-S, 224" and n.column == "top1"]
    assert Decimal("83.0").as_tuple() in {value.as_tuple() for value in values}
