"""Cluttered scenes: one small image to name among fragments of others, drawn from a geometry that has no resolution.

The task is that of the translated, cluttered MNIST of Mnih et al. (Recurrent models of visual attention, 2014, section
4.1): a digit anywhere on a larger canvas, and pieces of other digits. Here its size, turn and brightness vary as well,
and a scene is a row of numbers (`Geometry`) from which it can be rendered at any size in pixels, so that more pixels
show more of the source, up to its own 28. Objects of the training scenes are larger by up to ZOOM, as by random
resized crops; those for validation and test are not.

The split of the sources into train, validation and test is drawn with the seed of the run: no source, be it object or
fragment, is in two of them, and a mean over seeds is one over splits. Every source of a split is as often the object
as any other. Fewer scenes are the first ones of each class.
Shapes: N scenes, K = 1 + FRAGMENTS things placed in a scene, H W pixels.
"""

from __future__ import annotations

import functools
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from replication.data import digits, small
from replication.data.splits import Dataset, Split
from replication.data_sources import DIVISIONS
from replication.records.words import UserError

VERSION = "2"  # raised when the same seed draws other scenes
FRAGMENTS = 1
SIZES = (0.6, 0.8)  # of an object, as shares of the canvas's side
ZOOM = 1.25  # of the largest of them, in training
FRAGMENT_SIZES = (0.2, 0.44)  # of the whole source of which a piece is cut
PIECE = 9 / 28  # side of the piece, of the source's
TURN = math.radians(10)
BRIGHTNESS = (0.75, 1.0)
NOISE = 0.05  # standard deviation of a pixel, black being 0 and white 1
MARGIN = 2  # black pixels put around a source, so that its border is one when it is turned
CHUNK = 500  # scenes rendered at a time
SMALLEST = 2 * digits.NATIVE_SIZE  # [px] smaller canvases are rendered at twice the size and averaged


@dataclass(frozen=True)
class Site:
    """A site is a kind of sources: their data set, the side that its things fill [px], and how many of each class.

    `sources` are numbers for train, validation and test, of each class.
    """

    dataset: str
    filled: int
    sources: tuple[int, int, int]


SITES = {
    "cluttered_digits": Site("digits", filled=20, sources=(300, 100, 100)),  # MNIST's digits are fitted into 20 x 20
    "cluttered_fashion": Site("fashion_mnist", filled=28, sources=(900, 100, 200)),
}
PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Geometry:
    """This is what N scenes show. Index 0 of K is the object; lengths are shares of the canvas, from -1 to 1."""

    source: np.ndarray  # (N, K) indices of sources
    centre: np.ndarray  # (N, K, 2), x and y
    size: np.ndarray  # (N, K)
    turn: np.ndarray  # (N, K) [radians]
    brightness: np.ndarray  # (N, K)
    corner: np.ndarray  # (N, K, 2) of the piece, as shares of the source's side

    def take_first(self, scenes: int) -> Geometry:
        """Take the first so many scenes."""
        return Geometry(*(getattr(self, name)[:scenes] for name in self.__dataclass_fields__))


def split_sources(labels: np.ndarray, site: Site, seed: int) -> dict[str, np.ndarray]:
    """Draw with `seed` the indices (sources of a class, classes) of each part; no index is in two of them.

    Raise `UserError` if a class has too few sources.
    """
    rng = _make_generator("split", seed)
    of_class = [rng.permutation(np.flatnonzero(labels == label)) for label in range(int(labels.max()) + 1)]
    wanted = sum(site.sources)
    if min(map(len, of_class)) < wanted:
        raise UserError(f"{site.dataset} has fewer than {wanted} images of some class")
    table = np.stack([one[:wanted] for one in of_class], axis=1)
    return dict(zip(PARTS, np.split(table, np.cumsum(site.sources)[:-1]), strict=True))


def draw(part: str, sources: np.ndarray, scenes: int, seed: int) -> Geometry:
    """Draw the geometry of scenes whose objects are the sources (sources of a class, classes) of a part in turn."""
    rng, things = _make_generator(part, seed), 1 + FRAGMENTS
    order = np.concatenate([rng.permutation(sources).ravel() for _ in range(math.ceil(scenes / sources.size))])[:scenes]
    smallest, largest = SIZES[0], SIZES[1] * (ZOOM if part == "train" else 1)
    place = rng.uniform(-1, 1, (scenes, things, 2))
    size = np.concatenate(
        [
            np.exp(rng.uniform(math.log(smallest), math.log(largest), (scenes, 1))),
            rng.uniform(*FRAGMENT_SIZES, (scenes, FRAGMENTS)),
        ],
        axis=1,
    )
    turn = rng.uniform(-1, 1, (scenes, things)) * np.where(np.arange(things) == 0, TURN, math.pi)
    place[:, 0] *= 1 - size[:, :1]  # the object lies inside the canvas
    return Geometry(
        source=np.concatenate([order[:, None], rng.choice(sources.ravel(), (scenes, FRAGMENTS))], axis=1),
        centre=place,
        size=size,
        turn=turn,
        brightness=rng.uniform(*BRIGHTNESS, (scenes, things)),
        corner=rng.uniform(0.2, 0.8 - PIECE, (scenes, things, 2)),
    )


