"""Seconds to count one cell (parameters, and multiply-adds three ways), against timm's way of profiling a model.

timm's benchmark.py builds the model with real weights and lets fvcore trace a real image through it; counted that way
a size that does not fit in memory cannot be counted at all. Ours runs on shapes, so it takes 4096 px like any other.
The average includes the start-up: imports, spread over the cells.

    python -m benchmarks.counting --models vit_s16 pvt_small swin_t --image-sizes 224 448 896
"""

from __future__ import annotations

import argparse
import time

from replication.schema import fill_defaults


def main() -> None:
    """Print one line a cell, then the averages and the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", metavar="ID", help="default: every model with a sweep")
    parser.add_argument("--image-sizes", nargs="+", type=int, metavar="PX", help="default: that of a configuration")
    options = parser.parse_args()
    sizes = options.image_sizes or fill_defaults({})["complexity"]["image_sizes"]

    start = time.perf_counter()
    import torch

    from replication import papers
    from replication.complexity.counters import Counts, count
    from replication.complexity.sweep import build_skeleton

    torch.set_num_threads(1)
    startup = time.perf_counter() - start

    def ours(model_id: str, image_size: int) -> tuple[Counts, int]:
        variant = papers.find_variant(model_id)
        model = build_skeleton(variant, image_size)
        return count(model, variant, image_size), sum(p.numel() for p in model.parameters())

    print("model,image_size,params [M],macs [G],seconds")
    spent: list[float] = []
    for model_id in options.models or [key for key, variant in papers.list_variants().items() if variant.sweep]:
        for size in sizes:
            if papers.find_variant(model_id).allows(size):
                start = time.perf_counter()
                counts, params = ours(model_id, size)
                spent.append(time.perf_counter() - start)
                print(f"{model_id},{size},{params / 1e6:.2f},{counts.dispatch / 1e9:.3f},{spent[-1]:.2f}", flush=True)
    mean = (startup + sum(spent)) / len(spent)
    print(f"{len(spent)} cells, {mean:.2f} s a cell with the start-up of {startup:.1f} s")

    for name, profile in (("ours", lambda: ours("swin_t", 224)), ("timm's way", timm_profile)):
        start = time.perf_counter()
        profile()
        print(f"Swin-T at 224 px, {name}: {time.perf_counter() - start:.2f} s")
    start = time.perf_counter()
    counts, _ = ours("vit_b16", 4096)
    print(f"ViT-B/16 at 4096 px: {counts.dispatch / 1e12:.2f} TMACs in {time.perf_counter() - start:.2f} s")
    print(f"    at inference it would need {counts.peak_memory / 2**30:.0f} GiB with unfused attention")


def timm_profile() -> tuple[int, int]:
    """What timm's benchmark.py does in `profile_fvcore`: operations and activations of real tensors."""
    import timm
    import torch
    from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

    model = timm.create_model("swin_tiny_patch4_window7_224").eval()
    image = torch.ones(1, 3, 224, 224)
    analyses = FlopCountAnalysis(model, image), ActivationCountAnalysis(model, image)
    operations, activations = (
        a.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total() for a in analyses
    )
    return operations, activations


if __name__ == "__main__":
    main()
