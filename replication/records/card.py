"""What a paper's card holds: models, tables as printed, claims, experiments. Plain data."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from replication.records.rows import CellName, Published
from replication.records.words import Size, UserError, nearest, split_size


@dataclass(frozen=True)
class Preprocessing:
    """The way from a photograph to an input, as the authors of a model evaluate it.

    The default is that of DeiT and of all that follow its recipe: the short side becomes 1 / `ratio` of the image size,
    bicubic; the centre is kept; ImageNet's mean and deviation are taken out.
    """

    ratio: float | None = 0.875  # of the image size to the short side; None: the whole photograph is squeezed
    antialiased: bool = True  # as pictures are resized; if not, bilinear between floats, as TensorFlow does
    interpolation: str = "bicubic"  # or bilinear
    half: bool = False  # to -1..1, instead of ImageNet's mean and deviation


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
    toolbox: str = ""  # whose conventions images and answers follow, as mmdetection's; else those of its authors
    image_size: Size = 224
    image_sizes_by: int = 32  # image sizes must be multiples of this
    sized: bool = True  # built for one image size (position tables, windows); a convolutional network takes any
    sweep: bool = True  # counted over the configured range of image sizes; if not, only where a paper prints a count
    at_size: Mapping[Size, Mapping[str, Any]] = field(default_factory=dict)  # what the authors change at a size
    exponent: int | None = None  # of its attention products in the number of tokens, by theory; none for a sum of two
    pyramid: str = ""  # the file of models/dense that takes its feature maps at four scales, which detectors stand on
    preprocessing: Preprocessing = Preprocessing()
    preprocessing_at: Mapping[Size, Preprocessing] = field(default_factory=dict)  # where it is another at a size
    ablation: str = ""  # what is changed in the model once built: a function of models/ablations.py
    released_params: int | None = None  # exact count of the authors' checkpoint, with its source in the card

    def resolve(self, image_size: Size) -> dict[str, Any]:
        """Return the architecture at `image_size` [px] (Swin has window 12 at 384).

        Raise `UserError` if the size does not fit.
        """
        if only := self.explain_refusal(image_size):
            raise UserError(f"{self.id} {only}, not {image_size} px")
        return {**self.architecture, **self.at_size.get(image_size, {})}

    def list_stages(self, image_size: Size) -> dict[str, tuple[Any, ...]]:
        """List hyper-parameters with a value a stage under plural names: `depths`, `embed_dims`, `num_heads`.

        Without `embed_dims`, `embed_dim` is the width of the first stage, and it doubles from stage to stage (Swin). A
        model without `depths` has one stage.
        """
        architecture = self.resolve(image_size)
        if "depths" not in architecture:
            one = {"embed_dims": "embed_dim", "num_heads": "num_heads"}
            return {plural: (architecture[key],) for plural, key in one.items() if key in architecture}
        lists = {key: tuple(value) for key, value in architecture.items() if isinstance(value, list | tuple)}
        if "embed_dim" in architecture:
            lists["embed_dims"] = tuple(architecture["embed_dim"] * 2**stage for stage in range(len(lists["depths"])))
        return lists

    def allows(self, image_size: Size) -> bool:
        """Tell whether the model takes images of this size; one built for a size takes squares only."""
        return not self.explain_refusal(image_size)

    def explain_refusal(self, image_size: Size) -> str:
        """Say what the model takes instead of images of this size; return nothing if it takes them."""
        if any(side < 1 or side % self.image_sizes_by for side in split_size(image_size)):
            return f"takes image sizes that are positive multiples of {self.image_sizes_by} px"
        if self.sized and not isinstance(image_size, int):
            return "takes square images only, named by their side"
        return ""


WAYS = ("evaluate", "fine-tune", "train", "not public")


@dataclass(frozen=True)
class Way:
    """How a printed accuracy can be obtained: one of `WAYS`.

    `weights` is the id of the record that is evaluated or fine-tuned; an evaluation is at `image_size` [px], the short
    side for a detector or segmenter, and yields the number as `metric`. Where `here`, an experiment of the suite trains
    that very model by its paper's recipe at the scale `full`; with an `experiment`, one arm of that. A number that is
    not public has a reason. A disagreement is between two `sides`: `labels`, weights, or one head of them,
    `<weights>/class_head`.
    """

    kind: str
    weights: str = ""
    image_size: int | None = None
    metric: str = ""
    here: bool = False
    reason: str = ""
    experiment: str = ""
    sides: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The ids of all weights that are evaluated."""
        ids = dict.fromkeys(side.split("/")[0] for side in self.sides if side != "labels")
        return tuple(ids) or (self.weights,)

    @property
    def measured_of(self) -> str:
        """What a measurement of ours calls the weights: their id, or both sides with a space between."""
        return " ".join(self.sides) or self.weights


