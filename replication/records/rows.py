"""The rows of every CSV that the suite writes, a class each; writer and reader share it."""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any

from replication.records.words import Size

CellName = tuple[str, str, str]
"""Table, row and column of a published number within its card."""


def make_slug(label: str) -> str:
    """Make of a label of a row or column what ids hold: `DeiT-S*, 224` becomes `deit-s-star-224`."""
    text = label.lower().replace("*", "-star").replace("+", "-plus-")
    return re.sub(r"[^a-z0-9.]+", "-", text).strip("-.")


def make_claim_id(paper: str, claim: str) -> str:
    """Make the id of a claim among all numbers and claims."""
    return f"{paper}/claims/{claim}"


def name_subject(mechanism: str) -> str:
    """Name an attention mechanism as it is called among models: `global` is `global_attention`."""
    return f"{mechanism}_attention"


@dataclass(frozen=True)
class _OfNumber:
    """A row about one number that a paper prints; `id` is made from the other four and never changes."""

    id: Annotated[str, "Made from the columns after it; it never changes."] = field(init=False)
    paper: Annotated[str, "Key of the paper's card."]
    table: Annotated[str, "Table of the paper, as the card names it."]
    row: Annotated[str, "Row of the table, as printed."]
    column: Annotated[str, "Column of the table, as printed."]

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.paper}/{self.table}/{make_slug(self.row)}/{make_slug(self.column)}")


@dataclass(frozen=True)
class Published(_OfNumber):
    """One number as printed. `value` keeps its printed digits: they decide what 'the same number' means."""

    model: Annotated[str, "Id of our model; a label, or an arm as experiment/arm, where no model of a card is meant."]
    image_size: Annotated[
        Size | None, "Side of square images, or HEIGHTxWIDTH; of a mechanism the side of its token grid.", "px"
    ]
    dataset: Annotated[str, "The data set that the number is of."]
    metric: Annotated[str, "What is measured."]
    value: Annotated[Decimal, "The number with its printed digits, in `unit`."]
    unit: Annotated[str, "Unit of the number; empty for ones."]
    hardware: Annotated[str, "What the paper says that it was measured on."]
    source: Annotated[str, "Where the paper prints it."]
    verified: Annotated[str, "How the printed number was read: yes, partly, secondary, parser, or no (recalled)."]
    note: Annotated[str, "What the transcript says of it."]

    @property
    def name(self) -> CellName:
        """Table, row and column, which no other number of the paper has."""
        return self.table, self.row, self.column


@dataclass(frozen=True)
class Weight:
    """Weights that somebody has published: a file, and how its publishers prepare images for it.

    Two of one file with other preprocessing are two. Files that are fetched are called by the id.
    """

    id: Annotated[str, "Made from the model that it stands for, the image size, and what tells it from others of them."]
    model: Annotated[str, "Id of the model that takes it; the suite need not build it."]
    image_size: Annotated[int, "Side of a classifier's square; of a detector or segmenter, of the short side.", "px"]
    task: Annotated[str, "classification, detection or segmentation."]
    urls: Annotated[str, "Addresses with spaces between, the first first; `hf-hub:` stands for a model of that hub."]
    called: Annotated[str, "What its publishers call the file, with spaces between several names."]
    sha256: Annotated[str, "First digits of the file's SHA-256 as published; empty where none is."]
    megabytes: Annotated[float | None, "Size of the file, where the source states one.", "MB"]
    crop: Annotated[
        float | None, "Image size over the short side; empty if the model's card says how images are prepared."
    ]
    interpolation: Annotated[str, "bicubic or bilinear; empty if the card says."]
    mean: Annotated[str, "imagenet or half (values to -1..1); empty if the card says."]
    printed: Annotated[str, "What the source prints of its accuracy, metric=value in percent, with spaces between."]
    licence: Annotated[str, "Licence of the weights or of the repository with them; `none stated` if there is none."]
    licence_source: Annotated[str, "Where the licence was read; empty if it is recalled."]
    source: Annotated[str, "Where the address is printed: repository, commit and file."]
    obstacle: Annotated[str, "Why the suite cannot evaluate it; empty if nothing but the model may be missing."]

    @property
    def terms(self) -> str:
        """The licence, and whether somebody read it or remembers it."""
        return self.licence if self.licence_source else f"{self.licence} (recalled)"


@dataclass(frozen=True)
class Measured:
    """One number of ours, in base units (ones, bytes, seconds, percent), with its interval where it has one."""

    model: Annotated[str, "Id of our model; a label, or an arm as experiment/arm, where no model of a card is meant."]
    image_size: Annotated[
        Size | None, "Side of square images, or HEIGHTxWIDTH; of a mechanism the side of its token grid.", "px"
    ]
    dataset: Annotated[str, "The data set that the number is of."]
    metric: Annotated[str, "Made from `quantity` to `condition`; it names what is measured, and under what."] = field(
        init=False
    )
    value: Annotated[float, "The number, in `unit`."]
    unit: Annotated[str, "Unit of the number; empty for ones."]
    ci_low: Annotated[float | None, "Lower end of the 95 % interval."]
    ci_high: Annotated[float | None, "Upper end of the 95 % interval."]
    n: Annotated[int | None, "How many samples, blocks or seeds it rests on."]
    scale: Annotated[str, "Scale of the run: exact, smoke, laptop, gpu or full."]
    machine: Annotated[str, "The processor, or the GPU where that did the work."]
    seed_set: Annotated[str, "The seeds, with spaces between."]
    source_file: Annotated[str, "The CSV that it was taken from."]
    quantity: Annotated[str, "What is measured, alone: params, macs, peak_memory, throughput, slope, top1."]
    cost: Annotated[str, "Of a slope or a crossover: the cost that grows, macs or peak_memory."] = ""
    mode: Annotated[str, "infer or train; empty where it makes no difference, and of a mechanism, which infers."] = ""
    attention: Annotated[str, "Policy: math (keeps the matrix of weights) or fused; empty if it changes nothing."] = ""
    part: Annotated[str, "Of multiply-adds: attention (its products), linear (the rest), or whole, of a curve."] = ""
    batch_size: Annotated[int | None, "Images in a step; empty for what is counted of one image."] = None
    condition: Annotated[str, "Of a speed: the name of the condition that it was timed under."] = ""
    experiment: Annotated[str, "Of a training: id of the experiment."] = ""
    arm: Annotated[str, "Of a training: id of the experiment's arm."] = ""
    weights: Annotated[str, "Of an evaluation, the id of the weights; of a disagreement, its two sides."] = ""
    precision: Annotated[str, "Of an evaluation, the number formats: fp32, bf16 or fp16."] = ""

    def __post_init__(self) -> None:
        batch = f"batch{self.batch_size}" if self.batch_size not in (None, 1) else ""
        under = [self.condition] if self.condition else [self.cost, self.mode, self.attention, self.part, batch]
        object.__setattr__(self, "metric", "_".join(filter(None, [self.quantity, *under])))


