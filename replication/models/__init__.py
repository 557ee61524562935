"""The models: `build` makes any variant of any card, from timm where timm has it and from here where it has not.

`pvt`, `cpvt`, `msg` and `detr` are our own, `hybrid` is the ResNet in front of ViT's hybrids; `attention` holds the
attention mechanisms and their policy, `positions` the resizing of position embeddings. `load_checkpoint` takes the
authors' released files. `own` builds the user's own models.
"""

from replication.models.build import build, build_variant
from replication.models.checkpoints import load_checkpoint
from replication.models.user_models import add_native_size

__all__ = ["add_native_size", "build", "build_variant", "load_checkpoint"]
