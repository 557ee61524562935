"""The closed forms of Twins, TNT and CPVT where the grid fits nothing, against what the dispatcher counts."""

from __future__ import annotations

import pytest

from replication import papers
from replication.complexity.dispatch import count_dispatch
from replication.complexity.formulas import count_cost
from replication.complexity.sweep import build_skeleton
from replication.models.attention import set_attention


@pytest.mark.parametrize(
    ("model_id", "image_size"),
    [
        *(("twins_svt_s", size) for size in (32, 64, 320, 512)),
        *(("pcpvt_s", size) for size in (32, 320)),
        *(("tnt_s", size) for size in (32, 320)),
        *(("cpvt_ti", size) for size in (32, 320)),
        ("cpvt_s_gap_0_5", 48),
    ],
)
def test_every_size_is_counted_to_the_operation(model_id: str, image_size: int) -> None:
    variant = papers.find_variant(model_id)
    model = set_attention(build_skeleton(variant, image_size), "math")
    assert count_dispatch(model, image_size)[0] == count_cost(variant, image_size).macs
