"""The commands that evaluate released weights, and say how far timm's models are from the released ones."""

from __future__ import annotations

import argparse
from pathlib import Path

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


def _declare_evaluations(parser: argparse.ArgumentParser) -> None:
    text = "evaluate these: <id or model_size of weights>/<images>/<image size>, as folders of results are called"
    parser.add_argument("--names", nargs="+", required=True, metavar="NAME", help=text)
    text = "look for weights in this folder, called by their ids or as their authors do"
    parser.add_argument("--checkpoints", type=read_path, required=True, metavar="FOLDER", help=text)
    parser.add_argument("--images", type=read_path, required=True, metavar="FOLDER", help="read the images here")
    add_pass(parser)
    add_corrupt(parser)
    parser.add_argument("--out", type=read_path, required=True, help="write a folder for each name to this folder")


def _evaluate_together(args: argparse.Namespace) -> None:
    from replication.evaluation import Asked, Pass, evaluate
    from replication.papers.parts.weights import read_weights
    from replication.released import find_named

    found = [find_named(args.checkpoints, name) for name in args.names]
    asked = [
        Asked(
            one.model,
            one.image_size,
            Path(one.checkpoint),
            args.images,
            args.out / one.name,
            one.dataset,
            one.weights if one.weights in read_weights() else "",
            one.multi_scale,
        )
        for one in found
    ]
    evaluate(asked, args.corrupt, Pass(args.device, args.precision, None, args.batch, args.workers))


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
        "evaluations",
        "evaluate several released weights, whose images are read once where they are prepared alike",
        _declare_evaluations,
        _evaluate_together,
        "evaluations --names deit_ti_224/imagenet/224 deit_s_224/imagenet/224 \\\n"
        "      --checkpoints data/checkpoints --images val --out results/by_hand",
    ),
    Command(
        "departures",
        "measure how far timm's defaults are from the released models",
        _declare_departures,
        _write_departures,
        "departures --out departures.csv",
    ),
)