@dataclass(frozen=True)
class Verdict(_OfNumber):
    """What became of one published number."""

    model: Annotated[str, "Id of our model; a label, or an arm as experiment/arm, where no model of a card is meant."]
    image_size: Annotated[
        Size | None, "Side of square images, or HEIGHTxWIDTH; of a mechanism the side of its token grid.", "px"
    ]
    dataset: Annotated[str, "The data set that the number is of."]
    metric: Annotated[str, "What is measured."]
    published: Annotated[Decimal, "The number with its printed digits, in `unit`."]
    unit: Annotated[str, "Unit of the number; empty for ones."]
    verified: Annotated[str, "How the printed number was read: yes, partly, secondary, parser, or no (recalled)."]
    measured: Annotated[float | None, "Our number in the printed unit."]
    ratio: Annotated[float | None, "`measured` over `published`."]
    verdict: Annotated[
        str,
        "reproduced, differs, confirmed elsewhere, differs elsewhere, not comparable, evaluate, fine-tune, train, "
        "not public, or not attempted.",
    ]
    reason: Annotated[str, "Why."]
    command: Annotated[str, "The command that gives our number."]
    witness: Annotated[float | None, "What others found, in `unit`: their median, or the mean of their trainings."] = (
        None
    )
    witness_low: Annotated[float | None, "The least that they found, or the lower end of the mean's interval."] = None
    witness_high: Annotated[float | None, "The most that they found, or the upper end of the mean's interval."] = None
    witness_kind: Annotated[str, "same weights, same architecture retrained, or same number quoted."] = ""
    witnesses: Annotated[int | None, "How many witnesses that is, those that are sure or likely."] = None
    witness_source: Annotated[str, "Where the median is printed, or each of the trainings, with ` ; ` between."] = ""
    weights: Annotated[
        str, "Of an accuracy, the id of the weights that stand for it, or that it starts from, or both that disagree."
    ] = ""


@dataclass(frozen=True)
class Summary:
    """How many numbers of a paper got which verdict; the last row, `all`, is their sum.

    A hyper-parameter builds our model: that the two agree is no measurement, so they have a column of their own. A
    field's `column` is its name in the CSV, where no field can have it.
    """

    paper: Annotated[str, "Key of the paper's card, or all."]
    reproduced: Annotated[int, "Numbers that ours agrees with."]
    differs: Annotated[int, "Numbers that ours does not agree with."]
    confirmed_elsewhere: Annotated[int, "Accuracies that others confirm and we have not measured."] = field(
        metadata={"column": "confirmed elsewhere"}
    )
    differs_elsewhere: Annotated[int, "Accuracies that others find another value of and we have not measured."] = field(
        metadata={"column": "differs elsewhere"}
    )
    not_comparable: Annotated[int, "Numbers in units or on hardware that cannot be converted."] = field(
        metadata={"column": "not comparable"}
    )
    evaluate: Annotated[int, "Accuracies of published weights that nobody has evaluated here."]
    fine_tune: Annotated[int, "Accuracies of published weights to fine-tune."] = field(metadata={"column": "fine-tune"})
    train: Annotated[int, "Accuracies of trainings whose weights nobody published."]
    not_public: Annotated[int, "Accuracies of what was never published."] = field(metadata={"column": "not public"})
    not_attempted: Annotated[int, "Numbers that nothing here measures."] = field(metadata={"column": "not attempted"})
    hyper_parameters: Annotated[int, "Hyper-parameters that build our models."] = field(
        metadata={"column": "hyper-parameters"}
    )
    numbers: Annotated[int, "All of them."]


@dataclass(frozen=True)
class Network:
    """A trained network that others have evaluated or trained again, and what tells which numbers are of it."""

    id: Annotated[str, "Model and image size or recipe: deit_s@224, resnet50:tv_in1k, retinanet_resnet50:1x."]
    model: Annotated[str, "Id of our model, or its label in the papers where the suite builds none."]
    image_size: Annotated[int | None, "Side of its images; of a detector, of the short side; empty for any.", "px"]
    schedule: Annotated[str, "Length of the training, where several are printed: 1x, 3x, 160k, 500 epochs."]
    pretraining: Annotated[str, "The data set that it was trained on before; empty for ImageNet-1k or none."]
    owner: Annotated[str, "Who keeps the record that papers quote of it, if a witness is that record."]
    metric: Annotated[str, "The metric of `printed`."]
    printed: Annotated[
        Decimal | None, "What its owner prints of this very file, or else the paper of the network.", "%"
    ]
    owned: Annotated[int | None, "1 if its owner prints it of this very file, 0 if a paper prints it of the network."]
    names: Annotated[str, "What tables call it beside its model, separated by `; `."]
    source: Annotated[str, "Where `printed` is read."]


@dataclass(frozen=True)
class Witness:
    """One number that somebody else than a paper's authors measured of a trained network, or of a training repeated."""

    id: Annotated[str, "E and a number for an evaluation, R and a number for a training."]
    networks: Annotated[str, "Ids of the networks that it evaluates or trains again, with spaces between."]
    kind: Annotated[str, "evaluation (of the very weights) or training (another one of the same network)."]
    image_size: Annotated[Size, "Side of the images; of a detector, of the short side.", "px"]
    dataset: Annotated[str, "The data set that the number is of."]
    metric: Annotated[str, "What is measured; miou_ms at several scales."]
    value: Annotated[Decimal, "The number as it is printed.", "%"]
    crop: Annotated[str, "Share of the resized image that the crop keeps, where it is told."]
    interpolation: Annotated[str, "How images are resized, where it is told."]
    recipe: Annotated[str, "Of a training: same (the authors' code or recipe) or similar."]
    relation: Annotated[str, "third party, same institution, or author (again)."]
    reached: Annotated[int, "0 if it is told of as a training that did not reach the number, else 1."]
    epochs: Annotated[int | None, "Epochs of a training, where they are told."]
    batch: Annotated[int | None, "Images in a step of a training, where they are told."]
    runs: Annotated[int | None, "Trainings that the number stands for."]
    same_as: Annotated[str, "Id of another witness of the very same training, which counts in its stead."]
    who: Annotated[str, "Who measured it."]
    date: Annotated[str, "When the source was last changed."]
    source: Annotated[str, "Key in sources.csv, and the file and line there; or the address of a thread."]


