"""The models: `build` makes any variant of any card, from timm where timm has it and from here where it has not.

`pvt` is our own; `attention` holds the attention mechanisms and their policy, `positions` the resizing of position
embeddings.
"""

from replication.models.build import build, build_variant

__all__ = ["build", "build_variant"]