def render(geometry: Geometry, sources: Tensor, site: Site, image_size: int, noise_seed: int) -> Tensor:
    """Render scenes (N, 1, H, W), uint8, at `image_size` [px], from `sources` (B, 1, 28, 28), uint8.

    Where things overlap the brightest is seen; then every pixel gets noise of its own.
    """
    noise = torch.Generator().manual_seed(noise_seed)
    framed = F.pad(sources, (MARGIN,) * 4)
    finer = 2 if image_size < SMALLEST else 1
    filled = site.filled / framed.shape[-1]
    parts = []
    for chunk in np.array_split(np.arange(len(geometry.source)), math.ceil(len(geometry.source) / CHUNK)):
        canvas = torch.zeros(len(chunk), 1, image_size, image_size)
        for thing in range(geometry.source.shape[1]):
            pixels = framed[torch.from_numpy(geometry.source[chunk, thing])].float() / 255
            if thing:
                pixels *= _mask_piece(geometry.corner[chunk, thing], framed.shape[-1])
            grid = F.affine_grid(
                _map_from_canvas(geometry, chunk, thing, filled), [len(chunk), 1, *[image_size * finer] * 2], False
            )
            shown = F.avg_pool2d(F.grid_sample(pixels, grid, align_corners=False), finer)
            canvas = torch.maximum(canvas, shown * _make_column(geometry.brightness[chunk, thing]))
        canvas += NOISE * torch.randn(canvas.shape, generator=noise)
        parts.append((canvas.clamp(0, 1) * 255).round().to(torch.uint8))
    return torch.cat(parts)


def locate_objects(geometry: Geometry) -> Tensor:
    """Return the square that the object of each scene fills before it is turned: (N, 4), as a `Split` has boxes."""
    half = geometry.size[:, :1]  # of the canvas's side, which is 2 long
    corners = np.concatenate([geometry.centre[:, 0] - half, geometry.centre[:, 0] + half], axis=1)
    return torch.from_numpy((corners + 1) / 2)


def _map_from_canvas(geometry: Geometry, chunk: np.ndarray, thing: int, filled: float) -> Tensor:
    """Compute affine maps (N, 2, 3) from places on the canvas to places in the source, as `affine_grid` takes them."""
    turn, side = geometry.turn[chunk, thing], geometry.size[chunk, thing] / filled
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) / side  # (2, 2, N)
    shift = -np.einsum("ijn,nj->in", turned, geometry.centre[chunk, thing])
    return torch.from_numpy(np.concatenate([turned, shift[:, None]], axis=1).transpose(2, 0, 1)).float()


def _mask_piece(corner: np.ndarray, side: int) -> Tensor:
    """Make masks (N, 1, H, W) that keep a square piece of `side` px of a source; its corner (N, 2) is in shares."""
    along = (np.arange(side) + 0.5) / side
    inside = (along >= corner[..., None]) & (along < corner[..., None] + PIECE)  # (N, 2, side)
    return torch.from_numpy(inside[:, 1, :, None] & inside[:, 0, None, :])[:, None].float()


def _make_column(values: np.ndarray) -> Tensor:
    return torch.from_numpy(values).float()[:, None, None, None]


def _derive_seed(what: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"cluttered/{VERSION}/{what}/{seed}".encode()).digest()[:7], "big")


def _make_generator(what: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(_derive_seed(what, seed)))


def load_sources(name: str, root: Path) -> tuple[Tensor, Tensor, str]:
    """Load the sources of a site: pixels (B, 1, 28, 28) and labels (B,), uint8, and their digest.

    Raise `UserError` if they are missing.
    """
    dataset = SITES[name].dataset
    if dataset == "digits":
        return *digits.load_raw(), digits.SHA256
    (pixels, labels), _, _ = small.read(dataset, root / dataset)
    return pixels, labels, hashlib.sha256(pixels.numpy().tobytes() + labels.numpy().tobytes()).hexdigest()


def make_scenes(name: str, root: Path, image_size: int, scenes: int, seed: int, mean: float, std: float) -> Split:
    """Make the first so many scenes of a site's test alone, normalised as is said.

    Raise `UserError` if the sources are missing.
    """
    site, (pixels, labels, _) = SITES[name], load_sources(name, root)
    geometry = draw("test", split_sources(labels.numpy(), site, seed)["test"], scenes, seed)
    shown = render(geometry, pixels, site, image_size, _derive_seed("noise/test", seed))
    of_objects = torch.from_numpy(geometry.source[:, 0])
    return Split((shown.float() / 255 - mean) / std, labels[of_objects].long(), locate_objects(geometry))


@functools.lru_cache(maxsize=2)
def load(name: str, root: Path, image_size: int, images: int | None, seed: int) -> Dataset[Split]:
    """Make the scenes of a site at `image_size` [px], drawn with `seed`; `images` takes the first of each split.

    Raise `UserError` if the sources are missing, or if `images` cannot keep the proportions of the splits and classes.
    """
    site, (pixels, labels, digest) = SITES[name], load_sources(name, root)
    sources = split_sources(labels.numpy(), site, seed)
    division = DIVISIONS[name]
    whole, scenes = division.whole, {p: n * division.classes for p, n in zip(PARTS, division.parts, strict=True)}
    images = whole if images is None else images
    division.check_images(name, images)
    geometry = {part: draw(part, sources[part], n, seed).take_first(n * images // whole) for part, n in scenes.items()}
    x = {part: render(geometry[part], pixels, site, image_size, _derive_seed(f"noise/{part}", seed)) for part in PARTS}
    mean, std = (float(of(x["train"].double() / 255)) for of in (torch.mean, torch.std))

    def split(part: str) -> Split:
        of_objects = torch.from_numpy(geometry[part].source[:, 0])
        return Split((x[part].float() / 255 - mean) / std, labels[of_objects].long(), locate_objects(geometry[part]))

    sha256 = hashlib.sha256(f"{digest}/{VERSION}/{seed}".encode()).hexdigest()
    return Dataset(split("train"), split("val"), split("test"), division.classes, sha256, (mean,), (std,))