@dataclass(frozen=True)
class WitnessSource:
    """A public repository, at the state in which its numbers were read."""

    key: Annotated[str, "What `source` of a witness begins with."]
    address: Annotated[str, "Repository@commit, or the release."]
    licence: Annotated[str, "The licence of the repository."]


@dataclass(frozen=True)
class Evidence:
    """One witness of one published number, as the rule finds it."""

    number: Annotated[str, "Id of the published number."]
    witness: Annotated[str, "Id of the witness in replication/witnesses/witnesses.csv."]
    kind: Annotated[str, "same weights, same architecture retrained, or same number quoted."]
    confidence: Annotated[str, "sure, likely or weak: how sure it is that it is of the same thing."]
    value: Annotated[Decimal, "The witness's number in the unit of the published one."]
    difference: Annotated[Decimal, "`value` less the published number, in its unit."]
    source: Annotated[str, "Where the witness's number is printed: repository@commit:path:line, or a thread."]


@dataclass(frozen=True)
class Stack:
    """A public benchmark: machine, software and setting of a file of speeds."""

    id: Annotated[str, "Name of the stack."]
    mode: Annotated[str, "inference or training."]
    device: Annotated[str, "The GPU or processor."]
    precision: Annotated[str, "Number formats."]
    channels_last: Annotated[int, "1 if images are stored channels last, else 0."]
    compiled: Annotated[int, "1 if torch.compile was used, else 0."]
    software: Annotated[str, "The framework and its version."]
    date: Annotated[str, "When the file was published."]
    who: Annotated[str, "Who timed it."]
    source: Annotated[str, "Repository@commit, and the path where all speeds are in one file."]
    licence: Annotated[str, "The licence of the repository."]


@dataclass(frozen=True)
class StackSpeed:
    """One speed of a public benchmark, of a model at a size whose speed a paper prints."""

    stack: Annotated[str, "Id of the stack."]
    model: Annotated[str, "Id of our model, or its label in the papers where the suite builds none."]
    image_size: Annotated[Size, "Side of square images, or HEIGHTxWIDTH.", "px"]
    images_per_second: Annotated[float, "Images a second.", "1/s"]
    place: Annotated[str, "The line, or the file and line, below the stack's source."]


@dataclass(frozen=True)
class StackOrder:
    """Kendall's tau between the printed speeds of a column and those of a public benchmark, over the models in both."""

    paper: Annotated[str, "Key of the paper's card."]
    table: Annotated[str, "Table of the paper, as the card names it."]
    column: Annotated[str, "Column of the table, as printed."]
    stack: Annotated[str, "Id of the stack in replication/witnesses/stacks.csv."]
    mode: Annotated[str, "inference or training."]
    device: Annotated[str, "The GPU or processor."]
    software: Annotated[str, "The framework and its version."]
    date: Annotated[str, "When the speeds were published."]
    n: Annotated[int, "Models at image sizes compared."]
    tau: Annotated[float, "Kendall's tau: 1 for the same order, -1 for the opposite one."]
    inverted: Annotated[int, "Pairs whose order turns round."]
    widest: Annotated[str, "The inverted pair that is printed farthest apart, with both ratios."]
    source: Annotated[str, "Where the speeds are printed."]


@dataclass(frozen=True)
class StackFlip:
    """Two models of one printed column that change places between two public benchmarks of one device and setting."""

    paper: Annotated[str, "Key of the paper's card."]
    table: Annotated[str, "Table of the paper, as the card names it."]
    column: Annotated[str, "Column of the table, as printed."]
    device: Annotated[str, "The GPU or processor."]
    faster_before: Annotated[str, "The model@size that the paper and the older software have as the faster."]
    faster_now: Annotated[str, "The model@size that the newer software has as the faster."]
    printed: Annotated[float, "Printed speed of the former over that of the latter."]
    older: Annotated[float, "The same with the older software."]
    newer: Annotated[float, "The same with the newer software."]
    older_stack: Annotated[str, "Id of the stack with the oldest software."]
    newer_stack: Annotated[str, "Id of the stack with the newest."]


@dataclass(frozen=True)
class TurnedOrder:
    """Two accuracies of one printed column whose order turns round where one evaluator measured both networks."""

    paper: Annotated[str, "Key of the paper's card."]
    table: Annotated[str, "Table of the paper, as the card names it."]
    column: Annotated[str, "Column of the table, as printed."]
    who: Annotated[str, "Who evaluated both."]
    better: Annotated[str, "Id of the number that is printed as the better."]
    worse: Annotated[str, "Id of the number that is printed as the worse."]
    printed_gap: Annotated[Decimal, "How much the former is printed ahead, in the printed unit."]
    measured_gap: Annotated[Decimal, "How much it was found ahead: below 0."]
    better_witness: Annotated[str, "Id of the witness of the former."]
    worse_witness: Annotated[str, "Id of the witness of the latter."]


@dataclass(frozen=True)
class Quotation:
    """One printing of a quantity that is printed with several values."""

    quantity: Annotated[str, "Metric, model, image size, data set and condition."]
    number: Annotated[str, "Id of the published number."]
    value: Annotated[Decimal, "The number with its printed digits, in `unit`."]
    unit: Annotated[str, "Unit of the number; empty for ones."]
    own: Annotated[int, "1 if the network's own paper prints it, else 0."]
    kind: Annotated[str, "What the difference probably is: measured again, earlier release, slip, ...; or unexplained."]
    comment: Annotated[str, "What tells that."]


@dataclass(frozen=True)
class ProbableCause:
    """Why a quantity is probably printed with several values."""

    quantity: Annotated[str, "Metric, model, image size, data set and condition, as in quotations.csv."]
    kind: Annotated[str, "What the difference probably is."]
    comment: Annotated[str, "What tells that."]


VERDICTS = (
    *("reproduced", "differs", "confirmed elsewhere", "differs elsewhere"),
    "not comparable",
    *("evaluate", "fine-tune", "train", "not public"),  # the ways to an accuracy that nobody measured yet
    "not attempted",
)


