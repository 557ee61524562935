"""How many objects of a kind a set predictor can find at once (DETR, appendix A.4, Figure 12)."""

from __future__ import annotations

from collections.abc import Sequence

from replication.records.rows import CrowdedImage


def summarise_crowds(images: Sequence[CrowdedImage], queries: int) -> dict[str, float]:
    """Return the share of objects found [%] in images of up to half as many as `queries`, and of at least as many.

    The latter is a share of the queries, since no more objects than these can be found. There is no number where there
    are no such images.
    """
    few = [one for one in images if 0 < one.objects <= queries / 2]
    many = [one for one in images if one.objects >= queries]
    numbers = {}
    if few:
        numbers["found_half"] = 100 * sum(one.found for one in few) / sum(one.objects for one in few)
    if many:
        numbers["found_full"] = 100 * sum(one.found for one in many) / (queries * len(many))
    return numbers
