"""The skeleton of a new paper: a card and its tables, and a model if asked for, that pass the tests as they are.

What it prints is made up; its comments say what to put instead. CONTRIBUTING walks through it. Torch-free.
"""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from replication import papers
from replication.records.words import UserError

STYLES = (("#0000ff", "<"), ("#000066", ">"), ("#ff00ff", "d"), ("#ff0066", "8"), ("#660000", "h"))
"""Colours and markers for the next papers: of web colours with a contrast of 3 to white, each the farthest (CIELAB)
from all before it and from those of the cards."""

CARD = Template('''"""$name (Authors et al., Venue 2026). Tables in `$key.md`."""

from __future__ import annotations

from replication.papers import make_ratio, read_transcript
from replication.papers.parts.transcript import parse_tables
from replication.records.card import Card, Claim, Variant

# `architecture` holds the paper's hyper-parameters: the keywords of the model, and what a closed form of its cost
# (complexity/formulas/<family>.py, if you write one) is computed from. `num_classes` is added, and `img_size` too
# unless `sized=False`; images have three channels unless it holds `in_chans`. `Variant` explains all other fields:
# image_size, pyramid, preprocessing, released_params (the authors' checkpoint; a test compares) ...
VARIANTS = (
    Variant(
        id="${key}_s",
        label="$name-S",
        family="$family",
        factory="$factory",
        architecture=$architecture,
        image_sizes_by=16,
$extra    ),
)

# What the tables call these models, and those of other cards (`replication list` shows their ids). A model that has no
# id is printed all the same, and never judged.
LABELS = {**{variant.label: variant.id for variant in VARIANTS}, "DeiT-S": "deit_s"}

# One number each, and the range it must lie in, declared before anything is run. A test holds it against `table`.
CLAIMS = (
    Claim(
        id="cheap",
        where="Abstract",
        statement="$name-S needs no more multiply-adds than DeiT-S.",
        estimate=make_ratio("macs", "${key}_s", "deit_s", 224),
        table="table1",
        low=0,
        high=1,
    ),
)

CARD = Card(
    key="$key",
    title="$name",
    authors="Authors",
    venue="Venue",
    year=2026,
    arxiv="2600.00000",
    code="https://github.com/authors/$key",
    variants=VARIANTS,
    tables=parse_tables("$key", read_transcript(__file__), LABELS),
    printed=8,  # count the numbers on the page, not in $key.md: the test then shows that none was lost
    claims=CLAIMS,
    headline="table1",  # its table of accuracies on ImageNet-1k
    compared=("${key}_s",),  # its models of about 4 G multiply-adds
    colour="$colour",  # with the marker, one that no other paper has
    marker="$marker",
    # Where our count is not the printed one, a `Cause` names the cells and says why (add it and `list_cells` to the
    # import): causes=(Cause("The printed FLOPs leave out the classifier.", list_cells("table1", "flops", "$name-S")),)
)
''')
TABLES = Template("""# $name: its tables, as printed

## table1: ImageNet-1k

- source: arXiv v1, Table 1
- verified: no
- note: made up by `replication new-paper`; write what the paper prints, every digit of it
- column params: params [M]
- column flops: macs [G] image_size=224
- column throughput: throughput [img/s] hardware=V100
- column top1: top1 [%] dataset=imagenet-1k

| $label | params  | flops  | throughput | top1 |
|-$rule-|---------|--------|------------|------|
| $own | $params | $flops | 900        | 79.0 |
| $deit | 22.0507 | 4.6000 | 940        | 79.8 |
""")
MODEL = Template('''"""$name (Authors et al., Venue 2026): one sentence that says what is new.

Names and shapes of the parameters are those of the authors' files, so that these load. Shapes: B batch, D width.
"""

from __future__ import annotations

import torch
from torch import nn


class $cls(nn.Module):
    """Images (B, C, height, width) to logits (B, classes). A stub: the mean of embedded patches, classified."""

    def __init__(self, patch_size: int, embed_dim: int, in_chans: int = 3, num_classes: int = 1000) -> None:
        """Patches of `patch_size` [px]; tokens of width `embed_dim` D."""
        super().__init__()
        self.patch_embed = nn.Conv2d(in_chans, embed_dim, patch_size, stride=patch_size)
        self.head = nn.Linear(embed_dim, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, C, height, width) to logits (B, classes)."""
        return self.head(self.patch_embed(x).mean((2, 3)))


# What "own/$key" in the card means. A module with position tables says so by `list_place_tables` (see pvt.py).
MODEL = $cls
''')


