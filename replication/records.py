"""The vocabulary of the suite: model variants, published and measured numbers, claims, experiments, verdicts.

Ground floor: standard library only, imported by everything, imports nothing of the suite.
One tidy row is one number, with its unit, its condition and its source.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any


class UserError(Exception):
    """Something the user can mend; the command line prints it as one line and exits with status 2."""

    def __init__(self, message: str) -> None:
        """One line: letters that cannot be printed, such as those of a name with a newline, are escaped."""
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


FEW = 12
"""So many choices, at most, are listed where none is near."""


def nearest(name: object, choices: Iterable[str], what: str) -> UserError:
    """The error for an unknown `name` of a `what`: it names the nearest valid choice; of a few, all if none is near."""
    choices, text = sorted(choices), str(name)[:100]
    close = difflib.get_close_matches(text, choices, n=1) or difflib.get_close_matches(text.lower(), choices, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    if not close and 0 < len(choices) <= FEW:
        hint = f"; choose from {', '.join(choices)}"
    return UserError(f"unknown {what} '{name}'{hint}")


# --- metrics ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Metric:
    """What is measured. `kind` says which instrument can fill it, and so which verdict an empty cell gets."""

    name: str
    kind: str  # count | architecture | setting | accuracy | speed | cost
    description: str


def _metrics(kind: str, **described: str) -> dict[str, Metric]:
    return {name: Metric(name, kind, text) for name, text in described.items()}


METRICS: dict[str, Metric] = {
    **_metrics(
        "count",
        params="learnable parameters, classifier head included",
        macs="multiply-adds of one image (what these papers print as FLOPs)",
        macs_linear="multiply-adds without the attention products QK^T and AV",
        peak_memory="largest sum of live tensors, in bytes",
    ),
    **_metrics(
        "architecture",
        depth="blocks (of a stage)",
        inner_dim="width of a word (TNT)",
        num_heads_inner="attention heads among the words of a sentence (TNT)",
        num_heads_outer="attention heads among sentences (TNT)",
        inner_mlp_ratio="hidden width of the words' MLP over their width (TNT)",
        embed_dim="token width (of a stage)",
        mlp_dim="hidden width of the MLP",
        mlp_ratio="hidden width of the MLP over the token width",
        num_heads="attention heads (of a stage)",
        patch_size="side of a patch in pixels, or of a merge in tokens",
        sr_ratio="side of the square that spatial reduction turns into one key",
        window_size="side of an attention window in tokens",
    ),
    **_metrics("setting", setting="a choice of the recipe or a property of a data set: an input, not a result"),
    **_metrics(
        "accuracy",
        top1="top-1 accuracy",
        top1_zero_shot="top-1 accuracy at a new image size before any training there",
        top1_std="standard deviation of top-1 over fine-tuning runs",
        top1_change="change of top-1 accuracy against another row",
        top1_error="top-1 error",
        top5="top-5 accuracy",
        few_shot="linear few-shot accuracy",
        mean_accuracy="accuracy averaged over tasks",
        disagreement="fraction of samples that two classifiers label differently",
        loss="cross-entropy loss",
        ap_box="box average precision",
        ap_box_50="box average precision at an overlap of 0.5",
        ap_box_75="box average precision at an overlap of 0.75",
        ap_box_small="box average precision of small objects",
        ap_box_medium="box average precision of medium objects",
        ap_box_large="box average precision of large objects",
        ap_box_change="change of a box average precision against another row",
        ar_box_1="box average recall with 1 detection an image",
        ar_box_10="box average recall with 10 detections an image",
        ar_box_100="box average recall with 100 detections an image",
        ar_box_small="box average recall of small objects",
        ar_box_medium="box average recall of medium objects",
        ar_box_large="box average recall of large objects",
        ap_gain_layers="gain in box average precision from the first decoder layer to the last",
        ap_50_gain_layers="gain in box average precision at an overlap of 0.5 from the first decoder layer to the last",
        ap_smallest_step="least gain in box average precision from one decoder layer to the next",
        nms_gain_first="gain in box average precision by non-maximum suppression after the first decoder layer",
        nms_gain_last="gain in box average precision by non-maximum suppression after the last decoder layer",
        attention_inside="density of a query's attention inside the box it found, over that in the whole image",
        encoder_attention_own="density of an object's self-attention inside its box, over that inside other objects'",
        slot_place="variance of the centres of boxes that the query slot explains",
        slot_size="variance of the logarithm of the area of boxes that the query slot explains",
        slot_class="information about the class that the query slot gives, over the entropy of the class",
        found_half="objects found in images of at most half as many as there are queries",
        found_full="objects found, over the queries, in images of at least as many",
        ap_mask="mask average precision",
        ap_mask_50="mask average precision at an overlap of 0.5",
        ap_mask_75="mask average precision at an overlap of 0.75",
        pq="panoptic quality",
        sq="segmentation quality",
        rq="recognition quality",
        **{
            f"{short}_{part}": f"{name} quality of {what}"
            for short, name in (("pq", "panoptic"), ("sq", "segmentation"), ("rq", "recognition"))
            for part, what in (("th", "things"), ("st", "stuff"))
        },
        miou="mean intersection over union",
        ade20k_score="score of the ADE20K test server",
    ),
    **_metrics(
        "speed",
        throughput="images per second",
        latency="time of one image or one module",
    ),
    **_metrics(
        "cost",
        pretrain_compute="operations of the whole pre-training (two per multiply-add)",
        pretrain_time="device time of the whole training",
        finetune_time="wall time of a fine-tuning run",
        file_size="size of the released checkpoint",
    ),
}

UNIT_SCALE = {"k": 1e3, "M": 1e6, "G": 1e9}
"""Prefix units of published counts; measured counts are in ones."""


# --- image sizes ------------------------------------------------------------------------------------

Size = int | str
"""An image size [px]: 224 is a square, "800x1280" is height x width."""


def read_size(text: str) -> Size:
    """`224` or `800x1280` as a size. ValueError for anything else, and for a side of 0."""
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", text):
        raise ValueError(f"'{text}' is no image size; write a side in pixels, or HEIGHTxWIDTH")
    return text if "x" in text else int(text)


def as_size(value: object) -> Size:
    """An image size as people write it: 224, "800x1280", (800, 1280). UserError for anything else."""
    pair = isinstance(value, list | tuple) and len(value) == 2
    text = "x".join(map(str, value)) if isinstance(value, list | tuple) and pair else str(value)
    try:
        size = read_size(text)
    except ValueError as error:
        raise UserError(f"{value!r} is no image size; write a side in pixels, or (height, width)") from error
    height, width = sides(size)
    return height if height == width else size


def sides(size: Size) -> tuple[int, int]:
    """Height and width [px]."""
    height, _, width = str(size).partition("x")
    return int(height), int(width or height)


# --- models -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Variant:
    """One model of a paper, as a recipe to build it.

    `architecture` holds the paper's hyper-parameters under the field's names; it builds the model *and* feeds the
    closed form of its cost, so a model can only agree with the formula if both follow the paper.
    """

    id: str
    label: str  # as printed
    family: str  # which closed form: a file of complexity/formulas, if there is one
    factory: str  # "timm/<model name>" or "own/<module>"
    architecture: Mapping[str, Any]
    task: str = "classification"  # or detection, segmentation
    image_size: Size = 224
    image_sizes_by: int = 32  # image sizes must be multiples of this
    sized: bool = True  # built for one image size (position tables, windows); a convolutional network takes any
    sweep: bool = True  # counted over the configured range of image sizes; if not, only where a paper prints a count
    at_size: Mapping[Size, Mapping[str, Any]] = field(default_factory=dict)  # what the authors change at a size
    ablation: str = ""  # what is changed in the model once built: a function of models/ablations.py
    released_params: int | None = None  # exact count of the authors' checkpoint, with its source in the card

    def at(self, image_size: Size) -> dict[str, Any]:
        """The architecture at `image_size` [px] (Swin has window 12 at 384). UserError if the size does not fit."""
        if only := self.only(image_size):
            raise UserError(f"{self.id} {only}, not {image_size} px")
        return {**self.architecture, **self.at_size.get(image_size, {})}

    def allows(self, image_size: Size) -> bool:
        """Whether the model takes images of this size; one built for a size takes squares only."""
        return not self.only(image_size)

    def only(self, image_size: Size) -> str:
        """What the model takes instead of images of this size; nothing if it takes them."""
        if any(side < 1 or side % self.image_sizes_by for side in sides(image_size)):
            return f"takes image sizes that are positive multiples of {self.image_sizes_by} px"
        if self.sized and not isinstance(image_size, int):
            return "takes square images only, named by their side"
        return ""


# --- numbers ----------------------------------------------------------------------------------------

CellName = tuple[str, str, str]
"""Table, row and column of a published number within its card."""


@dataclass(frozen=True)
class Published:
    """One number as printed. `value` keeps its printed digits: they decide what 'the same number' means."""

    paper: str
    table: str
    row: str
    column: str
    model: str  # our id, or a label where we have no such model
    image_size: Size | None
    dataset: str
    metric: str
    value: Decimal
    unit: str
    hardware: str
    source: str
    verified: str  # yes | partly | secondary | parser | no (recalled)
    note: str

    @property
    def name(self) -> CellName:
        """Table, row and column, which no other number of the paper has."""
        return self.table, self.row, self.column


@dataclass(frozen=True)
class Measured:
    """One number of ours, in base units (ones, bytes, seconds, percent), with its interval where it has one."""

    model: str
    image_size: Size | None
    dataset: str
    metric: str
    value: float
    unit: str
    ci_low: float | None
    ci_high: float | None
    n: int | None
    scale: str  # exact | smoke | laptop | gpu | full
    machine: str
    seed_set: str
    source_file: str


@dataclass(frozen=True)
class Verdict:
    """What became of one published number."""

    paper: str
    table: str
    row: str
    column: str
    model: str
    image_size: Size | None
    dataset: str
    metric: str
    published: Decimal
    unit: str
    verified: str  # how the printed number was read, as in `Published`
    measured: float | None  # in the published unit
    ratio: float | None  # measured / published
    verdict: str
    reason: str
    command: str


VERDICTS = ("reproduced", "differs", "not comparable", "needs data", "not attempted")
STATUSES = ("supported", "contradicted", "inconclusive", "not testable here", "needs data")


# --- tables -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Table:
    """A table as printed: header and rows of text, and each number in it as a `Published`.

    `cells[i][j]` are the numbers of row i, column j: none for a label or an empty cell, several for a list.
    """

    paper: str
    id: str
    title: str
    source: str
    verified: str
    notes: tuple[str, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    cells: tuple[tuple[tuple[Published, ...], ...], ...]

    @property
    def published(self) -> list[Published]:
        """Every number of the table, row by row."""
        return [number for row in self.cells for cell in row for number in cell]


# --- claims and experiments -------------------------------------------------------------------------


class MissingError(LookupError):
    """A number that a claim needs and nobody has; the message names it."""


class Lookup(typing.Protocol):
    """Finds one number, in base units."""

    def __call__(self, model: str, metric: str, image_size: Size | None = None, dataset: str = "") -> float:
        """The number. MissingError if nobody has it."""


@dataclass(frozen=True)
class Contrast:
    """A difference between arms of experiments, paired over seeds: the sum of `plus` minus the sum of `minus`.

    An arm is `<experiment>/<arm>`; arms of several experiments compare if they were tested on the same images. Two arms
    on each side ask whether one difference is larger than another; without `minus` the estimate
    is an arm's own number.
    """

    plus: tuple[str, ...]
    minus: tuple[str, ...]
    metric: str = "top1"

    @property
    def arms(self) -> tuple[str, ...]:
        """Every arm it needs."""
        return self.plus + self.minus


Timed = tuple[str, Size | None]
"""A model and its image size; without one, the native size, or of a module the only one that was timed."""


@dataclass(frozen=True)
class Speedup:
    """How many times as fast one model is as another by the clock of one run: the least over pairs (faster, slower).

    `metric` is the speed that the paper's table prints of them; `device` (cpu, cuda) is the one that the claim names.
    """

    pairs: tuple[tuple[Timed, Timed], ...]
    metric: str = "throughput"
    device: str = ""  # any


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper as one predicate: the estimate lies between `low` and `high`.

    Superiority by a margin m is (m, inf); equivalence within m is (-m, m); a factor is a range around it. The range is
    declared here, before anything is run. `estimate` is evaluated twice, on the published table `table` (a unit test)
    and on the measured one (the result), and so is `speedup`, by a clock; `contrast` asks an experiment instead. A
    claim with none of them cannot be tested by what the suite has, and `reason` says what it would take.

    A contrast of small models may be no test of the sentence: the arm does something else, the effect cannot occur at
    that size, or the outcome only says which arm learns faster. `untestable` gives that reason. Where the question is
    right and the test too weak to answer it (unfinished arms, a threshold of no paper, few seeds, no control), `weak`
    says so.
    """

    id: str
    where: str
    statement: str
    numbers: str = ""  # as printed
    effect: float | None = None  # the printed size of what the contrast asks for, in its unit
    estimate: Callable[[Lookup], float] | None = None
    contrast: Contrast | None = None
    speedup: Speedup | None = None
    table: str = ""
    low: float = -float("inf")
    high: float = float("inf")
    unit: str = ""
    reason: str = ""
    untestable: str = ""  # why no outcome of the contrast bears on the sentence
    weak: str = ""  # why an outcome of the contrast decides nothing


