"""Fits: planted laws are found again, and the counted mechanisms grow as theory says."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replication import papers
from replication.complexity.formulas import FAMILIES, count_cost
from replication.complexity.mechanisms import GRIDS, REDUCTION, WIDTH, WINDOW, count_mechanisms
from replication.complexity.scaling import Fit, fit, fit_mechanisms, fit_models

TOKENS = [float(side**2) for side in (7, 14, 28, 56, 112, 224)]


def fitted(tokens: list[float], values: list[float]) -> Fit:
    found = fit(tokens, values)
    assert found is not None
    return found


@given(exponent=st.floats(0.5, 3), scale=st.floats(1e-3, 1e9))
def test_a_planted_exponent_is_found(exponent: float, scale: float) -> None:
    found = fitted(TOKENS, [scale * n**exponent for n in TOKENS])
    assert found.slope == pytest.approx(exponent, abs=1e-6)
    assert found.ci_high - found.ci_low < 1e-5


@given(a=st.floats(1, 1e6), crossover=st.floats(100, 20_000), constant=st.floats(0, 1e6))
def test_a_planted_crossover_is_found(a: float, crossover: float, constant: float) -> None:
    found = fitted(TOKENS, [constant + a * n + a / crossover * n**2 for n in TOKENS])
    assert found.a == pytest.approx(a, rel=1e-5)
    assert found.crossover == pytest.approx(crossover, rel=1e-5)
    assert found.r2 == pytest.approx(1)


def test_pure_laws_have_the_one_term() -> None:
    linear, quadratic = fitted(TOKENS, [3 * n for n in TOKENS]), fitted(TOKENS, [5 * n**2 for n in TOKENS])
    assert (linear.a, linear.b, linear.crossover) == (3, 0, None)
    assert (quadratic.a, quadratic.b, quadratic.crossover) == (0, 5, 0)


def test_noise_widens_the_interval_that_covers_the_truth() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, len(TOKENS))
    found = fitted(TOKENS, [n**1.5 * np.exp(e) for n, e in zip(TOKENS, noise, strict=True)])
    assert found.ci_low < 1.5 < found.ci_high
    assert 0.01 < found.ci_high - found.ci_low < 0.2


def test_two_sizes_tell_nothing() -> None:
    assert fit([10, 20], [1, 2]) is None


@pytest.fixture(scope="module")
def mechanisms() -> pd.DataFrame:
    return pd.DataFrame(list(count_mechanisms()))


def test_mechanisms_cost_what_their_papers_say(mechanisms: pd.DataFrame) -> None:
    assert sorted(mechanisms[mechanisms["mechanism"] == "global"]["grid"]) == list(GRIDS)
    for row in mechanisms[mechanisms["exact"] == 1].to_dict("records"):
        tokens, products = row["tokens"], row["macs_attention"]
        windows, reduced = tokens / WINDOW**2, tokens / REDUCTION**2
        pairs = {  # of a query and a key
            "global": tokens**2,
            "spatial_reduction": tokens * reduced,
            "windowed": tokens * WINDOW**2,
            "windowed_subsampled": tokens * (WINDOW**2 + reduced),
            "messenger": windows * (WINDOW**2 + 1) ** 2,
        }
        maps = {  # D x D, a token each
            "global": 4 * tokens,  # Swin, eq. 1
            "spatial_reduction": 2 * tokens + 2 * reduced + tokens,  # the convolution takes every token once
            "windowed": 4 * tokens,  # Swin, eq. 2
            "windowed_subsampled": 4 * tokens + 2 * tokens + 2 * reduced + tokens,
            "messenger": 4 * (tokens + windows),
        }
        assert products == 2 * pairs[row["mechanism"]] * WIDTH
        assert row["macs"] == products + maps[row["mechanism"]] * WIDTH**2


def test_tokens_cover_two_decades_and_memory_follows_the_policy(mechanisms: pd.DataFrame) -> None:
    assert mechanisms["tokens"].max() / mechanisms["tokens"].min() > 100
    four_dimensional = mechanisms[mechanisms["mechanism"] != "windowed_subsampled"]  # no CPU kernel fuses the others
    assert (four_dimensional["peak_memory_math"] >= four_dimensional["peak_memory_fused"]).all()


@pytest.mark.parametrize(
    ("name", "theory"), [("global", 2), ("windowed", 1), ("spatial_reduction", 2), ("messenger", 1)]
)
def test_attention_grows_as_theory_says(mechanisms: pd.DataFrame, name: str, theory: int) -> None:
    rows = [row for row in fit_mechanisms(mechanisms) if row.model == name]
    (attention,) = [row for row in rows if row.part == "attention" and row.metric == "macs"]
    assert attention.theory == theory
    assert attention.slope == pytest.approx(theory, abs=0.05)
    assert attention.ci_low is not None
    assert attention.ci_high is not None
    assert attention.ci_low <= theory <= attention.ci_high


def test_global_attention_takes_over_at_twice_the_width(mechanisms: pd.DataFrame) -> None:
    """4 N D^2 = 2 N^2 D where N = 2 D (Swin, eq. 1)."""
    (whole,) = [r for r in fit_mechanisms(mechanisms) if r.model == "global" and r.part == "whole"]
    assert whole.crossover_tokens == pytest.approx(2 * WIDTH)


def test_sub_sampled_keys_are_as_many_as_those_of_a_window_at_m_r_tokens_a_side(mechanisms: pd.DataFrame) -> None:
    """M^2 = N / R^2; the sum of the two powers has no exponent."""
    rows = [row for row in fit_mechanisms(mechanisms) if row.model == "windowed_subsampled"]
    (attention,) = [row for row in rows if row.part == "attention" and row.metric == "macs"]
    assert attention.theory is None
    assert attention.crossover_tokens == pytest.approx((WINDOW * REDUCTION) ** 2)
    assert attention.slope is not None
    assert 1 < attention.slope < 2


def test_models_are_fitted_in_their_regime_only() -> None:
    sizes = [64, 224, 320, 448, 896]
    row = {"model": "swin_t", **dict.fromkeys(["macs", "macs_attention"], 1.0)}
    memory = [f"peak_memory_{mode}_{attention}" for mode in ("infer", "train") for attention in ("math", "fused")]
    counts = pd.DataFrame(
        [row | dict.fromkeys(memory, 1.0) | {"image_size": size, "tokens": (size // 4) ** 2} for size in sizes]
    )
    fits = list(fit_models(counts))
    assert {fit.n for fit in fits} == {3}  # 224, 448 and 896 px
    assert [fit.metric for fit in fits] == ["macs", "macs", *memory]
    assert [fit.theory for fit in fits] == [1, *[None] * 5]


@pytest.mark.parametrize(
    "model", [v.id for v in papers.list_variants().values() if v.exponent and v.family in FAMILIES]
)
def test_the_exponent_that_a_card_declares_is_that_of_the_closed_form(model: str) -> None:
    """Four times the tokens: 4 ^ exponent times the products, but for class tokens, which are few among so many."""
    variant = papers.find_variant(model)
    small, large = (count_cost(variant, side).macs_attention for side in (3584, 7168))
    assert math.log(large / small, 4) == pytest.approx(variant.exponent, abs=0.01)