COUNTED = ("supported", "contradicted", "inconclusive")
"""The statuses of claims on counts and speeds."""
TRAINED = ("direction seen", "reversed", "smaller than what counts", "undecided", "not testable here")
"""The statuses of claims that are put to trainings."""
STATUSES = (*COUNTED, *TRAINED, "needs data")


@dataclass(frozen=True)
class Run:
    """One number of one seeded training, as its `test.csv` has it."""

    experiment: Annotated[str, "Id of the experiment."]
    arm: Annotated[
        str, "Id of the experiment's arm; of an insight with /untrained or /shuffled after it, its null model."
    ]
    seed: Annotated[int, "Seed of the training."]
    dataset: Annotated[str, "The data set that the number is of."]
    image_size: Annotated[
        Size | None, "Side of square images, or HEIGHTxWIDTH; of a mechanism the side of its token grid.", "px"
    ]
    metric: Annotated[str, "What is measured."]
    value: Annotated[float, "The number, in `unit`."]
    unit: Annotated[str, "Unit of the number; empty for ones."]
    n: Annotated[int | None, "Samples tested."]


@dataclass(frozen=True)
class Answers:
    """Which test images one seeded training names right, from which every accuracy and its intervals follow."""

    experiment: Annotated[str, "Id of the experiment."]
    arm: Annotated[str, "Id of the experiment's arm."]
    seed: Annotated[int, "Seed of the training."]
    dataset: Annotated[str, "The data set of the images."]
    image_size: Annotated[Size, "Side of square images, or HEIGHTxWIDTH.", "px"]
    metric: Annotated[str, "The accuracy that they are of: top1, or top1_zero_shot before the first step."]
    n: Annotated[int, "Images."]
    right: Annotated[
        str, "A bit an image, in the order of the test images: 1 if right; packed, first bit highest, base64."
    ]


@dataclass(frozen=True)
class SpeedCell:
    """One cell of a run by the clock, as its `cells.csv` has it: one subject at one image size. Times in seconds."""

    subject: Annotated[str, "What is timed or measured: a model, mechanism, module or kernel."]
    kind: Annotated[str, "model, mechanism, module, or kernel (the machine's roofline)."]
    image_size: Annotated[
        Size | None, "Side of square images, or HEIGHTxWIDTH; of a mechanism the side of its token grid.", "px"
    ]
    batch_size: Annotated[int, "Images in a step."]
    mode: Annotated[str, "infer or train (forward, loss and backward)."]
    precision: Annotated[str, "Name of the number formats: fp32, tf32, amp-bf16, amp-fp16, bf16 or fp16."]
    attention: Annotated[str, "Policy: math (keeps the matrix of weights) or fused."]
    device: Annotated[str, "cpu or cuda."]
    compiled: Annotated[int, "1 if torch.compile was used, else 0."]
    channels_last: Annotated[int, "1 if images are stored channels last, else 0."]
    attention_kernel: Annotated[str, "The kernel that ran: math, flash, efficient or cudnn."] = ""
    status: Annotated[str, "measured, too large, out of memory, not supported, or failed."] = ""
    reason: Annotated[str, "Why it was not measured."] = ""
    valid: Annotated[int | None, "1 if the timing can be trusted, else 0."] = None
    invalid: Annotated[str, "Why the timing cannot be trusted."] = ""
    n: Annotated[int | None, "Samples timed."] = None
    blocks: Annotated[int | None, "Blocks timed."] = None
    median: Annotated[float | None, "Median time of one step.", "s"] = None
    q1: Annotated[float | None, "First quartile of the time of one step.", "s"] = None
    q3: Annotated[float | None, "Third quartile of the time of one step.", "s"] = None
    p90: Annotated[float | None, "90th percentile of the time of one step.", "s"] = None
    minimum: Annotated[float | None, "Least time of one step.", "s"] = None
    images_per_second: Annotated[float | None, "Images a second at the median; of a kernel, steps.", "1/s"] = None
    ci_low: Annotated[float | None, "Lower end of the 95 % bootstrap interval of `images_per_second`.", "1/s"] = None
    ci_high: Annotated[float | None, "Upper end of the 95 % bootstrap interval of `images_per_second`.", "1/s"] = None
    spread: Annotated[float | None, "Standard deviation of the block medians over their mean."] = None
    own_spread: Annotated[
        float | None,
        "The same without the drift that the run's other cells share; above a limit the cell is not valid.",
    ] = None
    ratio: Annotated[float | None, "Images per second over those of the run's first measured model."] = None
    ratio_low: Annotated[float | None, "Lower end of the 95 % interval of `ratio`."] = None
    ratio_high: Annotated[float | None, "Upper end of the 95 % interval of `ratio`."] = None
    warm_up: Annotated[float | None, "Time of the warm-up after the first call.", "s"] = None
    compile: Annotated[float | None, "Time of the first call, in which torch.compile compiles.", "s"] = None
    macs: Annotated[int | None, "Multiply-adds of one step."] = None
    traffic: Annotated[int | None, "What the operators of a step read and write.", "bytes"] = None


@dataclass(frozen=True)
class Sample:
    """One timed step of one cell."""

    cell: Annotated[int, "Its row in cells.csv, from 0."]
    block: Annotated[int, "The block that it was timed in, from 0."]
    seconds: Annotated[float, "Time of the step.", "s"]


@dataclass(frozen=True)
class MemoryCell:
    """Memory of one step, counted from shapes and measured [bytes above what is there before the step]."""

    subject: Annotated[str, "What is timed or measured: a model, mechanism, module or kernel."]
    image_size: Annotated[
        Size | None, "Side of square images, or HEIGHTxWIDTH; of a mechanism the side of its token grid.", "px"
    ]
    batch_size: Annotated[int, "Images in a step."]
    mode: Annotated[str, "infer or train (forward, loss and backward)."]
    attention: Annotated[str, "Policy: math (keeps the matrix of weights) or fused."]
    device: Annotated[str, "cpu or cuda."]
    precision: Annotated[str, "Name of the number formats: fp32, tf32, amp-bf16, amp-fp16, bf16 or fp16."]
    predicted: Annotated[int | None, "Rise of memory over a step, counted from shapes.", "bytes"] = None
    measured: Annotated[int | None, "Rise of memory over a step, measured.", "bytes"] = None
    reserved: Annotated[int | None, "Rise of what CUDA's allocator took from the driver.", "bytes"] = None
    difference: Annotated[float | None, "100 (predicted / measured - 1).", "%"] = None
    status: Annotated[str, "measured, too large, out of memory, not supported, or failed."] = ""
    reason: Annotated[str, "Why it was not measured."] = ""