@dataclass(frozen=True)
class Arm:
    """One condition of an experiment: the shared recipe with these changes, on its own model if it has one.

    `start_from` and `teacher` name arms of the same experiment, whose weights with the same seed it starts from, or
    learns from by distillation.
    """

    id: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    start_from: str = ""
    teacher: str = ""
    model: Variant | None = None


@dataclass(frozen=True)
class Experiment:
    """A question put to seeded trainings. All arms share seeds and splits, so their differences are paired."""

    id: str
    question: str
    model: Variant
    recipe: Mapping[str, Any]  # the fields of recipe.Recipe
    arms: tuple[Arm, ...]
    scales: Mapping[str, Mapping[str, Any]]  # recipe changes of each scale; no entry, not run at that scale

    def arm(self, arm_id: str) -> Arm:
        """The arm of that id. UserError if there is none."""
        for arm in self.arms:
            if arm.id == arm_id:
                return arm
        raise nearest(arm_id, (a.id for a in self.arms), f"arm of {self.id}")

    def changed(self, scale: str, changes: Mapping[str, Any]) -> Experiment:
        """The experiment with these changes of its recipe at a scale, unless an arm says otherwise.

        UserError if it is not run at that scale.
        """
        return dataclasses.replace(self, scales={**self.scales, scale: {**self._at(scale), **changes}})

    def recipe_of(self, arm_id: str, scale: str) -> dict[str, Any]:
        """The shared recipe, changed by the scale, then by the arm. UserError names the nearest arm or scale."""
        return {**self.recipe, **self._at(scale), **self.arm(arm_id).changes}

    def _at(self, scale: str) -> Mapping[str, Any]:
        if scale not in self.scales:
            raise nearest(scale, self.scales, f"scale of {self.id}")
        return self.scales[scale]

    def variant(self, arm_id: str) -> Variant:
        """The model of an arm: its own, or that of the experiment."""
        return self.arm(arm_id).model or self.model


