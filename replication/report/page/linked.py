"""What search engines and archives read of a run: a ClaimReview a claim (schema.org), as JSON-LD."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replication.records.card import Card
from replication.records.rows import ClaimResult

TITLE = "Do the numbers hold? A verdict for every number that the vision-transformer papers print"
AUTHOR = "The replication suite's authors"


def describe_claim(claim: ClaimResult, card: Card, run: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the outcome of a claim. The rating is its status in words, for statuses have no scale."""
    return {
        "@context": "https://schema.org",
        "@type": "ClaimReview",
        "@id": f"#{claim.id}",
        "url": f"../index.html#{claim.id}",
        "datePublished": run["date"],
        "author": {"@type": "Organization", "name": AUTHOR},
        "claimReviewed": claim.statement,
        "itemReviewed": {
            "@type": "Claim",
            "appearance": {
                "@type": "ScholarlyArticle",
                "name": card.title,
                "author": card.authors,
                "url": f"https://arxiv.org/abs/{card.arxiv}",
                "pagination": claim.where,
            },
        },
        "reviewRating": {"@type": "Rating", "alternateName": claim.status, "ratingExplanation": claim.reason},
    }
