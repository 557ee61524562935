"""Masked patch prediction: a ViT learns without labels (ViT, Section 4.6 and Appendix B.1.2).

Half of the patch embeddings are corrupted: replaced by a learnable mask (80 %), by that of another patch of the image
(10 %), or kept (10 %). The model predicts the mean colour of every corrupted patch in 3 bits per channel: 512 classes
for colour images, 8 for grey ones.
Shapes: B batch, C channels, H W pixels, N patches, M corrupted patches of an image, D width.
"""

from __future__ import annotations

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from replication.data import Dataset, Images
from replication.papers.parts.recipe import Recipe
from replication.records.rows import ClassifierEpoch, Epoch
from replication.records.words import UserError
from replication.training.augment import Augment
from replication.training.batches import list_batches

CORRUPTED = 0.5
MASKED, OTHER = 0.8, 0.1  # of the corrupted; the rest is kept
LEVELS = 8  # of brightness, per channel


def draw_corruption(images: int, patches: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Draw which patches (B, M) are corrupted, and for every patch (B, N) the index of the embedding that it gets.

    Index N is the mask. The same number of patches is corrupted in every image.
    """
    chosen = torch.rand(images, patches, generator=generator).argsort(dim=1)[:, : round(CORRUPTED * patches)]
    kind = torch.rand(chosen.shape, generator=generator)
    other = (chosen + torch.randint(1, patches, chosen.shape, generator=generator)) % patches
    replaced = torch.where(kind < MASKED, patches, torch.where(kind < MASKED + OTHER, other, chosen))
    return chosen, torch.arange(patches).repeat(images, 1).scatter(1, chosen, replaced)


def classify_colours(images: Tensor, patch_size: tuple[int, int], black: Tensor, white: Tensor) -> Tensor:
    """Return the class (B, N) of every patch's mean colour.

    It is the level of each channel (C,), the first counting least.
    """
    means = F.avg_pool2d(images, patch_size).flatten(2)  # (B, C, N)
    brightness = (means - black[:, None]) / (white - black)[:, None]
    levels = (brightness * LEVELS).long().clamp(0, LEVELS - 1)
    return (levels * LEVELS ** torch.arange(len(black), device=levels.device)[:, None]).sum(dim=1)


class PatchPredictor(nn.Module):
    """A ViT with a mask and a head for the colours of patches; its own classifier is not used."""

    def __init__(self, model: VisionTransformer, classes: int) -> None:
        """Take a ViT and predict so many colours."""
        super().__init__()
        self.model = model
        self.mask = nn.Parameter(torch.empty(1, 1, model.embed_dim))
        self.colour = nn.Linear(model.embed_dim, classes)
        nn.init.trunc_normal_(self.mask, std=0.02)
        nn.init.trunc_normal_(self.colour.weight, std=0.02)
        nn.init.zeros_(self.colour.bias)
        for parameter in model.get_classifier().parameters():
            parameter.requires_grad_(False)  # no gradient would ever reach it

    def no_weight_decay(self) -> set[str]:
        """Return the parameters that do not decay, for timm's optimizers."""
        return {f"model.{name}" for name in self.model.no_weight_decay()}

    def forward(self, images: Tensor, chosen: Tensor, source: Tensor) -> Tensor:
        """Return logits (B, M, classes) of the patches `chosen` of images (B, C, H, W).

        The embeddings of corrupted patches come from `source`.
        """
        model = self.model
        tokens = model.patch_embed(images)
        B, N, D = tokens.shape
        tokens = torch.cat([tokens, self.mask.expand(B, 1, D)], dim=1).gather(1, source[:, :, None].expand(B, N, D))
        tokens = model.norm(model.blocks(model.norm_pre(model._pos_embed(tokens))))[:, model.num_prefix_tokens :]
        return self.colour(tokens.gather(1, chosen[:, :, None].expand(-1, -1, D)))


class MaskedPatches:
    """The task of predicting the colours of corrupted patches, by cross-entropy over them; it measures accuracy.

    Raise `UserError` if the model is no ViT with patches of one image size.
    """

    metrics: tuple[str, ...] = ("loss", "top1")
    epoch: type[Epoch] = ClassifierEpoch
    right: Tensor | None = None
    loss_unit = "nats"

    def __init__(
        self, model: nn.Module, recipe: Recipe, dataset: Dataset, device: torch.device, teacher: nn.Module | None
    ) -> None:
        """Train `model` on the images of `dataset` alone."""
        if not isinstance(model, VisionTransformer) or model.patch_embed.num_patches < 2:
            raise UserError("only a ViT of two patches or more learns from masked patches")
        mean, std = torch.tensor(dataset.mean, device=device), torch.tensor(dataset.std, device=device)
        self.black, self.white = (0 - mean) / std, (1 - mean) / std
        self.patch_size, self.patches = model.patch_embed.patch_size, model.patch_embed.num_patches
        self.augmentation = Augment(recipe, dataset.classes, device)
        self.module: nn.Module = PatchPredictor(model, LEVELS ** len(self.black)).to(device)

    def model_of(self, module: nn.Module) -> nn.Module:
        """Return the ViT without mask and colours, as another task starts from it."""
        return module.get_submodule("model")

    def augment(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the images to learn from, augmented, and the classes (B, N) of their patches."""
        images = self.augmentation.images(images)
        return images, classify_colours(images, self.patch_size, self.black, self.white)

    def _answers(
        self, module: nn.Module, images: Tensor, targets: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B * M, classes) and classes (B * M,) of the patches that are corrupted."""
        chosen, source = (t.to(images.device) for t in draw_corruption(len(images), self.patches, generator))
        return module(images, chosen, source).flatten(0, 1), targets.gather(1, chosen).flatten()

    def loss(self, module: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over the corrupted patches [nats], which are drawn anew every time."""
        return F.cross_entropy(*self._answers(module, images, targets))

    def evaluate(self, module: nn.Module, split: Images, device: torch.device) -> dict[str, float]:
        """Measure cross-entropy [nats] and accuracy [%] over a split's corrupted patches, the same ones every time."""
        generator = torch.Generator().manual_seed(0)
        loss, correct, patches = 0.0, 0, 0
        for images, _ in list_batches(split, device):
            targets = classify_colours(images, self.patch_size, self.black, self.white)
            logits, classes = self._answers(module, images, targets, generator)
            loss += F.cross_entropy(logits, classes, reduction="sum").item()
            correct += int((logits.argmax(dim=1) == classes).sum())
            patches += len(classes)
        return {"loss": loss / patches, "top1": 100 * correct / patches}

    def diagnosis(self) -> str:
        """Return nothing, since the metrics say it all."""
        return ""