@dataclass(frozen=True)
class Cause:
    """Why numbers of a card differ from ours, or why exact counts contradict claims of it.

    `known` is false if somebody looked and found no cause; the text then says "No cause found".
    """

    text: str
    cells: tuple[CellName, ...] = ()
    claims: tuple[str, ...] = ()  # ids
    known: bool = True


def cells_in(table: str, column: str, *rows: str) -> tuple[CellName, ...]:
    """The names of the cells that these rows have in one column of a table."""
    return tuple((table, row, column) for row in rows)


@dataclass(frozen=True)
class Card:
    """A paper: its models, its tables as printed, its claims, its experiments. Plain data."""

    key: str
    title: str
    authors: str
    venue: str
    year: int
    arxiv: str
    code: str
    variants: tuple[Variant, ...]
    tables: tuple[Table, ...]
    claims: tuple[Claim, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    headline: str = ""  # its table of ImageNet-1k accuracies
    detected: tuple[str, ...] = ()  # its tables whose box precisions are those of the detectors it released
    released_as: Mapping[str, str] = field(default_factory=dict)  # a file of its authors -> <model id>_<image size>
    unreleased: tuple[str, ...] = ()  # its models of which the authors published no weights
    trained: tuple[CellName, ...] = ()  # accuracies of which no weights are public, but the suite has the recipe
    compared: tuple[str, ...] = ()  # its models of about 4 G multiply-adds, which stand for it beside other papers
    causes: tuple[Cause, ...] = ()  # of what differs from ours
    discrepancies: tuple[str, ...] = ()  # where else the paper contradicts itself, its code or its quotations

    def causes_of(self, name: CellName | str) -> list[str]:
        """The text of the cause that names this cell, or this claim by its id: none or one."""
        return [cause.text for cause in self.causes if name in cause.cells or name in cause.claims]


# --- CSV --------------------------------------------------------------------------------------------


def as_rows(records: Iterable[Any]) -> list[dict[str, Any]]:
    """Dataclass instances as flat dictionaries, ready for `files.write_csv`."""
    return [{f.name: getattr(r, f.name) for f in dataclasses.fields(r)} for r in records]