@dataclass(frozen=True)
class Relative(_OfNumber):
    """A printed speed and ours, each over that of the table's reference row (1: as fast, 2: twice as fast)."""

    metric: Annotated[str, "What is measured."]
    model: Annotated[str, "Id of our model; a label, or an arm as experiment/arm, where no model of a card is meant."]
    image_size: Annotated[
        Size | None, "Side of square images, or HEIGHTxWIDTH; of a mechanism the side of its token grid.", "px"
    ]
    unit: Annotated[str, "Unit of the number; empty for ones."]
    published: Annotated[Decimal, "The number with its printed digits, in `unit`."]
    reference: Annotated[str, "Made from the last two columns: the row that ratios are to, as model@size."] = field(
        init=False
    )
    published_ratio: Annotated[float, "The printed speed over that of the reference row."]
    ours: Annotated[float, "Our speed, in `unit`."]
    ratio: Annotated[float, "Our speed over that of the reference row."]
    ci_low: Annotated[float, "Lower end of the 95 % interval of `ratio`."]
    ci_high: Annotated[float, "Upper end of the 95 % interval of `ratio`."]
    valid: Annotated[int, "1 if the timing can be trusted, else 0."]
    invalid: Annotated[str, "Why the timing cannot be trusted."]
    condition: Annotated[str, "Name of the condition, as cpu_fp32_math_infer_b1."]
    machine: Annotated[str, "The processor, or the GPU where that did the work."]
    reference_model: Annotated[str, "The subject that ratios are to."]
    reference_size: Annotated[Size | None, "Its image size.", "px"]

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "reference", f"{self.reference_model}@{self.reference_size}")


@dataclass(frozen=True)
class Order:
    """Kendall's tau between the printed speeds of a table and ours in one run, over `n` rows, some of them `valid`.

    `tau_macs` is that of multiply-adds alone, the fewer the faster, over the same rows: the order without a stopwatch.
    """

    paper: Annotated[str, "Key of the paper's card."]
    table: Annotated[str, "Table of the paper, as the card names it."]
    metric: Annotated[str, "What is measured."]
    condition: Annotated[str, "Name of the condition, as cpu_fp32_math_infer_b1."]
    machine: Annotated[str, "The processor, or the GPU where that did the work."]
    reference: Annotated[str, "The row that ratios are to, as model@size."]
    n: Annotated[int, "Rows compared."]
    valid: Annotated[int, "How many of the rows are valid."]
    tau: Annotated[float, "Kendall's tau: 1 for the same order, -1 for the opposite one."]
    p_value: Annotated[float, "Two-sided p value."]
    tau_macs: Annotated[
        float | None, "Kendall's tau of multiply-adds alone; empty if some are not known or all are alike."
    ]


@dataclass(frozen=True)
class Stability:
    """Kendall's tau between two runs, over the models that are valid in both."""

    condition_a: Annotated[str, "Condition of the first run."]
    machine_a: Annotated[str, "Machine of the first run."]
    condition_b: Annotated[str, "Condition of the second run."]
    machine_b: Annotated[str, "Machine of the second run."]
    n: Annotated[int, "Models compared."]
    tau: Annotated[float, "Kendall's tau: 1 for the same order, -1 for the opposite one."]


@dataclass(frozen=True)
class ClaimResult:
    """What became of one claim: the estimate with its interval, held against the range the card declares."""

    id: Annotated[str, "Made from the columns after it; it never changes."] = field(init=False)
    claim: Annotated[str, "Id of the claim within its card."]
    paper: Annotated[str, "Key of the paper's card."]
    where: Annotated[str, "Where the paper claims it."]
    statement: Annotated[str, "The claim in words."]
    published_numbers: Annotated[str, "The numbers that the paper gives, as printed."]
    published_effect: Annotated[float | None, "Printed size of what a contrast asks for, in `unit`."]
    low: Annotated[float, "The claim holds from here, in `unit`; -inf for no limit."]
    high: Annotated[float, "The claim holds up to here, in `unit`; inf for no limit."]
    unit: Annotated[str, "Unit of the number; empty for ones."]
    source: Annotated[
        str, "Of the estimate: counts, difference (between trainings), number (of trained models), insight, or speed."
    ] = ""
    estimate: Annotated[float | None, "Our estimate, in `unit`."] = None
    ci_low: Annotated[
        float | None, "Lower end of the 95 % interval; of trainings, those of all looks together hold in 95 %."
    ] = None
    ci_high: Annotated[float | None, "Upper end of that interval."] = None
    kind: Annotated[
        str, "Of a contrast: superior, non-inferior or equal (differences), or range (a number within the range)."
    ] = ""
    counts: Annotated[float | None, "Of a contrast: the smallest effect that counts, in `unit`."] = None
    n_seeds: Annotated[int | None, "Seeds of the trainings that the estimate rests on."] = None
    look: Annotated[int | None, "Of a contrast: the look that decided it, or the last one; 0 before the first."] = None
    next_seeds: Annotated[int | None, "Seeds that the next look takes; empty where there is none."] = None
    p_value: Annotated[float | None, "Two-sided p value of that look against the nearest end of the range."] = None
    q_value: Annotated[
        float | None, "Of a decided contrast: least rate of false discoveries in the family with it among them."
    ] = None
    image_error: Annotated[float | None, "Standard error that the draw of the test images alone gives."] = None
    disagreement: Annotated[float | None, "Share of the test images on which the two arms disagree.", "%"] = None
    power: Annotated[float | None, "Chance to see at this look an effect as large as `counts`, if it is there."] = None
    detectable: Annotated[float | None, "Effect that this look sees with a power of 0.8, in `unit`."] = None
    gates: Annotated[str, "Gates that the trainings pass, of those of G1 to G5 that are asked."] = ""
    scale: Annotated[str, "Scale of the run: exact, smoke, laptop, gpu or full."] = ""
    status: Annotated[
        str,
        "Of counts and speeds supported, contradicted or inconclusive; of trainings direction seen, reversed, smaller "
        "than what counts, undecided or not testable here; or needs data.",
    ] = "needs data"
    reason: Annotated[str, "Why."] = ""
    command: Annotated[str, "The command that gives our number."] = ""
    declared_commit: Annotated[str, "The commit that declared the range; empty if it is not on record yet."] = ""
    declared_at: Annotated[str, "Time of that commit, UTC."] = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", make_claim_id(self.paper, self.claim))


