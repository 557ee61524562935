"""Eight classifiers in one pass of the images against a pass each, on pictures of ImageNet's usual size.

What one pass saves is reading: a picture of 500 x 375 px is decoded and resized once instead of eight times. So the
models are cheap: ViTs of width 64 with four blocks and patches of 32 px, which answer faster than a core decodes. Of
models that answer more slowly, as DeiT-Ti (`--model deit_ti`), the time on a processor is their own, and little is
saved; on a GPU reading is what most classifiers wait for.

    python -m benchmarks.one_pass --images 400 --workers 2
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from replication import papers
from replication.data.preprocessing import make_preprocessing
from replication.evaluation.images import open_photographs
from replication.evaluation.one_pass import Classifier, Pass, answer_all
from replication.models import build_variant
from replication.papers.parts.small_models import VIT

WIDTH, HEIGHT = 500, 375
MODELS = 8


def draw_photographs(folder: Path, number: int) -> None:
    """Draw pictures with as much detail as a photograph has: noise on every scale, saved as JPEG at quality 90."""
    made = np.random.default_rng(0)
    for index in range(number):
        scales = [
            np.asarray(
                Image.fromarray(made.integers(0, 256, (HEIGHT // cell + 2, WIDTH // cell + 2, 3), np.uint8)).resize(
                    (WIDTH, HEIGHT), Image.Resampling.BICUBIC
                ),
                float,
            )
            for cell in (4, 16, 64)
        ]
        path = folder / f"class{index % 2}" / f"{index:05d}.jpeg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.mean(scales, 0).astype(np.uint8)).save(path, quality=90)


def main() -> None:
    """Time both in turns, and print seconds and their ratio; the answers must be the same bit for bit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--model", default="", help="a model of the cards instead of the small ones")
    args = parser.parse_args()
    how = Pass("cpu", workers=args.workers)
    with tempfile.TemporaryDirectory() as name:
        draw_photographs(Path(name, "val"), args.images)
        variant = papers.find_variant(args.model) if args.model else VIT
        changes: dict[str, Any] = {} if args.model else {"patch_size": 32}
        data = open_photographs(Path(name, "val"), "drawn", make_preprocessing(variant, 224))

        def make(seed: int, folder: str) -> Classifier:
            torch.manual_seed(seed)
            model = build_variant(variant, 224, 1000, **changes)
            return Classifier(model, Path(name, folder, f"{seed}.npz"), "")

        for turn in range(args.rounds):
            started = time.perf_counter()
            together = answer_all([make(k, f"together{turn}") for k in range(MODELS)], data, "together", how=how)
            between = time.perf_counter()
            alone = [answer_all([make(k, f"alone{turn}")], data, f"alone {k}", how=how)[0] for k in range(MODELS)]
            ended = time.perf_counter()
            for a, b in zip(together, alone, strict=True):
                if not np.array_equal(a.log_probability, b.log_probability) or not np.array_equal(a.best, b.best):
                    raise SystemExit("one pass and a pass each give other answers")
            print(f"a pass each {ended - between:.1f} s, one pass {between - started:.1f} s: ", end="")
            print(f"{(ended - between) / (between - started):.2f} times as fast")


if __name__ == "__main__":
    main()
