"""Each authors' way from a photograph to an input, against a computation written out with PIL and NumPy."""

import numpy as np
import pytest
from PIL import Image

from replication import papers
from replication.data.preprocessing import make_preprocessing

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@pytest.fixture
def photograph() -> Image.Image:
    """Noise, 450 px wide and 300 high."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 450, 3), dtype=np.uint8))


def processed(model: str, image_size: int, photograph: Image.Image) -> np.ndarray:
    return make_preprocessing(papers.find_variant(model), image_size)(photograph).numpy()


def normalised(image: np.ndarray, moments: tuple[tuple[float, ...], tuple[float, ...]]) -> np.ndarray:
    """(H, W, 3) in 0..1 to (3, H, W)."""
    mean, std = moments
    return ((image - mean) / std).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("model", "image_size", "resized", "left", "top", "moments"),
    [
        ("deit_s", 224, (384, 256), 80, 16, IMAGENET),  # 224 / 0.875 = 256, and 256 * 450 / 300 = 384
        ("deit_b", 384, (657, 438), 136, 27, IMAGENET),  # 384 / 0.875 = 438.9: the same ratio at 384
        ("swin_t", 224, (384, 256), 80, 16, IMAGENET),
        ("pvt_tiny", 224, (384, 256), 80, 16, IMAGENET),
        ("vit_small_16", 224, (384, 256), 80, 16, IMAGENET),  # PVT's authors trained it with DeiT's recipe
        ("tnt_s", 224, (372, 248), 74, 12, HALF),  # 224 / 0.9 = 248.9
    ],
)
def test_the_centre_of_the_resized_photograph(
    photograph: Image.Image,
    model: str,
    image_size: int,
    resized: tuple[int, int],
    left: int,
    top: int,
    moments: tuple[tuple[float, ...], tuple[float, ...]],
) -> None:
    whole = np.asarray(photograph.resize(resized, Image.Resampling.BICUBIC)) / 255
    expected = normalised(whole[top : top + image_size, left : left + image_size], moments)
    np.testing.assert_allclose(processed(model, image_size, photograph), expected, atol=1e-5)


def test_swin_at_384_sees_the_whole_photograph(photograph: Image.Image) -> None:
    expected = normalised(np.asarray(photograph.resize((384, 384), Image.Resampling.BICUBIC)) / 255, IMAGENET)
    np.testing.assert_allclose(processed("swin_b", 384, photograph), expected, atol=1e-5)


def bilinear(size: int, length: int) -> np.ndarray:
    """The matrix (size, length) of a bilinear resize: output i reads its input (i + 1/2) length / size - 1/2."""
    place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    return np.clip(1 - abs(place[:, None] - np.arange(length)), 0, None)


@pytest.mark.parametrize("model", ["vit_b16", "r50_vit_b16"])
def test_the_jax_release_sees_the_whole_photograph_without_antialiasing(photograph: Image.Image, model: str) -> None:
    rows = np.tensordot(bilinear(224, 300), np.asarray(photograph) / 255, axes=1)  # (224, 450, 3)
    squeezed = np.tensordot(bilinear(224, 450), rows, axes=(1, 1)).transpose(1, 0, 2)
    np.testing.assert_allclose(processed(model, 224, photograph), normalised(squeezed, HALF), atol=1e-4)