@dataclass(frozen=True)
class PrintedEffect:
    """A printed difference beside ours of small trainings, which asks whether small scale predicts the paper."""

    id: Annotated[str, "Id of the claim."]
    exact: Annotated[int, "1 if the arms differ in what the sentence speaks of, 0 if they are a proxy."]
    gated: Annotated[int, "1 if the trainings pass all gates and the card lets them decide, else 0."]
    published_effect: Annotated[float, "Printed difference, in `unit`."]
    estimate: Annotated[float, "Our difference, in `unit`."]
    ci_low: Annotated[float | None, "Lower end of its interval."]
    ci_high: Annotated[float | None, "Upper end of its interval."]
    unit: Annotated[str, "Unit of the two."]
    agrees: Annotated[int, "1 if the two have the same sign, else 0."]


@dataclass(frozen=True)
class ScaleAgreement:
    """How well differences of small trainings predict the printed ones, over a group of contrasts."""

    group: Annotated[str, "gated (those that pass all gates), or all; exact, proxy or both."]
    n: Annotated[int, "Contrasts."]
    agree: Annotated[int, "How many have the sign of the printed difference."]
    share_low: Annotated[float | None, "Lower end of the 95 % interval of the share that agrees (Wilson)."]
    share_high: Annotated[float | None, "Upper end of that interval."]
    rank_correlation: Annotated[float | None, "Spearman's, of the printed differences with ours; of three or more."]
    p_value: Annotated[float | None, "Its two-sided p value."]


@dataclass(frozen=True)
class Declared:
    """When the range of a claim was declared: the commit that last changed it, as version control has it."""

    id: Annotated[str, "Id of the claim."]
    low: Annotated[float, "The claim holds from here; -inf for no limit."]
    high: Annotated[float, "The claim holds up to here; inf for no limit."]
    kind: Annotated[str, "Of a contrast: superior, non-inferior, equal or range."]
    counts: Annotated[float | None, "Of a contrast: the smallest effect that counts."]
    commit: Annotated[str, "The commit; empty if it is newer than this list."]
    at: Annotated[str, "Time of the commit, UTC."]


@dataclass(frozen=True)
class Count:
    """What one model costs at one image size, counted from shapes for one image."""

    model: Annotated[str, "Id of the model; of a user's, the name that its spec gives it."]
    image_size: Annotated[Size, "Side of square images, or HEIGHTxWIDTH.", "px"]
    tokens: Annotated[int | None, "Tokens of the finest stage, class and distillation tokens included."] = None
    params: Annotated[int | None, "Learnable parameters, the classifier head included."] = None
    macs_fvcore: Annotated[int | None, "Multiply-adds as fvcore traces them."] = None
    macs_dispatch: Annotated[int | None, "Multiply-adds of the operators that PyTorch dispatches."] = None
    macs_formula: Annotated[int | None, "Multiply-adds by the closed form of the model's family."] = None
    macs: Annotated[
        int | None, "The multiply-adds that are believed: those dispatched, unless another count is higher."
    ] = None
    flops: Annotated[int | None, "Twice `macs`."] = None
    peak_memory_infer_math: Annotated[int | None, "Largest sum of live tensors in inference, unfused.", "bytes"] = None
    peak_memory_infer_fused: Annotated[int | None, "Largest sum of live tensors in inference, fused.", "bytes"] = None
    peak_memory_train_math: Annotated[
        int | None, "Largest sum of live tensors in a training step, unfused.", "bytes"
    ] = None
    peak_memory_train_fused: Annotated[
        int | None, "Largest sum of live tensors in a training step, fused.", "bytes"
    ] = None
    gate: Annotated[str, "Whether the three counts agree within 1 %, and what was not counted and why."] = ""
    macs_attention: Annotated[int | None, "Multiply-adds of the attention products QK^T and AV, part of `macs`."] = None
    stages: Annotated[str, "Token grid of each stage, with its window (w) or reduction (r): 56x56 w7; 28x28 w7."] = ""


@dataclass(frozen=True)
class PeakMemory:
    """Peak memory of one step of one model at one batch size, counted from shapes."""

    model: Annotated[str, "Id of the model."]
    image_size: Annotated[Size, "Side of square images, or HEIGHTxWIDTH.", "px"]
    batch_size: Annotated[int, "Images in the step."]
    mode: Annotated[str, "infer or train (forward, loss and backward, without optimizer)."]
    attention: Annotated[str, "Policy: math (keeps the matrix of weights) or fused."]
    peak_memory: Annotated[int | None, "Largest sum of live tensors.", "bytes"]
    parameter_memory: Annotated[int | None, "The parameters alone, part of it.", "bytes"]


@dataclass(frozen=True)
class MechanismCost:
    """What one layer of an attention mechanism costs on one grid of tokens, one image, at inference."""

    mechanism: Annotated[str, "Name of the mechanism; windowed_subsampled is a pair of layers."]
    grid: Annotated[int, "Side of the grid.", "tokens"]
    tokens: Annotated[int, "Tokens of the grid."]
    width: Annotated[int, "Width of a token."]
    num_heads: Annotated[int, "Attention heads."]
    exact: Annotated[int, "1 if the grid is cut into equal parts without padding, else 0."]
    macs: Annotated[int, "Multiply-adds."]
    macs_attention: Annotated[int, "Multiply-adds of the products QK^T and AV, part of `macs`."]
    peak_memory_math: Annotated[int, "Largest sum of live tensors, unfused.", "bytes"]
    peak_memory_fused: Annotated[int, "Largest sum of live tensors, fused.", "bytes"]

    @property
    def subject(self) -> str:
        """What the mechanism is called among models, as where it is timed."""
        return name_subject(self.mechanism)


