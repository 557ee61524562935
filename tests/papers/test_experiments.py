"""What the cards' experiments promise before anything is trained."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from replication import papers
from replication.models import build_variant
from replication.papers.parts import small_models
from replication.papers.parts.recipe import resolve
from replication.records.card import Claim, Experiment, Variant, find_published
from replication.records.metrics import METRICS

EXPERIMENTS = {experiment.id: experiment for _, experiment in papers.list_experiments().values()}
ARMS = {f"{experiment.id}/{arm.id}": experiment for experiment in EXPERIMENTS.values() for arm in experiment.arms}
CONTRASTS = [claim for card in papers.read_cards().values() for claim in card.claims if claim.contrast]

INSIGHTS = [claim for card in papers.read_cards().values() for claim in card.claims if claim.insight]

every_contrast = pytest.mark.parametrize("claim", CONTRASTS, ids=[claim.id for claim in CONTRASTS])
every_experiment = pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=list(EXPERIMENTS))


@every_contrast
def test_a_contrast_compares_arms_tested_on_the_same_images(claim: Claim) -> None:
    assert claim.contrast is not None
    scales = set.intersection(*(set(ARMS[arm].scales) for arm in claim.contrast.arms)) - {"smoke"}
    assert scales
    for scale in scales:
        recipes = [resolve(ARMS[arm], arm.split("/")[1], scale) for arm in claim.contrast.arms]
        assert len({(recipe.dataset, recipe.images) for recipe in recipes}) == 1
    assert len(claim.contrast.minus) in (len(claim.contrast.plus), 0)  # none: one arm's own number


@pytest.mark.parametrize("claim", INSIGHTS, ids=[claim.id for claim in INSIGHTS])
def test_an_insight_is_of_arms_that_look_at_the_same_images(claim: Claim) -> None:
    assert claim.insight is not None
    recipes = [resolve(ARMS[arm], arm.split("/")[1], "laptop") for arm in claim.insight.trained]
    assert len({(recipe.dataset, recipe.images, recipe.image_size) for recipe in recipes}) == 1
    assert METRICS[claim.insight.metric].kind == "insight"
    assert {arm.split("/", 2)[2] for arm in claim.insight.arms if arm.count("/") > 1} <= {"untrained", "shuffled"}
    assert claim.insight.null in ("", "untrained", "shuffled")


def test_every_arm_decides_a_claim_or_leads_to_one_that_does() -> None:
    used = {arm for claim in CONTRASTS if claim.contrast for arm in claim.contrast.arms}
    for experiment in EXPERIMENTS.values():
        # The smoke run shows fine-tuning at a larger image size; searches and longer trainings are asked for by gates.
        if "smoke" in experiment.scales or "study" in experiment.scales:
            used |= {f"{experiment.id}/{arm.id}" for arm in experiment.arms}
        for arm in experiment.arms:
            if (
                experiment.choose_variant(arm.id) in papers.list_variants().values()
            ):  # fills cells of the paper's tables
                used.add(f"{experiment.id}/{arm.id}")
            used |= {f"{experiment.id}/{other}" for other in (arm.start_from, arm.teacher) if other}
    assert sorted(set(ARMS) - used) == []


@every_experiment
def test_the_arms_that_an_arm_needs_come_before_it(experiment: Experiment) -> None:
    before: set[str] = {""}
    for arm in experiment.arms:
        assert {name for name in (arm.start_from, arm.teacher) if not find_published(name)} <= before
        before.add(arm.id)


@every_experiment
def test_recipes_are_complete_at_every_scale(experiment: Experiment) -> None:
    for scale in experiment.scales:
        for arm in experiment.arms:
            recipe = resolve(experiment, arm.id, scale)
            assert experiment.choose_variant(arm.id).allows(recipe.image_size)


@pytest.mark.parametrize(
    ("arm", "batch_size", "learning_rate", "drop_path_rate", "clip_norm"),
    [  # as the papers and the authors' code print them
        ("deit_imagenet/deit_b", 1024, 1e-3, 0.1, None),
        ("pvt_imagenet/pvt_large", 1024, 1e-3, 0.3, 1.0),
        ("swin_imagenet/swin_b", 1024, 1e-3, 0.5, 5.0),
        ("twins_imagenet/twins_svt_l", 1024, 1e-3, 0.5, 5.0),
        ("tnt_imagenet/tnt_s", 1024, 1e-3, 0.1, None),
        ("msg_imagenet/msg_s", 1024, 1e-3, 0.3, 5.0),
        ("cpvt_imagenet/cpvt_s", 2048, 2e-3, 0.1, None),
        ("vit_imagenet/vit_b16", 4096, 3e-3, None, 1.0),
    ],
)
def test_the_papers_recipes(
    arm: str, batch_size: int, learning_rate: float, drop_path_rate: float | None, clip_norm: float | None
) -> None:
    recipe = resolve(ARMS[arm], arm.split("/")[1], "full")
    assert (recipe.batch_size, recipe.learning_rate) == (batch_size, learning_rate)
    assert (recipe.drop_path_rate, recipe.clip_norm) == (drop_path_rate, clip_norm)
    assert recipe.epochs == 300


@every_experiment
def test_arms_differ(experiment: Experiment) -> None:
    conditions = [
        (experiment.choose_variant(a.id), sorted(a.changes.items()), a.start_from, a.teacher) for a in experiment.arms
    ]
    assert all(conditions.count(condition) == 1 for condition in conditions)


# --- the models -------------------------------------------------------------------------------------


def cost(variant: Variant) -> tuple[int, int]:
    """Multiply-adds of one grey image, and parameters that learn."""
    with torch.device("meta"):
        model = build_variant(variant, num_classes=10, in_chans=1).eval()
        image = torch.empty(1, 1, variant.image_size, variant.image_size)  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    return counter.get_total_flops() // 2, sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (small_models.HYBRID, small_models.VIT),  # "at equal compute"
        (small_models.RESNET, small_models.VIT),  # "of similar cost"
        (small_models.TNT, small_models.VIT),  # "at similar cost"
        (small_models.PVT, small_models.COLUMNAR),
        (small_models.PCPVT, small_models.PVT),
        (small_models.SVT, small_models.SWIN),
        (small_models.SWIN_UNSHIFTED, small_models.SWIN),
        (small_models.MSG_SILENT, small_models.MSG),
        (small_models.MSG_SMALLER_REGIONS, small_models.MSG),
        (small_models.MSG_FIRST_STAGE_ONLY, small_models.MSG),
        (small_models.SWIN_SLIDING, small_models.SWIN),
        (small_models.TNT_64_WORDS, small_models.TNT_16_WORDS),
        (small_models.VIT_WIDTH_92, small_models.VIT_DEPTH_8),  # "at equal cost"
    ],
    ids=lambda variant: variant.id,
)
def test_models_compared_at_equal_cost_have_it(one: Variant, other: Variant) -> None:
    assert cost(one)[0] == pytest.approx(cost(other)[0], rel=0.05)


def test_deeper_and_wider_have_as_many_parameters() -> None:
    assert cost(small_models.PVT_DEEPER)[1] == pytest.approx(cost(small_models.PVT_WIDER)[1], rel=0.03)


def test_smaller_patches_cost_no_parameters() -> None:
    assert cost(small_models.VIT_PATCH_4)[1] == cost(small_models.VIT)[1]


def test_spatial_reduction_saves_what_the_formula_says() -> None:
    """Of two blocks of the first stage: 64 queries of width 32, and 16 keys instead of 64."""
    products, projections, reduction = 2 * 64 * (64 - 16) * 32, 2 * (64 - 16) * 32 * 32, 16 * (2 * 2 * 32) * 32
    saved = cost(small_models.PVT_UNREDUCED)[0] - cost(small_models.PVT)[0]
    assert saved == 2 * (products + projections - reduction)


@pytest.mark.parametrize(
    ("variant", "words"),
    [(small_models.TNT_4_WORDS, 4), (small_models.TNT_16_WORDS, 16), (small_models.TNT_64_WORDS, 64)],
)
def test_a_sentence_has_so_many_words_and_they_have_its_width(variant: Variant, words: int) -> None:
    model: Any = build_variant(variant, num_classes=10, in_chans=1)
    assert model.pixel_embed(torch.zeros(1, 1, 32, 32), model.pixel_pos).shape == (4, words, 128 // words)
    assert model.embed_dim == 128


def test_no_analogue_is_called_as_a_model_of_a_paper() -> None:
    assert small_models.ANALOGUES.keys().isdisjoint(papers.list_variants())


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("variant", small_models.ANALOGUES.values(), ids=list(small_models.ANALOGUES))
def test_every_learned_part_of_an_analogue_gets_a_gradient(variant: Variant, channels: int) -> None:
    torch.manual_seed(0)
    model = build_variant(variant, num_classes=10, in_chans=channels)
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(learned.values(), lr=0.01)
    images = torch.randn(2, channels, variant.image_size, variant.image_size)  # type: ignore[arg-type]
    for _ in range(2):  # in its first step a residual branch that starts at zero gets none
        optimizer.zero_grad()
        said = model(images)
        if variant.task == "detection":
            answers = [said["pred_logits"], said["pred_boxes"]]
            assert [answer.shape for answer in answers] == [(2, 10, 11), (2, 10, 4)]
        else:
            answers = [said]
            assert said.shape == (2, 10)
        torch.cat([answer.flatten() for answer in answers]).square().sum().backward()
        optimizer.step()
    still = [name for name, p in learned.items() if p.grad is None or not p.grad.any()]
    assert still == UNREAD.get(variant.id, [])


UNREAD = {
    "msg_digits": ["layers.1.blocks.1.attn.relative_position_bias_table"],
    "msg_smaller_regions_digits": ["layers.1.blocks.1.attn.relative_position_bias_table"],
    "msg_first_stage_only_digits": ["layers.1.blocks.1.attn.relative_position_bias_table"],
    "msg_silent_digits": ["layers.1.blocks.1.attn.relative_position_bias_table"],
    "vit_relative_digits": ["blocks.3.attn.relative_positions"],
}
"""The classifier reads the messenger or the class token, and what those attend to has no bias from this table."""
