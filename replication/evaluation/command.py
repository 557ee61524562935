"""The commands that evaluate released weights, and say how far timm's models are from the released ones."""

from __future__ import annotations

import argparse

from replication.commands import SEVERAL, SIZES, Command, add_corrupt, add_pass, make_integer_reader, read_path
from replication.records.words import LARGEST_SIDE


def _declare_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(*SEVERAL[::-1], required=True, metavar="ID")
    parser.add_argument(
        *SIZES[::-1],
        type=make_integer_reader(1, LARGEST_SIDE),
        required=True,
        metavar="PX",
        help="evaluate at this size; of a detector it is the short side",
    )
    parser.add_argument(
        "--checkpoint",
        type=read_path,
        required=True,
        help="load this file of the authors: .pth, .pth.tar, .bin, .ckpt, .safetensors, .npz",
    )
    parser.add_argument(
        "--images",
        type=read_path,
        required=True,
        help="read images here: a folder a class, as ImageNet's validation set; COCO, or ADE20K",
    )
    text = "say what the images are (default: imagenet-1k; coco for a detector, ade20k for a segmenter)"
    parser.add_argument("--dataset", default="", help=text)
    text = "let the mean over six scales and their mirror images decide, of a segmenter"
    parser.add_argument("--multi-scale", action="store_true", help=text)
    text = "name the record that the file is of by its id (default: the one that its name says)"
    parser.add_argument("--weights", default="", metavar="ID", help=text)
    text = "take N of the images, spread evenly, of classifiers"
    parser.add_argument("--some", type=make_integer_reader(1, 10**9), metavar="N", help=text)
    add_pass(parser)
    add_corrupt(parser)
    parser.add_argument("--out", type=read_path, required=True, help="write evaluation.csv to this folder")


def _evaluate(args: argparse.Namespace) -> None:
    from replication.evaluation import Asked, Pass, evaluate

    folders = args.checkpoint, args.images, args.out
    asked = Asked(args.model, args.image_size, *folders, args.dataset, args.weights, args.multi_scale)
    evaluate([asked], args.corrupt, Pass(args.device, args.precision, args.some, args.batch, args.workers))


def _declare_departures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=read_path, required=True, help="write this CSV")


def _write_departures(args: argparse.Namespace) -> None:
    from replication.evaluation.departures import write_departures

    write_departures(args.out)


COMMANDS = (
    Command(
        "evaluate",
        "accuracy of released weights on a folder of images: of classifiers, detectors or segmenters",
        _declare_evaluate,
        _evaluate,
        "evaluate --model deit_s --image-size 224 \\\n"
        "      --checkpoint deit_small_patch16_224-cd65a155.pth --images val --out results/by_hand",
    ),
    Command(
        "departures",
        "measure how far timm's defaults are from the released models",
        _declare_departures,
        _write_departures,
        "departures --out departures.csv",
    ),
)
