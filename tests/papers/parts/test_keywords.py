"""Keywords of models are read from their sources, without torch; here they are held against the classes themselves."""

from __future__ import annotations

import inspect

import pytest

from replication import papers
from replication.models import build
from replication.papers.parts.keywords import read_keywords


@pytest.mark.parametrize(
    "model", ["vit_ti16", "deit_ti", "pvt_tiny", "swin_t", "twins_svt_s", "msg_t", "shuffle_t", "detr_r50", "tnt_s_1"]
)
def test_every_keyword_of_the_class_is_known(model: str) -> None:
    known = read_keywords(papers.find_variant(model))
    taken = inspect.signature(type(build(model)).__init__).parameters.values()
    named = {one.name for one in taken if one.kind is one.POSITIONAL_OR_KEYWORD} - {"self"}
    assert named <= known
    assert "hiden_dim" not in known


def test_what_hands_its_keywords_on_takes_those_of_its_base() -> None:
    distilled, vit = (read_keywords(papers.find_variant(model)) for model in ("deit_ti_distilled", "vit_ti16"))
    assert {"embed_dim", "drop_path_rate", "qkv_bias"} <= distilled <= vit
    assert {"word_blocks", "inner_dim"} <= read_keywords(papers.find_variant("tnt_s_1"))


def test_nothing_is_known_of_what_hands_its_keywords_to_code_elsewhere() -> None:
    assert read_keywords(papers.find_variant("upernet_swin_t")) == frozenset()
