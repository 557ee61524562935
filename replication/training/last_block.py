"""A ViT read at its class token needs no other token after its last block; so that block computes no other.

In it the other tokens serve as keys and values alone: of the block's matrix products one in six is left. The answer and
every gradient are those of the whole block up to rounding. Of a network of depth 4 that saves a fifth of a step.
Shapes: B batch, N tokens, P prefix tokens (class, distillation), D width, h heads.
"""

from __future__ import annotations

from typing import Any, cast

from timm.layers.attention import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from replication.training.products import linear


class PrefixBlock(nn.Module):
    """A block that maps tokens (B, N, D) to its first P of them, (B, P, D), with the parameters of a whole one."""

    def __init__(self, block: Block, prefix: int) -> None:
        """Take over the layers of `block`, under the same names; P is `prefix`."""
        super().__init__()
        for name, layer in block.named_children():
            self.add_module(name, layer)
        self.prefix = prefix

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's answer for the prefix tokens."""
        block = cast(Any, self)  # it has its layers
        x, tokens = x[:, : self.prefix], block.norm1(x)
        x = x + block.drop_path1(block.ls1(self._attention(block.attn, tokens)))
        return x + block.drop_path2(block.ls2(block.mlp(block.norm2(x))))

    def _attention(self, attention: Attention, tokens: Tensor) -> Tensor:
        """Let the prefix tokens attend to all tokens."""
        B, N, D = tokens.shape
        h, weight, bias = attention.num_heads, attention.qkv.weight, attention.qkv.bias
        q = linear(tokens[:, : self.prefix], weight[:D], None if bias is None else bias[:D])
        kv = linear(tokens, weight[D:], None if bias is None else bias[D:])
        q = q.reshape(B, self.prefix, h, D // h).transpose(1, 2)
        k, v = kv.reshape(B, N, 2, h, D // h).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * attention.scale) @ k.transpose(2, 3)  # (B, h, P, N): few, so formed
        x = attention.attn_drop(scores.softmax(dim=3)) @ v
        return attention.proj_drop(attention.proj(x.transpose(1, 2).reshape(B, self.prefix, D)))


def read_prefix_only(model: nn.Module) -> None:
    """Let the last block of `model` compute its prefix tokens alone, if it is a ViT that is read at those.

    This serves training and testing a classifier. The names of parameters stay; the model is changed in place.
    """
    if not isinstance(model, VisionTransformer) or model.global_pool != "token" or model.attn_pool is not None:
        return
    block = model.blocks[-1]
    if type(block) is Block and type(block.attn) is Attention and _plain(block.attn):
        model.blocks[-1] = PrefixBlock(block, model.num_prefix_tokens)


def _plain(attention: Attention) -> bool:
    """Tell whether an attention is that of the paper: no gate, no norms inside, and no hook that changes it."""
    inner = (attention.q_norm, attention.k_norm, attention.norm)
    hooks = attention._forward_pre_hooks or attention._forward_hooks
    return not hooks and attention.gate is None and all(isinstance(layer, nn.Identity) for layer in inner)
