"""The commands that look into classifiers."""

from __future__ import annotations

import argparse

from replication.commands import (
    SEVERAL,
    SIZES,
    Command,
    Group,
    Stage,
    add_corrupt,
    add_trained_arm,
    list_trained_arm,
    make_integer_reader,
    read_path,
)
from replication.records.words import LARGEST_SIDE


def _look_into_arm(args: argparse.Namespace) -> None:
    from replication.insight.classifiers.run import run

    run(*list_trained_arm(args))


def _declare_photographs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(*SEVERAL[::-1], required=True, metavar="ID")
    parser.add_argument(*SIZES[::-1], type=make_integer_reader(1, LARGEST_SIDE), required=True, metavar="PX")
    parser.add_argument("--checkpoint", type=read_path, required=True, help="load this file of the authors")
    parser.add_argument("--images", type=read_path, required=True, help="read photographs anywhere below this folder")
    text = "take N of the photographs, spread evenly (default: %(default)s; the paper takes 128)"
    parser.add_argument("--some", type=make_integer_reader(1, 10**4), default=16, metavar="N", help=text)
    add_corrupt(parser)
    parser.add_argument("--out", type=read_path, required=True, help="write the figure and its data to this folder")


def _look_at_photographs(args: argparse.Namespace) -> str:
    from replication.insight.classifiers.photographs import look_at_photographs

    where = args.checkpoint, args.images, args.some, args.corrupt, args.out
    return look_at_photographs(args.model, args.image_size, *where)


COMMANDS = (
    Group(
        "inside",
        "look into classifiers: filters, positions, attention, receptive fields, what each depth knows",
        (
            Command(
                "photographs",
                "released weights on any folder of photographs: ViT's Figure 7, attention rolled out",
                _declare_photographs,
                _look_at_photographs,
                "inside photographs --model vit_b16 --image-size 224 \\\n"
                "      --checkpoint vit_b16_224.npz --images photographs --out results/by_hand",
                Stage.EXAMINE,
            ),
            Command(
                "arm",
                "those that one arm ended with, and as they were before their training",
                add_trained_arm,
                _look_into_arm,
                "inside arm --experiment vit_resolution --arm pretrain --seeds 0 1 \\\n"
                "      --weights results/training/vit_resolution/pretrain --out results/by_hand",
                Stage.EXAMINE,
            ),
        ),
        Stage.EXAMINE,
    ),
)