@dataclass(frozen=True)
class ScalingFit:
    """How one cost grows with the number of tokens N: a power law, and c + a N + b N^2.

    Only regular image sizes are fitted: no stage pads its grid or shrinks its window.
    """

    model: Annotated[str, "Id of the model, or name of the mechanism."]
    metric: Annotated[str, "The cost: macs, or a peak memory."]
    part: Annotated[str, "attention (the products alone) or whole."]
    slope: Annotated[float | None, "Exponent: slope of log cost over log N by least squares."] = None
    ci_low: Annotated[float | None, "Lower end of the 95 % Student interval of `slope`."] = None
    ci_high: Annotated[float | None, "Upper end of the 95 % Student interval of `slope`."] = None
    theory: Annotated[float | None, "The exponent that theory gives."] = None
    a: Annotated[float | None, "Coefficient of N."] = None
    b: Annotated[float | None, "Coefficient of N^2."] = None
    crossover_tokens: Annotated[float | None, "a / b: from there on the quadratic term is the larger.", "tokens"] = None
    r2: Annotated[float | None, "Share of the variance of log cost that c + a N + b N^2 explains."] = None
    n: Annotated[int, "Image sizes fitted."] = 0


@dataclass(frozen=True)
class CostCrossing:
    """Where the cost curves of two models cross."""

    metric: Annotated[str, "The cost: macs, or a peak memory."]
    cheaper_below: Annotated[str, "Id of the model that is cheaper below `image_size`."]
    cheaper_above: Annotated[str, "Id of the model that is cheaper above it."]
    image_size: Annotated[int, "Where they cross, interpolated on logarithmic axes.", "px"]
    from_size: Annotated[int, "The counted size before it.", "px"]
    to_size: Annotated[int, "The counted size after it.", "px"]


@dataclass(frozen=True)
class Departure:
    """One difference between a release and timm's default, with the same random weights in both."""

    model: Annotated[str, "Id of the model."]
    detail: Annotated[str, "What differs."]
    released: Annotated[str, "What the release does."]
    timm: Annotated[str, "What timm does."]
    relative: Annotated[float, "Largest difference of a logit over the largest logit, in float64."]


@dataclass(frozen=True)
class Evaluated:
    """One number of released weights on a data set."""

    model: Annotated[str, "Id of the model."]
    image_size: Annotated[Size, "Side of a classifier's square; of a detector, of the short side.", "px"]
    dataset: Annotated[str, "The data set."]
    metric: Annotated[str, "What is measured."]
    value: Annotated[float, "The number, in `unit`."]
    unit: Annotated[str, "Unit of the number."]
    ci_low: Annotated[float | None, "Lower end of the 95 % interval."]
    ci_high: Annotated[float | None, "Upper end of the 95 % interval."]
    n: Annotated[int, "Images evaluated."]
    weights: Annotated[str, "Id of the weights; <model>_<image size> of those that no record has."] = ""
    precision: Annotated[str, "Number formats: fp32, or by autocast bf16 or fp16."] = "fp32"


@dataclass(frozen=True)
class Epoch:
    """One epoch of one training; epoch 0 is before any step. Which metrics follow depends on the task."""

    epoch: Annotated[int, "The epoch, from 0."]
    step: Annotated[int, "Steps of the optimizer so far."]
    learning_rate: Annotated[float | None, "Learning rate of the last step."]
    train_loss: Annotated[float | None, "Mean loss of the epoch over the training images."]
    val_loss: Annotated[float | None, "Loss on the validation images."]


@dataclass(frozen=True)
class ClassifierEpoch(Epoch):
    """One epoch of a training to name classes, or mean colours of masked patches."""

    val_top1: Annotated[float | None, "Share of the validation images, or masked patches, that are named right.", "%"]


@dataclass(frozen=True)
class DetectorEpoch(Epoch):
    """One epoch of a training to find objects."""

    val_ap_box: Annotated[float | None, "COCO's average precision of boxes on the validation images.", "%"]
    val_ap_box_50: Annotated[float | None, "The same at an IoU of 0.5 alone.", "%"]


@dataclass(frozen=True)
class StudyTraining:
    """What made one training of the study."""

    experiment: Annotated[str, "Id of the experiment."]
    arm: Annotated[str, "Id of the experiment's arm."]
    seed: Annotated[int, "Seed of the training."]
    recipe: Annotated[str, "Digest of what the card said of its model and recipe, and of those that it starts from."]
    started: Annotated[str, "When it began, UTC."]
    machine: Annotated[str, "The processor, or the GPU where that did the work."]
    torch: Annotated[str, "Version of PyTorch."]
    minutes: Annotated[float, "How long it took, beside other work.", "min"]
    data: Annotated[str, "SHA-256 of the data."]


@dataclass(frozen=True)
class ValidationAccuracy:
    """Accuracy on the validation images after one epoch of one training of the study."""

    experiment: Annotated[str, "Id of the experiment."]
    arm: Annotated[str, "Id of the experiment's arm."]
    seed: Annotated[int, "Seed of the training."]
    epoch: Annotated[int, "The epoch, from 0, before the first step."]
    top1: Annotated[float, "Share of the validation images that are named right.", "%"]


@dataclass(frozen=True)
class TrivialControl:
    """How well a trivial method does on the same pixels, drawn with the same seed."""

    dataset: Annotated[str, "The data set that the number is of."]
    image_size: Annotated[Size, "Side of square images, or HEIGHTxWIDTH.", "px"]
    seed: Annotated[int, "Seed of the split."]
    control: Annotated[str, "The method: nearest_neighbours or linear_probe."]
    top1: Annotated[float, "Share of the test images that it names right.", "%"]


@dataclass(frozen=True)
class LayerPrecision:
    """How well a trained detector does after one of its decoder layers."""

    layer: Annotated[int, "The decoder layer, from 1."]
    nms: Annotated[str, "yes or no: whether non-maximum suppression follows."]
    ap_box: Annotated[float | None, "COCO's average precision of boxes; empty where there are no objects.", "%"]
    ap_box_50: Annotated[float | None, "The same at an IoU of 0.5 alone.", "%"]


@dataclass(frozen=True)
class ClassPrecision:
    """How well a trained detector does on one class."""

    category_id: Annotated[int, "Id of the class."]
    name: Annotated[str, "Name of the class."]
    objects: Annotated[int, "Objects of the class in the test images, crowds left out."]
    ap_box: Annotated[float | None, "COCO's average precision of boxes; empty where there are no objects.", "%"]
    ap_box_50: Annotated[float | None, "The same at an IoU of 0.5 alone.", "%"]


@dataclass(frozen=True)
class SlotPrediction:
    """One confident prediction of one query slot; its box as shares of the image."""

    query: Annotated[int, "The query slot, from 0."]
    image_id: Annotated[int, "Id of the image."]
    category_id: Annotated[int, "Id of the class that is predicted."]
    score: Annotated[float, "Confidence, from 0 to 1."]
    cx: Annotated[float, "Centre of the box, of the image's width."]
    cy: Annotated[float, "Centre of the box, of the image's height."]
    w: Annotated[float, "Width of the box, of the image's width."]
    h: Annotated[float, "Height of the box, of the image's height."]


