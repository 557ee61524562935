"""Public benchmarks beside printed speeds, and evaluations beside printed orders, on the papers' own tables."""

from __future__ import annotations

import pytest

from replication import papers
from replication.records.rows import Published, StackFlip, StackOrder
from replication.report.stacks import FEWEST, compute_stack_orders, find_stack_flips
from replication.report.witnesses import find_evidence, find_turned_orders
from replication.witnesses import read_stack_speeds, read_stacks


@pytest.fixture(scope="module")
def cells() -> list[Published]:
    return [n for card in papers.read_cards().values() for table in card.tables for n in table.published]


@pytest.fixture(scope="module")
def orders(cells: list[Published]) -> list[StackOrder]:
    return compute_stack_orders(cells, papers.list_variants())


@pytest.fixture(scope="module")
def flips(cells: list[Published]) -> list[StackFlip]:
    return find_stack_flips(cells, papers.list_variants())


def test_every_stack_has_speeds_and_a_licence_and_is_compared(orders: list[StackOrder]) -> None:
    assert all(read_stack_speeds()[stack] for stack in read_stacks())
    assert all(stack.licence for stack in read_stacks().values())
    assert {order.stack for order in orders} == set(read_stacks())


def test_tau_is_that_of_the_inverted_pairs(orders: list[StackOrder]) -> None:
    """Without ties tau is 1 - 2 inverted / pairs; a tie leaves its pair out of both orders."""
    for order in orders:
        pairs = order.n * (order.n - 1) / 2
        assert order.n >= FEWEST
        assert order.tau <= 1
        assert (order.inverted == 0) == (order.widest == "")
        assert order.tau >= 1 - 2 * order.inverted / pairs - 0.1
    (order,) = [o for o in orders if o.table == "cnn_baselines" and o.stack == "paddleclas-tensorrt-v100-fp32-b8"]
    assert order.tau == pytest.approx(1 - 2 * order.inverted / (order.n * (order.n - 1) / 2))


def test_a_latency_is_turned_into_a_speed(orders: list[StackOrder]) -> None:
    latencies = [order.tau for order in orders if order.column == "cpu_latency"]
    assert latencies
    assert min(latencies) > 0.5


def test_transformers_pass_convolutional_networks_with_the_age_of_software(flips: list[StackFlip]) -> None:
    for flip in flips:
        assert read_stacks()[flip.older_stack].device == read_stacks()[flip.newer_stack].device == flip.device
        assert flip.printed > 1
        assert flip.older > 1 > flip.newer
    on_3090 = [f for f in flips if f.older_stack == "timm-infer-amp-nchw-pt110-cu113-rtx3090"]
    assert {f.newer_stack for f in on_3090} == {"timm-infer-amp-nchw-pt240-cu124-rtx3090"}
    convolutional = ("resnet", "regnet", "efficientnet", "resnext")
    passed = [f.faster_before.startswith(convolutional) and not f.faster_now.startswith(convolutional) for f in on_3090]
    assert sum(passed) > len(on_3090) / 2


def test_orders_that_turn_round_where_one_evaluator_measured_both(cells: list[Published]) -> None:
    turned = find_turned_orders(cells, find_evidence(cells, papers.read_cards()))
    assert all(order.printed_gap > 0 > order.measured_gap for order in turned)
    swin_s = [
        o.who for o in turned if (o.better, o.worse) == ("twins/table1/twins-svt-b/top1", "twins/table1/swin-s/top1")
    ]
    assert len(swin_s) == 3  # printed 83.2 and 83.0
