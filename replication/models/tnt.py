"""TNT with words in some of its blocks only; the others are vanilla transformer blocks (Han et al., Table 5).

Blocks count from 1, as in the table. A vanilla block is timm's TNT block without its inner part and what projects words
onto sentences; the first sentences are projected from the words before the first block, as in every TNT.
Shapes: B batch, N sentences, m words of a sentence, c width of words, D width of sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from timm.models import tnt
from torch import Tensor, nn


class VanillaBlock(nn.Module):
    """The outer half of a TNT block: attention and MLP among sentences. Its parameters have the names of timm's."""

    def __init__(self, block: Any) -> None:
        """Take over the parts of `block`, a `tnt.Block`."""
        super().__init__()
        self.norm_out, self.attn_out = block.norm_out, block.attn_out
        self.norm_mlp, self.mlp = block.norm_mlp, block.mlp
        self.drop_path = block.drop_path

    def forward(self, words: Tensor, sentences: Tensor) -> tuple[Tensor, Tensor]:
        """Return the words (B N, m, c) as they are, and sentences (B, N + 1, D) mapped to the same shape."""
        sentences = sentences + self.drop_path(self.attn_out(self.norm_out(sentences)))
        return words, sentences + self.drop_path(self.mlp(self.norm_mlp(sentences)))


class TransformerInTransformer(tnt.TNT):
    """timm's TNT, with words in the `word_blocks` alone."""

    def __init__(self, word_blocks: Sequence[int], **arguments: Any) -> None:
        """Keep words in the `word_blocks`, which count from 1; `arguments` are those of timm's TNT."""
        super().__init__(**arguments)
        for number, block in enumerate(self.blocks, start=1):
            if number not in word_blocks:
                self.blocks[number - 1] = VanillaBlock(block)


MODEL = TransformerInTransformer