@dataclass(frozen=True)
class CrowdedImage:
    """How many objects of one crowded image a trained detector found."""

    image_id: Annotated[int, "Id of the image."]
    objects: Annotated[int, "Objects in it, crowds left out."]
    found: Annotated[int, "How many of them a confident box overlaps, one box an object."]


@dataclass(frozen=True)
class AttentionDistance:
    """How far one head of a classifier looks, over the images of the test."""

    state: Annotated[str, "trained, or untrained: as it was initialised for that training."]
    block: Annotated[int, "The block, from 1."]
    head: Annotated[int, "The head, from 1."]
    distance: Annotated[float, "Mean distance between a query and the patches it weighs.", "px"]
    uniform: Annotated[float, "The same of attention that weighs all patches alike.", "px"]


@dataclass(frozen=True)
class DepthReading:
    """What the patches of one depth of a classifier are like, and what of the class is read out of their mean."""

    state: Annotated[str, "trained, or untrained: as it was initialised for that training."]
    block: Annotated[int, "The block, from 1."]
    similarity: Annotated[float, "Mean cosine of two patches of an image."]
    neighbours: Annotated[float, "Top-1 accuracy of the nearest neighbours.", "%"]
    readout: Annotated[float, "Top-1 accuracy of a linear readout.", "%"]


@dataclass(frozen=True)
class TokenSimilarity:
    """How alike the tokens of one depth of a classifier are, over photographs."""

    state: Annotated[str, "trained, or untrained: as it was initialised."]
    block: Annotated[int, "The block, from 1; 0 are class and distillation token as they are learned."]
    patches: Annotated[float | None, "Mean cosine of two patches of an image."]
    tokens: Annotated[float | None, "Mean cosine of class and distillation token, of a model with both."]


@dataclass(frozen=True)
class ReceptiveField:
    """How much of the first grid of patches one block of a classifier sees."""

    state: Annotated[str, "trained, or untrained: as it was initialised for that training."]
    block: Annotated[int, "The block, from 1."]
    patches: Annotated[int, "Patches of the block."]
    by_graph: Annotated[float, "Pairs that the graph of the architecture connects, of all pairs.", "%"]
    by_gradient: Annotated[float, "Pairs whose gradient is not zero, of all pairs.", "%"]
    mismatches: Annotated[int, "Pairs on which the two differ."]
    effective: Annotated[float, "Patches in effect: as many equal gradients would be as uneven, of all.", "%"]


@dataclass(frozen=True)
class SimilarPositions:
    """How similar the embeddings of two positions of a classifier's table are."""

    state: Annotated[str, "trained, or untrained: as it was initialised for that training."]
    row: Annotated[int, "Row of the one, from 0."]
    column: Annotated[int, "Column of the one, from 0."]
    other_row: Annotated[int, "Row of the other, from 0."]
    other_column: Annotated[int, "Column of the other, from 0."]
    similarity: Annotated[float, "Cosine of the two."]


FILES: Mapping[str, type] = {
    "published.csv": Published,
    "measured.csv": Measured,
    "verdicts.csv": Verdict,
    "claims.csv": ClaimResult,
    "witnesses.csv": Evidence,
    "departures.csv": Departure,
    "tables/summary.csv": Summary,
    "tables/quotations.csv": Quotation,
    "complexity/**/counts.csv": Count,
    "complexity/**/memory.csv": PeakMemory,
    "complexity/mechanisms.csv": MechanismCost,
    "complexity/scaling.csv": ScalingFit,
    "complexity/crossings.csv": CostCrossing,
    "evaluation/*/*/*/evaluation.csv": Evaluated,
    "training/runs.csv": Run,
    "training/answers.csv": Answers,
    "training/*/*/seed*/test.csv": Run,
    "training/*/*/seed*/answers.csv": Answers,
    "training/*/*/seed*/epochs.csv": Epoch,
    "insight/*/*/seed*/detection.csv": Run,
    "insight/*/*/seed*/layers.csv": LayerPrecision,
    "insight/*/*/seed*/classes.csv": ClassPrecision,
    "insight/*/*/seed*/slots.csv": SlotPrediction,
    "insight/*/*/seed*/crowd.csv": CrowdedImage,
    "inside/*/*/seed*/numbers.csv": Run,
    "inside/*/*/seed*/distances.csv": AttentionDistance,
    "inside/*/*/seed*/depths.csv": DepthReading,
    "inside/*/*/seed*/fields.csv": ReceptiveField,
    "inside/*/*/seed*/positions.csv": SimilarPositions,
    "**/speed/*/cells.csv": SpeedCell,
    "**/speed/*/samples.csv": Sample,
    "**/speed/*/memory.csv": MemoryCell,
    "speed/relative.csv": Relative,
    "speed/orders.csv": Order,
    "speed/stability.csv": Stability,
    "speed/stack_orders.csv": StackOrder,
    "speed/stack_flips.csv": StackFlip,
    "turned_orders.csv": TurnedOrder,
    "printed_effects.csv": PrintedEffect,
    "scale_agreement.csv": ScaleAgreement,
    "training/controls.csv": TrivialControl,
}
"""The files of a folder of results, and what a row of each is; an `Epoch` may have the columns of a subclass."""


@dataclass(frozen=True)
class Column:
    """A column of a CSV: the type of its cells, with None if one may be empty, their meaning, and their unit."""

    name: str
    kind: Any
    text: str
    unit: str = ""


def list_columns(row: type) -> dict[str, Column]:
    """List the columns of a class of rows by name, in their order."""
    hints = typing.get_type_hints(row, include_extras=True)
    return {name: Column(name, hints[of].__origin__, *hints[of].__metadata__) for name, of in map_fields(row).items()}


def map_fields(row: Any) -> dict[str, str]:
    """Map each column of a class of rows to its field: the same name, but for one that no field can have."""
    return {one.metadata.get("column", one.name): one.name for one in dataclasses.fields(row)}


def read_cells(one: Any) -> dict[str, Any]:
    """Read the values of a row by column."""
    return {name: getattr(one, of) for name, of in map_fields(one).items()}


def list_kinds(row: type) -> dict[str, Any]:
    """List the type of each column of a class of rows, in their order."""
    return {name: column.kind for name, column in list_columns(row).items()}
