"""This command times models."""

from __future__ import annotations

import argparse

from replication.commands import (
    MODELS,
    SEVERAL,
    SIZES,
    Command,
    add_device,
    make_integer_reader,
    make_number_reader,
    read_image_size,
    read_path,
)
from replication.records.condition import read_condition
from replication.records.words import UserError
from replication.schema import read_bounds, read_default

MOST_THREADS = 4096
"""No machine has more; those of this one are known when the command runs."""


def _declare_speed(parser: argparse.ArgumentParser) -> None:
    subjects = parser.add_argument_group("what is timed")
    subjects.add_argument(
        *SEVERAL, nargs="+", default=[], metavar="ID", help=f"{MODELS}; all ratios are to the first that is timed"
    )
    subjects.add_argument(
        *SIZES,
        nargs="+",
        type=read_image_size,
        default=[],
        metavar="PX",
        help="time at these sizes: 224, or 800x1280 (default: each one's own)",
    )
    subjects.add_argument(
        "--published",
        action="store_true",
        help="before them, time what the papers' tables of speed time, DeiT-S first; attention mechanisms alone over "
        "grids of tokens; and this machine's limits, a matrix product and a copy",
    )
    subjects.add_argument(
        "--tables",
        nargs="+",
        default=[],
        metavar="TABLE",
        help="with --published, time the models of these tables only: swin/table1a (default: of all)",
    )
    subjects.add_argument(
        "--largest",
        type=make_number_reader("speed.largest"),
        metavar="GMACS",
        help="leave out cells that cost more multiply-adds an image (default: none)",
    )
    condition = parser.add_argument_group("the condition")
    standard = read_condition(read_default("speed.conditions")[0])
    add_device(condition)
    condition.add_argument(
        "--precision",
        default=standard.precision,
        help="fp32 (no TF32), bf16, amp-bf16 (autocast); on a GPU also tf32, fp16, amp-fp16 (default: %(default)s)",
    )
    condition.add_argument(
        "--attention",
        default=standard.attention,
        help="math: the matrix of weights is formed, as in the papers' days; fused: PyTorch's kernels "
        "(default: %(default)s)",
    )
    condition.add_argument(
        "--mode",
        default=standard.mode,
        help="infer; or train: forward, cross-entropy, backward (default: %(default)s)",
    )
    condition.add_argument(
        "--batch-size",
        type=make_integer_reader(*read_bounds("complexity.batch_sizes")),
        default=standard.batch_size,
        metavar="B",
        help="default: %(default)s",
    )
    condition.add_argument("--compiled", action="store_true", help="compile the models by torch.compile")
    condition.add_argument(
        "--channels-last", action="store_true", help="hold images and convolutions with channels last"
    )
    condition.add_argument(
        "--threads",
        type=make_integer_reader(1, MOST_THREADS),
        metavar="N",
        help="default, and most: one for each core that it may use",
    )
    protocol = parser.add_argument_group("how long, and where to")
    protocol.add_argument(
        "--blocks",
        type=make_integer_reader(1, read_bounds("speed.blocks")[1]),
        default=read_default("speed.blocks"),
        metavar="N",
        help="default: %(default)s",
    )
    protocol.add_argument(
        "--block-seconds",
        type=make_number_reader("speed.block_seconds"),
        default=read_default("speed.block_seconds"),
        metavar="S",
        help="time a cell for so long in a block, at least two steps (default: %(default)s)",
    )
    protocol.add_argument(
        "--memory", nargs="+", default=[], metavar="ID", help="measure the peak memory of these as well (needs --out)"
    )
    protocol.add_argument(
        "--out",
        type=read_path,
        help="write cells.csv, samples.csv, memory.csv and cells.json to this folder (default: print only)",
    )


def _time_models(args: argparse.Namespace) -> str:
    import torch

    from replication.speed.condition import Condition
    from replication.speed.published import list_model_cells, list_published_cells
    from replication.speed.run import run, show

    if not args.published and not args.models:
        raise UserError("name models, as in --models deit_s swin_t, or take those of the papers' tables: --published")
    if args.tables and not args.published:
        raise UserError("--tables says which of the papers' tables are timed; it goes with --published")
    cells = list_published_cells(args.tables) if args.published else []
    cells += [cell for cell in list_model_cells(args.models, args.image_sizes) if cell not in cells]
    device = args.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    condition = Condition(
        device, args.precision, args.attention, args.mode, args.batch_size, args.compiled, args.channels_last
    )
    rows = run(cells, condition, args.blocks, args.block_seconds, args.out, args.largest, args.threads, args.memory)
    return show(rows)


_EXPLANATION = """Latency is a batch of 1, the default; throughput a larger one. All cells of
a run are timed in turns, in blocks, so that their ratios hold though the
machine drifts; intervals (95 %) are over blocks. A row is not valid, and says
why, where the times varied or the machine did something else as well."""

COMMANDS = (
    Command(
        "speed",
        "time models in turns: latency, throughput, and how they compare, with intervals",
        _declare_speed,
        _time_models,
        "speed --models deit_s swin_t pvt_small \\\n      --image-sizes 224 384",
        explanation=_EXPLANATION,
    ),
)