@dataclass(frozen=True)
class Table:
    """A table as printed: header and rows of text, and each number in it as a `Published`.

    `cells[i][j]` are the numbers of row i, column j: none for a label or an empty cell, several for a list. `ways` has
    every accuracy among them.
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
    ways: Mapping[CellName, Way]

    @property
    def published(self) -> list[Published]:
        """Every number of the table, row by row."""
        return [number for row in self.cells for cell in row for number in cell]


class MissingError(LookupError):
    """The error for a number that a claim needs and nobody has; the message names it."""


class Lookup(typing.Protocol):
    """Finds one number, in base units."""

    def __call__(self, model: str, metric: str, image_size: Size | None = None, dataset: str = "") -> float:
        """Return the number. Raise `MissingError` if nobody has it."""


@dataclass(frozen=True)
class Contrast:
    """A difference between arms of experiments, paired over seeds: the sum of `plus` minus the sum of `minus`.

    An arm is `<experiment>/<arm>`; arms of several experiments compare if they were tested on the same images. Two arms
    on each side ask whether one difference is larger than another; without `minus` the estimate is an arm's own number.
    """

    plus: tuple[str, ...]
    minus: tuple[str, ...]
    metric: str = "top1"

    @property
    def arms(self) -> tuple[str, ...]:
        """Every arm it needs."""
        return self.plus + self.minus

    @property
    def experiments(self) -> tuple[str, ...]:
        """The experiments of these arms, each once."""
        return tuple(dict.fromkeys(arm.partition("/")[0] for arm in self.arms))


@dataclass(frozen=True)
class Insight(Contrast):
    """A number that an instrument reads off trained models: an arm's own, or a difference paired over seeds.

    An arm may end in /untrained, its models as they were before their training, or in /shuffled, where what is read off
    one image is held against another. `null` is that of these two at which all arms are the null model.
    """

    null: str = ""

    @property
    def trained(self) -> tuple[str, ...]:
        """The arms that are trained for it, each once."""
        return tuple(dict.fromkeys("/".join(arm.split("/")[:2]) for arm in self.arms))

    @property
    def null_model(self) -> Insight | None:
        """The same number of the null model, if it has one."""
        if not self.null:
            return None
        plus, minus = (tuple(f"{arm}/{self.null}" for arm in arms) for arms in (self.plus, self.minus))
        return Insight(plus, minus, self.metric)


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


Kind = Literal["superior", "non-inferior", "equal", "range"]

Facts = Mapping[str, Any]
"""What is known of an arm: its architecture, its recipe, and the means of its measured metrics, by name."""


@dataclass(frozen=True)
class Activity:
    """What must be so of an arm for a mechanism to act: `part` is below `whole`, as `text` says in words."""

    text: str  # "the window is smaller than half the grid"
    arm: str
    part: Callable[[Facts], float]
    whole: Callable[[Facts], float]


@dataclass(frozen=True)
class Control:
    """A contrast that must come out above `low` for a block of claims to be tested at all, as `text` says in words."""

    text: str
    contrast: Contrast
    low: float = 0.0


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper as one predicate: the estimate lies between `low` and `high`.

    Superiority by a margin m is (m, inf); equivalence within m is (-m, m); a factor is a range around it. The range is
    declared here, before anything is run. `estimate` is evaluated twice, on the published table `table` (a unit test)
    and on the measured one (the result), and so is `speedup`, by a clock; `contrast` asks an experiment instead, and
    `insight` what its models have learned. A claim with none of them cannot be tested by what the suite has, and
    `reason` says what it would take.

    A contrast is of a kind. `superior`: the difference is above 0, and one shown to be less than `counts` either way is
    too small to speak of; `counts` is half the printed effect, but at least 0.5 and at most 1 point. `non-inferior`
    ("comparable", "matches", "as good as"): it is above -`counts`, and being better is no contradiction. `equal` ("has
    little influence"): it lies within `counts` either way. `range`: a number, not a difference, lies in the range.

    `fair` says why the contrast is a fair test of the sentence. It is `exact` if its arms differ in what the sentence
    speaks of, though at another scale; else it stands for the sentence as a proxy.

    What must be so for the mechanism to act is declared in `active` (gate G4), and the positive control of a block of
    claims in `control` (G5). A contrast of small models may be no test of the sentence all the same: the arm does
    something else, the effect cannot occur at that size, or the outcome only says which arm learns faster. `untestable`
    gives that reason. Where the question is right and the test too weak to answer it, `weak` says so.
    """

    id: str
    where: str
    statement: str
    numbers: str = ""  # as printed
    effect: float | None = None  # the printed size of what the contrast asks for, in its unit
    estimate: Callable[[Lookup], float] | None = None
    contrast: Contrast | None = None
    insight: Insight | None = None
    kind: Kind = "superior"
    counts: float | None = None
    exact: bool = False
    fair: str = ""
    active: tuple[Activity, ...] = ()
    control: Control | None = None
    speedup: Speedup | None = None
    table: str = ""
    low: float = -float("inf")
    high: float = float("inf")
    unit: str = ""
    reason: str = ""
    untestable: str = ""  # why no outcome of the contrast bears on the sentence
    weak: str = ""  # why an outcome of the contrast decides nothing


