"""Which numbers a witness stands for, on the papers' own tables, and what the witnesses decide, at the rules' edges."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from replication import papers
from replication.records.rows import Evidence, Published, Verdict
from replication.report.elsewhere import add_evidence
from replication.report.judge import judge_cells
from replication.report.witnesses import QUOTED, RETRAINED, WEIGHTS, find_evidence
from replication.witnesses import read_networks, read_sources, read_stack_speeds, read_witnesses


@pytest.fixture(scope="module")
def found() -> dict[str, list[Evidence]]:
    """The witnesses of every number, by its id."""
    cards = papers.read_cards()
    of_number: dict[str, list[Evidence]] = {}
    for one in find_evidence([n for card in cards.values() for table in card.tables for n in table.published], cards):
        of_number.setdefault(one.number, []).append(one)
    return of_number


@pytest.fixture(scope="module")
def network_of() -> dict[str, set[str]]:
    return {witness.id: set(witness.networks.split()) for witness in read_witnesses()}


def speaks(found: dict[str, list[Evidence]], network_of: dict[str, set[str]], number: str) -> set[str]:
    """The networks that the evaluations of a number are of."""
    return set().union(*(network_of[one.witness] for one in found.get(number, []) if one.kind == WEIGHTS))


def test_the_records_are_whole() -> None:
    """Ids are unique, every network has a witness, and every witness a known network and a source with its licence."""
    ids = [witness.id for witness in read_witnesses()]
    assert len(set(ids)) == len(ids)
    assert set().union(*(witness.networks.split() for witness in read_witnesses())) == {
        network.id for network in read_networks()
    }
    assert all(source.licence for source in read_sources().values())
    known = tuple(source.address for source in read_sources().values())
    assert all(witness.source.startswith((*known, "https://github.com/")) for witness in read_witnesses())


def test_a_model_that_is_built_goes_by_its_id() -> None:
    """A label that its id replaces in the tables would find no witness any more."""
    labels = {variant.label for variant in papers.list_variants().values()} - set(papers.list_variants())
    named = {network.model for network in read_networks()} | {
        one.model for of in read_stack_speeds().values() for one in of
    }
    assert not named & labels


def test_only_witnesses_that_stand_for_a_number_are_kept(found: dict[str, list[Evidence]]) -> None:
    assert {one.witness for of in found.values() for one in of} == {witness.id for witness in read_witnesses()}
    assert sum(any(one.confidence != "weak" for one in of) for of in found.values()) >= 300


@pytest.mark.parametrize(
    ("number", "network"),
    [
        ("swin/readme_imagenet/swin-s-imagenet-1k-224/top1", "swin_s@224"),  # both files have 83.2
        ("swin/readme_imagenet/swin-s-imagenet-22k-224/top1", "swin_s@224:in22k_ft_in1k"),
        ("swin/table1b/swin-b-224/top1", "swin_b@224:in22k_ft_in1k"),  # the title tells the pre-training
        ("swin/table1a/swin-b-224/top1", "swin_b@224"),
        ("tnt/table4/regnety-16gf-224-cnn/top1", "regnety_16gf:pycls_in1k"),  # 80.4
        ("twins/table1/regnety-16g/top1", "regnety_16gf:deit_in1k"),  # 82.9
        ("vit/timm_checkpoints/vit-base-patch16-384.augreg-in1k-384/top1", ""),  # only the table's own evaluation
        ("vit/table5/imagenet-21k-imagenet/vit-b-16", "vit_b16@384:in21k_ft_in1k"),
        ("vit/table5/jft-300m-imagenet/vit-b-16", ""),  # its weights are not public
        ("vit/table2/vit-l-16-imagenet-21k/imagenet", ""),  # tested at 512 px
        ("deit/table3/usual-soft-distillation-soft/b-224", ""),  # 81.8 as without
        ("deit/table3/no-distillation-labels/b-224", "deit_b@224"),
        ("deit/table5/deit-b-distilled-1000ep-transformer-224/top1", ""),  # another training: 84.2 and not 83.4
        ("tnt/table7/4/top1", "tnt_s@224"),  # the default of the ablation, 81.5
        ("tnt/table7/2/top1", ""),  # 81.4
        ("deit/cnn_baselines/efficientnet-b4-380-pycls/top1", ""),
    ],
)
def test_what_network_a_number_is_of(
    found: dict[str, list[Evidence]], network_of: dict[str, set[str]], number: str, network: str
) -> None:
    assert speaks(found, network_of, number) == ({network} if network else set())


def test_a_length_of_training_tells_detectors_apart(found: dict[str, list[Evidence]]) -> None:
    once, thrice = (found[f"pvt/table3/retinanet-resnet50/ap-{length}"] for length in ("1x", "3x"))
    assert {one.witness for one in once}.isdisjoint(one.witness for one in thrice)
    assert Decimal("36.5") in {one.value for one in once}  # mmdetection's, 12 epochs
    assert {one.kind for one in once} == {RETRAINED, QUOTED}  # 36.3 is a record of mmdetection itself
    assert [one.value for one in found["detr/table2/detr-6-encoder-layers/ap"]] == [Decimal("40.38"), Decimal("40.4")]
    assert "detr/table2/detr-3-encoder-layers/ap" not in found


def test_a_witness_speaks_in_the_printed_unit(found: dict[str, list[Evidence]]) -> None:
    error = found["pvt/table2/deit-small-16/top1-err"]  # 20.1
    assert {Decimal("20.144")} <= {one.value for one in error}  # timm's 79.856
    assert all(abs(one.difference) < 1 for one in error if one.kind == WEIGHTS)
    (fraction, *_) = [one for one in found["detr/gist_r50_500ep/detr-r50/ap"] if one.kind == WEIGHTS]
    assert fraction.value == Decimal("0.42")


# --- what they decide -------------------------------------------------------------------------------


def decided(value: str, *evidence: Evidence, **changes: object) -> Verdict:
    cards = papers.read_cards()
    (cell,) = [n for table in cards["swin"].tables for n in table.published if n.id == "swin/table1a/swin-t-224/top1"]
    cell = replace(cell, value=Decimal(value), **changes)  # type: ignore[arg-type]
    (verdict,) = add_evidence(judge_cells([cell], [], cards), [replace(one, number=cell.id) for one in evidence])
    return verdict


def witness(value: str, kind: str = WEIGHTS, confidence: str = "sure") -> Evidence:
    return Evidence("", "E1", kind, confidence, Decimal(value), Decimal(0), f"somebody/else@1:file:{value}")


def test_an_evaluation_confirms_within_the_tolerance_and_half_of_the_last_digits() -> None:
    assert decided("81.3", witness("81.65")).verdict == "confirmed elsewhere"  # 0.3 + 0.05 + 0.005
    assert decided("81.3", witness("81.66")).verdict == "differs elsewhere"
    assert decided("81.30", witness("81.61")).verdict == "confirmed elsewhere"  # 0.3 + 0.005 + 0.005
    assert decided("81.30", witness("81.62")).verdict == "differs elsewhere"


def test_the_median_of_several_decides_and_is_a_number_that_is_printed_somewhere() -> None:
    found = decided("81.3", witness("81.2"), witness("81.4"), witness("90.0"), witness("81.5"))
    assert (found.verdict, found.witness, found.witnesses) == ("confirmed elsewhere", 81.4, 4)
    assert (found.witness_low, found.witness_high, found.witness_source) == (81.2, 90.0, "somebody/else@1:file:81.4")


def test_imagenet_v2_moves_too_much_to_be_held_to_a_third_of_a_point() -> None:
    assert decided("70.0", witness("71.35"), dataset="imagenet-v2").verdict == "confirmed elsewhere"
    assert decided("70.0", witness("71.36"), dataset="imagenet-v2").verdict == "differs elsewhere"


def test_one_training_confirms_what_the_next_would_find() -> None:
    """Two trainings of deviation 0.25 lie within 1.96 sqrt(2) 0.25 = 0.693 of one another, with 95 %."""
    assert decided("81.3", witness("82.04", RETRAINED)).verdict == "confirmed elsewhere"  # and half of the last digit
    assert decided("81.3", witness("82.05", RETRAINED)).verdict == "differs elsewhere"


def test_trainings_that_disagree_confirm_more() -> None:
    agreeing = decided("81.3", witness("82.4", RETRAINED), witness("82.4", RETRAINED))
    disagreeing = decided("81.3", witness("81.4", RETRAINED), witness("83.4", RETRAINED))
    assert agreeing.witness == pytest.approx(disagreeing.witness)
    assert (agreeing.verdict, disagreeing.verdict) == ("differs elsewhere", "confirmed elsewhere")
    assert disagreeing.witness_low == pytest.approx(82.4 - 1.96)  # the error of two is half of what they lie apart


def test_what_decides_nothing() -> None:
    """A weak witness is not counted; one that is quoted is shown; evaluations come before trainings."""
    assert decided("81.3", witness("10.0", confidence="weak")).witnesses is None
    quoted = decided("81.3", witness("81.3", QUOTED))
    assert (quoted.verdict, quoted.witness, quoted.witness_kind) == ("evaluate", 81.3, QUOTED)
    both = decided("81.3", witness("81.2"), witness("10.0", RETRAINED), witness("81.3", QUOTED))
    assert (both.verdict, both.witness_kind, both.witnesses) == ("confirmed elsewhere", WEIGHTS, 1)


def test_one_training_that_two_have_published_counts_once(found: dict[str, list[Evidence]]) -> None:
    number = "detr/gist_r50_150ep/detr-r50-150ep/ap"
    (cell,) = [n for table in papers.read_cards()["detr"].tables for n in table.published if n.id == number]
    (verdict,) = add_evidence(judge_cells([cell], [], papers.read_cards()), found[number])
    assert (len(found[number]), verdict.witnesses) == (3, 2)
    assert {w.same_as for w in read_witnesses()} - {""} <= {w.id for w in read_witnesses()}


def test_our_own_measurement_comes_first() -> None:
    counted = Verdict(
        *("swin", "table1a", "Swin-T, 224", "top1", "swin_t", 224, "imagenet-1k", "top1", Decimal("81.3"), "%", "yes"),
        *(81.3, 1.0, "reproduced", "the released weights give 81.30, +0.00 points", ""),
    )
    (found,) = add_evidence([counted], [replace(witness("50.0"), number=counted.id)])
    assert (found.verdict, found.reason, found.witness) == (counted.verdict, counted.reason, 50.0)


def test_every_number_keeps_its_place(found: dict[str, list[Evidence]]) -> None:
    """A number that moves within its table, or is asked for without its neighbours, keeps its witnesses."""
    card = papers.read_cards()["swin"]
    table = next(table for table in card.tables if table.id == "table1a")

    def of(cells: list[Published]) -> set[tuple[str, str, str]]:
        return {(one.number, one.witness, one.confidence) for one in find_evidence(cells, {card.key: card})}

    assert of(table.published) == of(table.published[::-1])
    assert of(table.published) == {
        (one.number, one.witness, one.confidence)
        for number, of_number in found.items()
        if number.startswith("swin/table1a/")
        for one in of_number
    }
