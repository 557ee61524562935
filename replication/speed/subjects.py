"""This module makes the steps that are timed: of models, of attention alone, and of the machine's own limits.

A cell is one subject at one image size. A mechanism is one attention layer over a square grid of tokens, whose side
stands for the size, and a module is the same from Swin's Table 5. The kernels are a matrix product, a convolution and
a copy, whose speeds bound all others' (the roofline).
Shapes: B batch, N tokens, D width.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend
from torch.overrides import TorchFunctionMode

from replication.complexity.mechanisms import LAYERS, WIDTH
from replication.complexity.memory import count_peak
from replication.complexity.stand_in import imitate_device, materialise
from replication.complexity.sweep import INITIALISERS, build_skeleton
from replication.complexity.traffic import Operations, count_operations
from replication.models import build_variant
from replication.models.attention import set_attention
from replication.papers.parts.user_models import OWN
from replication.records.card import Variant
from replication.records.rows import name_subject
from replication.records.words import Size, UserError, split_size
from replication.speed.condition import Condition
from replication.speed.swin_table5 import MODULES

SEED = 0
SCALE = 0.02
"""The random weights have this standard deviation: that of the papers' own initial ones."""
LINE = 64
"""Matrices start at multiples of so many numbers: allocators align to cache lines, and so do we."""
ATTENTIONS = {name_subject(name): make for name, (_, make) in LAYERS.items()}
"""A subject stands for the function that makes the module of an attention mechanism."""
MATMUL = 2048
"""The kernel `matmul` multiplies matrices of so many rows and columns, its image size."""
CONVOLUTION, CHANNELS = 56, 256
"""The kernel `convolution`, 3 x 3, has a map of this side, its image size, and so many channels in and out."""
COPY = 256
"""The kernel `copy` copies so much [MiB], its image size."""


@dataclass(frozen=True)
class Cell:
    """A cell is one subject at one image size [px]: for attention tokens a side, for kernels a measure of their own."""

    subject: str
    kind: str  # model | mechanism | module | kernel
    image_size: Size
    variant: Variant | None = field(default=None, compare=False, repr=False)  # of a model


# --- a subject and what it takes --------------------------------------------------------------------


class MatrixProduct(nn.Module):
    """This kernel multiplies two square matrices, A B."""

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the product."""
        return a @ b


class Convolution(nn.Module):
    """This kernel filters images by weights of 3 x 3. A library need not be fastest at products of matrices."""

    def forward(self, images: Tensor, weight: Tensor) -> Tensor:
        """Return maps of the images' size."""
        return F.conv2d(images, weight, padding=1)


class Copy(nn.Module):
    """This kernel copies from memory to memory."""

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Return the target, which then equals the source."""
        return target.copy_(source)


class _Undrawn(TorchFunctionMode):
    """This mode leaves matrices of weights as they were allocated: drawing those of a large model takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        first = args[0] if args else None
        if getattr(func, "__name__", "") in INITIALISERS and isinstance(first, nn.Parameter) and first.dim() > 1:
            return first
        return func(*args, **(kwargs or {}))


def build(cell: Cell, device: str = "cpu") -> nn.Module:
    """Build the module of a cell, its matrices undrawn and the rest from a fixed seed; on `meta`, shapes alone."""
    if cell.kind == "kernel":
        return {"matmul": MatrixProduct, "convolution": Convolution, "copy": Copy}[cell.subject]()
    if cell.variant and device == "meta":
        return build_skeleton(cell.variant, cell.image_size)
    with torch.random.fork_rng(devices=[]), torch.device(device), _Undrawn():
        torch.default_generator.manual_seed(SEED)
        if cell.variant:
            return materialise(build_variant(cell.variant, cell.image_size), cell.image_size)
        if cell.kind == "module":
            return MODULES[cell.subject].build()
        return ATTENTIONS[cell.subject]()