PUBLISHED = "weights:"


def find_published(name: str) -> str:
    """Return the id of the published weights that an arm names as its start or teacher; "" if it names an arm."""
    return name.removeprefix(PUBLISHED) if name.startswith(PUBLISHED) else ""


@dataclass(frozen=True)
class Arm:
    """One condition of an experiment: the shared recipe with these changes, on its own model if it has one.

    `start_from` and `teacher` name arms of the same experiment, whose weights with the same seed it starts from, or
    learns from by distillation; or published weights, `weights:<id>`.
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
    seeds: tuple[int, ...] = ()  # its own; without them, as many from 0 on as a configuration asks for

    def list_seeds(self, asked: int) -> Sequence[int]:
        """List the seeds that its arms are trained with: its own, or as many as are `asked` for."""
        return self.seeds or range(asked)

    def find_origin(self, arm_id: str) -> str:
        """Return the id of the published weights that an arm began with, be it through other arms; "" for none."""
        while arm_id and not find_published(arm_id):
            arm_id = self.find_arm(arm_id).start_from
        return find_published(arm_id)

    def find_arm(self, arm_id: str) -> Arm:
        """Return the arm of that id. Raise `UserError` if there is none."""
        for arm in self.arms:
            if arm.id == arm_id:
                return arm
        raise nearest(arm_id, (a.id for a in self.arms), f"arm of {self.id}")

    def change(self, scale: str, changes: Mapping[str, Any]) -> Experiment:
        """Return the experiment with these changes of its recipe at a scale, unless an arm says otherwise.

        Raise `UserError` if it is not run at that scale.
        """
        return dataclasses.replace(self, scales={**self.scales, scale: {**self._find_scale(scale), **changes}})

    def merge_recipe(self, arm_id: str, scale: str) -> dict[str, Any]:
        """Change the shared recipe by the scale, then by the arm.

        Raise `UserError`, which names the nearest arm or scale.
        """
        return {**self.recipe, **self._find_scale(scale), **self.find_arm(arm_id).changes}

    def _find_scale(self, scale: str) -> Mapping[str, Any]:
        if scale not in self.scales:
            raise nearest(scale, self.scales, f"scale of {self.id}")
        return self.scales[scale]

    def choose_variant(self, arm_id: str) -> Variant:
        """Return the model of an arm: its own, or that of the experiment."""
        return self.find_arm(arm_id).model or self.model


@dataclass(frozen=True)
class Cause:
    """The reason why numbers of a card differ from ours, or why exact counts contradict claims of it.

    `known` is false if somebody looked and found no cause; the text then says "No cause found".
    """

    text: str
    cells: tuple[CellName, ...] = ()
    claims: tuple[str, ...] = ()  # ids
    known: bool = True


def list_cells(table: str, column: str, *rows: str) -> tuple[CellName, ...]:
    """Name the cells that these rows have in one column of a table."""
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
    printed: int | None = None  # how many numbers its tables hold, counted on the page by somebody else
    claims: tuple[Claim, ...] = ()
    experiments: tuple[Experiment, ...] = ()
    headline: str = ""  # its table of ImageNet-1k accuracies
    compared: tuple[str, ...] = ()  # its models of about 4 G multiply-adds, which stand for it beside other papers
    colour: str = "0.3"  # in the figures over all families, of matplotlib; one of its own, with its marker
    marker: str = "."
    causes: tuple[Cause, ...] = ()  # of what differs from ours
    discrepancies: tuple[str, ...] = ()  # where else the paper contradicts itself, its code or its quotations

    def find_causes(self, name: CellName | str) -> list[str]:
        """Return the text of the cause that names this cell, or this claim by its id: none or one."""
        return [cause.text for cause in self.causes if name in cause.cells or name in cause.claims]
