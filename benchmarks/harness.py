"""What the clock of `replication.speed` adds to a bare loop, on one cell: ViT-Ti/16 at 224 px, batch 1, one thread.

Beside it: `torch.utils.benchmark.Timer.blocked_autorange`, and the convention of timm's benchmark.py (steps in a row,
total time over their number: a mean). All take turns in an order drawn anew every round, each after one untimed step,
so that noise hits all alike; ratios are of the rounds' medians, paired by round, with 95 % intervals over the rounds.
The last lines time an empty step, on which nothing but the clock shows.

    python -m benchmarks.harness --rounds 30
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable

import torch
from torch.utils.benchmark import Timer

from replication import papers
from replication.intervals import estimate_median, estimate_ratio
from replication.models import build_variant
from replication.models.attention import set_attention
from replication.speed import watch
from replication.speed.clock import Clock, Step

CPU = torch.device("cpu")
BARE = "bare perf_counter loop"


def ours(step: Step, samples: int) -> list[float]:
    """A block as the suite times it, the counters of the machine's load read before and after."""
    watch.read_load()
    times = Clock(CPU)(step, samples)
    watch.read_load()
    return times


def bare(step: Step, samples: int) -> list[float]:
    """The loop anyone would write."""
    times = []
    for _ in range(samples):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def torch_timer(step: Step, samples: int) -> list[float]:
    """PyTorch's own, for as long as `samples` steps take; it chooses how many runs make one of its times."""
    seconds = samples * min(bare(step, 3))
    return Timer("step()", globals={"step": step}, num_threads=1).blocked_autorange(min_run_time=seconds).times


def timm_convention(step: Step, samples: int) -> list[float]:
    """One mean."""
    start = time.perf_counter()
    for _ in range(samples):
        step()
    return [(time.perf_counter() - start) / samples]


CONTENDERS: dict[str, Callable[[Step, int], list[float]]] = {
    BARE: bare,
    "replication.speed": ours,
    "torch.utils.benchmark": torch_timer,
    "timm's convention": timm_convention,
}


def compare(step: Step, rounds: int, samples: int) -> dict[str, list[list[float]]]:
    """Seconds by contender and round."""
    times: dict[str, list[list[float]]] = {name: [] for name in CONTENDERS}
    order = list(CONTENDERS)
    for _ in range(10):
        step()
    for number in range(rounds):
        random.Random(number).shuffle(order)
        for name in order:
            step()
            times[name].append(CONTENDERS[name](step, samples))
    return times


def main() -> None:
    """Print one line a contender and step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30, help="at least 2 (default: %(default)s)")
    parser.add_argument("--samples", type=int, default=20, help="steps a round and contender (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = set_attention(build_variant(papers.find_variant("vit_ti16"), 224).eval(), "math")
    image = torch.randn(1, 3, 224, 224)
    before = watch.read_load()
    print("step,contender,median [s],times the bare loop,low,high")
    with torch.inference_mode():
        for name, step in {"ViT-Ti/16": lambda: model(image), "nothing": lambda: None}.items():
            times = compare(step, options.rounds, options.samples)
            for contender, blocks in times.items():
                ratio, low, high = estimate_ratio(blocks, times[BARE])
                median = estimate_median(blocks)[0]
                print(f"{name},{contender},{median:.4g},{ratio:.4f},{low:.4f},{high:.4f}")
    after = watch.read_load()
    for reason in watch.explain_load([after.subtract(before)] if before and after else []):
        print(f"not quiet: {reason}")


if __name__ == "__main__":
    main()
