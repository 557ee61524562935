"""Plan configurations with values, keys and recipes drawn at random: each must end in a plan or in one line.

`python -m tests.faults.configuration_loop --trials 10000 --seed 1` tries more of those that tests/plan tries a few of.
"""

from __future__ import annotations

import argparse
import collections
import re
import time
import traceback
from random import Random

from tests.plan.test_random_configurations import distorted, outcome


def main() -> None:
    """Try so many, and say how they ended; status 1 if one ended in a traceback or in several lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    random, outcomes = Random(args.seed), collections.Counter[str]()
    messages, slowest = set[str](), 0.0
    for _ in range(args.trials):
        config, began = distorted(random), time.process_time()
        try:
            ended = outcome(config)
        except Exception:
            print(f"TRACEBACK of {config}:\n{traceback.format_exc()}", flush=True)
            ended = "TRACEBACK"
        slowest = max(slowest, time.process_time() - began)
        if not ended.isprintable():
            print(f"SEVERAL LINES of {config}: {ended!r}", flush=True)
            ended = "SEVERAL LINES"
        messages.add(re.sub(r"[^a-z ]+.*", "", ended))
        outcomes[ended if ended.isupper() or ended == "planned" else "one line"] += 1
    print(f"{dict(outcomes)}, {len(messages)} kinds of message, {slowest:.2f} s of processor at most")
    raise SystemExit(any(ended.isupper() for ended in outcomes))


if __name__ == "__main__":
    main()
