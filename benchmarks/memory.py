"""Predicted against measured peak memory: each cell runs in a fresh process on the CPU and is held against VmHWM.

Weights and a small warm-up step are in place before the high-water mark is reset, so the rise is what the step itself
needs: activations, and in training the gradients that the warm-up did not leave.

    python -m benchmarks.memory --models vit_s16 pvt_small swin_t --image-size 448 --batch-size 8
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
from pathlib import Path

ONE_ARENA = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
"""Freed memory goes back to the system at once, so the high-water mark follows the live tensors."""
MIB = 2**20


def status(field: str) -> int:
    """A field of /proc/self/status [bytes]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def measure(model_id: str, image_size: int, batch_size: int, mode: str, attention: str) -> int:
    """Rise of the resident high-water mark over one step [bytes]. For a fresh process."""
    import torch
    from torch.nn import functional

    from replication import papers
    from replication.models import build_variant
    from replication.models.attention import set_attention

    variant = papers.variant(model_id)
    model = build_variant(variant, image_size).train(mode == "train")
    set_attention(model, attention)
    images = torch.randn(batch_size, 3, image_size, image_size)
    labels = torch.zeros(batch_size, dtype=torch.long)

    def step(n: int) -> None:
        with torch.set_grad_enabled(mode == "train"):
            logits = model(images[:n])
            if mode == "train":
                functional.cross_entropy(logits, labels[:n]).backward()

    step(1)
    model.zero_grad(set_to_none=True)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = status("VmRSS")
    step(batch_size)
    return status("VmHWM") - before


def predict(model_id: str, image_size: int, batch_size: int, mode: str, attention: str) -> int:
    """The same from shapes: the peak less what is there before the step, parameters, buffers and images [bytes]."""
    from replication import papers
    from replication.complexity.memory import peak_memory
    from replication.complexity.sweep import skeleton
    from replication.models.attention import set_attention

    model = set_attention(skeleton(papers.variant(model_id), image_size), attention)
    held = sum(t.nbytes for t in (*model.parameters(), *model.buffers())) + batch_size * 3 * image_size**2 * 4
    return peak_memory(model, image_size, batch_size, mode) - held


def main() -> None:
    """Print one line a cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=["vit_s16", "pvt_small", "swin_t"])
    parser.add_argument("--image-size", type=int, default=448)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--cell", nargs=2, metavar=("MODE", "ATTENTION"), help="measure one cell in this process")
    options = parser.parse_args()
    if options.cell:
        print(measure(options.models[0], options.image_size, options.batch_size, *options.cell))
        return
    print("model,mode,attention,predicted [MiB],measured [MiB],error [%]")
    for model_id in options.models:
        for mode in ("infer", "train"):
            for attention in ("math", "fused"):
                predicted = predict(model_id, options.image_size, options.batch_size, mode, attention)
                command = [sys.executable, "-m", "benchmarks.memory", "--models", model_id, "--cell", mode, attention]
                command += ["--image-size", str(options.image_size), "--batch-size", str(options.batch_size)]
                done = subprocess.run(command, env=os.environ | ONE_ARENA, capture_output=True, text=True, check=True)
                measured = int(done.stdout)
                error = 100 * (predicted / measured - 1)
                print(f"{model_id},{mode},{attention},{predicted / MIB:.0f},{measured / MIB:.0f},{error:+.1f}")


if __name__ == "__main__":
    main()