def write_skeleton(key: str, model: bool, root: Path) -> list[Path]:
    """Write the card `key` into the checkout `root`, with a `model` of its own or one of timm's; return the files.

    Raise `UserError` if `root` is no checkout, if `key` cannot be the name of a paper, or if a file is there already.
    """
    folder = root / "replication"
    if not ((root / "pyproject.toml").is_file() and (folder / "papers").is_dir()):
        raise UserError(f"{root} is no checkout: new-paper writes into the sources, so clone the repository first")
    if not re.fullmatch(r"[a-z][a-z0-9]{0,23}", key) or keyword.iskeyword(key):
        raise UserError(f"'{key}' is no key of a paper: write up to 24 small letters and digits, a letter first")
    texts = {folder / "papers" / f"{key}.py": CARD, folder / "papers" / f"{key}.md": TABLES}
    texts |= {folder / "models" / f"{key}.py": MODEL} if model else {}
    taken = [path for path in (*texts, *(path.with_suffix("") for path in texts)) if path.exists()]
    if taken:
        raise UserError(f"{taken[0]} is there already; choose another key, nothing was written")
    if f"{key}_s" in papers.list_variants():
        raise UserError(f"'{key}' would name a model {key}_s, which another card has; choose another key")
    words = _choose_words(key, model)
    for path, text in texts.items():
        path.write_text(text.substitute(words), encoding="utf-8")
    return list(texts)


def _choose_words(key: str, model: bool) -> dict[str, str]:
    """Choose the words that fill the blanks of the templates."""
    name = key.capitalize()
    colour, marker = find_free_style()
    width = max(len(f"{name}-S"), len("DeiT-S"))
    facts = {
        "family": "vit",
        "factory": "timm/deit_small_patch16_224",
        "architecture": '{"patch_size": 16, "embed_dim": 384, "depth": 12, "num_heads": 6, "mlp_ratio": 4}',
        "extra": "        exponent=2,  # of the attention products in the number of tokens\n",
        "params": "22.0507",
        "flops": "4.6000",
    }
    own = {
        "family": key,
        "factory": f"own/{key}",
        "architecture": '{"patch_size": 16, "embed_dim": 64}',
        "extra": "        sized=False,  # it takes images of any size\n",
        "params": "0.1142 ",  # 16 * 16 * 3 * 64 + 64 + 64 * 1000 + 1000
        "flops": "0.0097",  # 196 * 16 * 16 * 3 * 64 + 64 * 1000
    }
    return {
        **{"key": key, "name": name, "cls": name, "colour": colour, "marker": marker, "rule": "-" * width},
        **{"label": "model".ljust(width), "own": f"{name}-S".ljust(width), "deit": "DeiT-S".ljust(width)},
        **(own if model else facts),
    }


def find_free_style() -> tuple[str, str]:
    """Find the first of `STYLES` of which no card has the colour or the marker. Raise `UserError` if there is none."""
    cards = papers.read_cards().values()
    colours, markers = {card.colour for card in cards}, {card.marker for card in cards}
    for colour, marker in STYLES:
        if colour not in colours and marker not in markers:
            return colour, marker
    raise UserError(
        "every colour and marker for a new paper is taken; add some to STYLES in replication/papers/parts/new_paper.py"
    )
