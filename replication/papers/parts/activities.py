"""What must be so for a mechanism to act (gate G4), as cards assert it of their small models; positive controls (G5).

The grid is that of the first stage: the image size over the patch size, 4 where the model has no other.
"""

from __future__ import annotations

from replication.papers.parts.recipes import CLUTTERED, LARGEST, SMALLEST, SOURCE, ZOOM
from replication.records.card import Activity, Contrast, Control, Facts

POSITIONS_BEAT_NONE = Control("positions beat none", Contrast(("cluttered_vit/table",), ("cluttered_vit/none",)))
"""Of claims on positions in cluttered scenes: where a ViT does as well without any, none of them is tested."""


def _count_grid(facts: Facts) -> float:
    return float(facts["image_size"] / facts.get("patch_size", 4))


def assert_windows(arm: str) -> Activity:
    """Assert that windows are so small that what happens between them matters."""
    return Activity(
        "a window is smaller than half the grid",
        arm,
        lambda facts: facts["window_size"],
        lambda facts: _count_grid(facts) / 2,
    )


def assert_beyond_merging(arm: str) -> Activity:
    """Assert that windows are larger than the 2 x 2 tokens that merging joins in order, which tells places."""
    return Activity(
        "a window is larger than what merging joins", arm, lambda facts: 2, lambda facts: facts["window_size"]
    )


def assert_kernels(arm: str) -> Activity:
    """Assert that a 3 x 3 kernel over the tokens sees a small part of them."""
    return Activity(
        "a kernel is smaller than half the grid", arm, lambda facts: 3, lambda facts: _count_grid(facts) / 2
    )


def assert_tokens(arm: str) -> Activity:
    """Assert that there are at least 64 tokens, whose places can matter."""
    return Activity("there are 64 tokens or more", arm, lambda facts: 63, lambda facts: _count_grid(facts) ** 2)


def assert_seen_scale(arm: str) -> Activity:
    """Assert that cluttered scenes at a larger size show objects no larger, in patches, than scenes to learn from."""
    return Activity(
        "the mean object of the test images spans fewer patches than the largest to learn from",
        arm,
        lambda facts: (SMALLEST + LARGEST) / 2 * facts["image_size"],
        lambda facts: LARGEST * ZOOM * CLUTTERED["image_size"],
    )


def assert_detail(arm: str) -> Activity:
    """Assert that objects of cluttered scenes have fewer pixels than their sources: larger images show more of them."""
    return Activity(
        "objects have fewer pixels than their sources",
        arm,
        lambda facts: LARGEST * facts["image_size"],
        lambda facts: SOURCE,
    )