def list_shapes(cell: Cell, condition: Condition) -> list[tuple[int, ...]]:
    """List the shapes of a step's inputs: images (B, 3, H, W), tokens (B, N, D), a map (B, H, W, D), or two tensors."""
    if cell.subject == "matmul":
        return [(MATMUL, MATMUL)] * 2
    if cell.subject == "convolution":
        return [(1, CHANNELS, CONVOLUTION, CONVOLUTION), (CHANNELS, CHANNELS, 3, 3)]
    if cell.subject == "copy":
        return [(COPY * 2**20 // condition.types.compute.itemsize,)] * 2
    if cell.kind == "mechanism":
        return [(condition.batch_size, math.prod(split_size(cell.image_size)), WIDTH)]
    if cell.kind == "module":
        return [(condition.batch_size, *MODULES[cell.subject].shape)]
    return [(condition.batch_size, 3, *split_size(cell.image_size))]


def choose_input_type(cell: Cell, condition: Condition) -> torch.dtype:
    """Choose the type of a step's inputs: a kernel runs in that of the products."""
    return condition.types.compute if cell.kind == "kernel" else condition.types.weights


def make_step(
    cell: Cell, condition: Condition, module: Callable[..., Any], inputs: Sequence[Tensor]
) -> Callable[[], Any]:
    """Make one step of a cell: a forward pass; or forward, cross-entropy and backward, whose gradients are dropped.

    Kernels have no backward pass. Raise `UserError` for the training of anything but a classifier.
    """
    arguments = (*inputs, split_size(cell.image_size)) if cell.kind == "mechanism" else tuple(inputs)

    def infer() -> object:
        with torch.no_grad(), condition.autocast():
            return module(*arguments)

    if condition.mode == "infer" or cell.kind == "kernel":
        return infer
    if not cell.variant or cell.variant.task != "classification":
        raise UserError("only classification models are trained; this one is timed at inference")
    labels = torch.zeros(condition.batch_size, dtype=torch.long, device=inputs[0].device)

    def train() -> None:
        with condition.autocast():
            loss = F.cross_entropy(module(*arguments), labels)
        loss.backward()
        for parameter in parameters:
            parameter.grad = None

    assert isinstance(module, nn.Module)
    parameters = list(module.parameters())
    return train


# --- from shapes ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Need:
    """A need is what a cell takes, counted from shapes alone."""

    image_macs: int  # one image at inference
    step: Operations  # one step
    peak_memory: int  # [bytes]
    matrices: int  # numbers in the matrices of weights


def count_need(cell: Cell, condition: Condition) -> Need:
    """Count a cell on `meta`; a mixed precision counts as that of its products. Raise `UserError` as `make_step`."""
    dtype = condition.types.compute
    if cell.kind == "kernel":
        first, second = (math.prod(shape) for shape in list_shapes(cell, condition))
        macs = {"matmul": MATMUL**3, "convolution": second * CONVOLUTION**2, "copy": 0}[cell.subject]
        size = (first + second + (first if macs else 0)) * dtype.itemsize  # a result is as large as the first
        return Need(macs, Operations(macs, size), size, 0)
    module = set_attention(build(cell, "meta"), condition.attention).to(dtype)
    module.train(condition.mode == "train")
    inputs = [torch.empty(shape, dtype=dtype, device="meta") for shape in list_shapes(cell, condition)]
    step = make_step(cell, condition, module, inputs)
    steps: list[Operations] = []
    held = [*module.parameters(), *module.buffers(), *inputs]
    # own models may make tensors without saying where, as in torch.arange(N)
    with torch.device("meta") if cell.variant and cell.variant.family == OWN else nullcontext(), imitate_device():
        peak = count_peak(lambda: steps.append(count_operations(step)), held, condition.mode)
        if condition.mode == "train":
            infer = make_step(cell, dataclasses.replace(condition, mode="infer"), module, inputs)
            steps.append(count_operations(infer))
    return Need(steps[-1].macs // condition.batch_size, steps[0], peak, count_matrices(module))


def count_matrices(module: nn.Module) -> int:
    """Count the numbers in the matrices of weights of a module, as a pool lays them out."""
    return sum(p.numel() + LINE for p in module.parameters() if p.dim() > 1)


# --- on a device ------------------------------------------------------------------------------------


class Pool:
    """The cells of a run share a pool: one storage of random numbers for all matrices, and one input of each shape.

    Models that are timed in turns are all in memory at once, which sixty of them with weights of their own would not
    be. So the matrices of every model are views of the same storage, one after another as an allocator would lay them
    out: within a model each has memory of its own (or caches would serve many with one), between models none has. What
    a step reads, and when it must come from memory, is as it would be. Vectors (biases, norms) and buffers (masks,
    indices, running statistics) carry meaning that random numbers have not, are small, and stay the model's own.
    """

    def __init__(self, condition: Condition, matrices: int) -> None:
        """Draw numbers for a model with so many in its matrices."""
        self.condition = condition
        self.weights = self._draw((matrices,), condition.types.weights, SCALE)
        self._inputs: dict[tuple[tuple[int, ...], int, torch.dtype], Tensor] = {}

    def _draw(self, shape: tuple[int, ...], dtype: torch.dtype, scale: float = 1.0) -> Tensor:
        generator = torch.Generator(self.condition.device).manual_seed(SEED)
        return torch.empty(shape, dtype=dtype, device=self.condition.device).normal_(0, scale, generator=generator)

    def make_inputs(self, cell: Cell) -> list[Tensor]:
        """Make the inputs of a step of a cell on the device."""
        dtype, inputs = choose_input_type(cell, self.condition), []
        for place, shape in enumerate(list_shapes(cell, self.condition)):
            if (shape, place, dtype) not in self._inputs:
                tensor = self._draw(shape, dtype)
                if self.condition.channels_last and tensor.dim() == 4:
                    tensor = tensor.to(memory_format=torch.channels_last)
                self._inputs[shape, place, dtype] = tensor
            inputs.append(self._inputs[shape, place, dtype])
        return inputs

    def lend(self, module: nn.Module) -> nn.Module:
        """Move a module to the device and the type of the weights, and make its matrices views of the storage."""
        place, views = 0, dict[nn.Parameter, nn.Parameter]()  # a matrix that two layers share stays one
        for layer in module.modules():
            for name, parameter in layer.named_parameters(recurse=False):
                if parameter.dim() < 2:
                    continue
                if parameter not in views:
                    view = self.weights.as_strided(parameter.shape, self._find_strides(parameter), place)
                    views[parameter] = nn.Parameter(view, parameter.requires_grad)
                    place += math.ceil(parameter.numel() / LINE) * LINE
                setattr(layer, name, views[parameter])
        return module.to(self.condition.device, self.condition.types.weights)

    def _find_strides(self, parameter: Tensor) -> tuple[int, ...]:
        channels_last = self.condition.channels_last and parameter.dim() == 4
        layout = torch.channels_last if channels_last else torch.contiguous_format
        return torch.empty(parameter.shape, device="meta", memory_format=layout).stride()


@dataclass(frozen=True)
class Prepared:
    """A step is ready to be timed. It ran once, uncompiled."""

    step: Callable[[], Any]
    attention_kernel: str  # math | flash | efficient | cudnn, joined by + where layers differ; "" without attention


def prepare(cell: Cell, condition: Condition, pool: Pool) -> Prepared:
    """Build the model of a cell and run its step once, uncompiled."""
    module = set_attention(pool.lend(build(cell)), condition.attention)
    module.train(condition.mode == "train")
    inputs = pool.make_inputs(cell)
    step = make_step(cell, condition, module, inputs)
    with AttentionKernels(condition) as kernels:
        step()
    has_attention = any(hasattr(layer, "fused_attn") for layer in module.modules())
    if has_attention and (condition.attention == "math" or not kernels.seen):
        kernels.seen.add("math")
    if condition.compiled:
        step = make_step(cell, condition, torch.compile(module, dynamic=False), inputs)
    return Prepared(step, "+".join(sorted(kernels.seen)))


class AttentionKernels(TorchFunctionMode):
    """This mode asks PyTorch which kernel it takes for each scaled_dot_product_attention; `seen` are their names."""

    def __init__(self, condition: Condition) -> None:
        """Start without kernels."""
        super().__init__()
        self.condition = condition
        self.seen: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            self.seen.add(self._find_kernel(*args, **(kwargs or {})))
        return func(*args, **(kwargs or {}))

    def _find_kernel(self, *tensors: Any, **options: Any) -> str:
        if self.condition.types.autocast:  # which would cast them within
            tensors = tuple(x.to(self.condition.types.compute) if isinstance(x, Tensor) else x for x in tensors)
        choice = SDPBackend(torch._fused_sdp_choice(*tensors, **options))
        return choice.name.split("_")[0].lower()
