"""What learns: a task's module with its optimizer, its moving average and its precision; one step, and the state."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from timm.optim import create_optimizer_v2, param_groups_weight_decay  # type: ignore[attr-defined]
from timm.utils import ModelEmaV3  # type: ignore[attr-defined]
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from replication.models.attention import set_attention
from replication.papers.parts.recipe import Recipe
from replication.records.words import UserError
from replication.training.processes import Processes
from replication.training.products import use_onednn
from replication.training.start import find_heads
from replication.training.tasks import Task

OPTIMIZERS = {"adamw": "adamw", "adam": "adam", "sgd": "momentum", "lamb": "lamb", "muon": "nmuon"}
"""timm's names; its "sgd" is Nesterov's, and so is our Muon, by which matrices learn, all else by AdamW."""
MUON_MOMENTUM = 0.95
FUSED = ("adamw", "adam", "sgd")  # one kernel updates all parameters
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Learner:
    """A task and all that changes while it is learned."""

    def __init__(self, task: Task, recipe: Recipe, device: torch.device, processes: Processes) -> None:
        """Learn the task on `device` by the recipe, all `processes` together."""
        self.task, self.recipe, self.device, self.processes = task, recipe, device, processes
        self.module = task.module
        use_onednn(self.module)
        set_products(recipe.precision, device)
        if device.type == "cpu":
            # With torch's fused kernel a step of a small ViT takes 6 % longer, in half precision several times as long.
            set_attention(self.module, "math")
        if recipe.trainable == "head":
            learning = {parameter for head in find_heads(self.module) for parameter in head.parameters()}
            for parameter in self.module.parameters():
                parameter.requires_grad_(parameter in learning)
        self.parameters = [parameter for parameter in self.module.parameters() if parameter.requires_grad]
        self.optimizer = make_optimizer(self.module, recipe)
        self.average = ModelEmaV3(self.module, decay=recipe.ema_decay) if recipe.ema_decay is not None else None
        self.scaler = torch.GradScaler(device.type, enabled=recipe.precision == "fp16")
        self.parallel = DistributedDataParallel(self.module) if processes.world > 1 else None
        self.forward: Any = self.parallel or self.module
        if recipe.compile:
            self.forward = torch.compile(self.forward)

    def autocast(self) -> AbstractContextManager[None]:
        """Return the context that gives the forward pass its precision."""
        dtype = AUTOCAST.get(self.recipe.precision)
        return torch.autocast(self.device.type, dtype, enabled=dtype is not None)

    def learning(self) -> None:
        """Put the module in training mode; of a linear readout only the head."""
        self.module.train(self.recipe.trainable == "all")
        for head in find_heads(self.module) if self.recipe.trainable == "head" else ():
            head.train()

    def step(self, images: Tensor, targets: Any, batch: int, rate: float) -> tuple[Tensor, Tensor]:
        """Learn from one batch at the learning rate `rate`; return its mean loss and the norm of its gradient.

        `images` is the share of this process in a `batch` of so many, and the loss the share of it in the mean. The
        norm is 0 where nothing asks for it. With micro-batches and processes the gradient is that of the whole batch.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.optimizer.zero_grad()
        total = torch.zeros((), device=self.device)
        size = self.recipe.micro_batch or len(images)
        for first in range(0, len(images), size):
            part = slice(first, first + size)
            weight = len(images[part]) / batch
            with self._exchange(last=part.stop >= len(images)):
                with self.autocast():
                    loss = self.task.loss(self.forward, images[part], targets[part])
                # Gradients are averaged over the processes, and the batch wants their sum.
                self.scaler.scale(loss * (weight * self.processes.world)).backward()
            total += loss.detach() * weight
        norm = torch.zeros((), device=self.device)
        if self.recipe.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            norm = nn.utils.clip_grad_norm_(self.parameters, self.recipe.clip_norm, foreach=True)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.module)
        return total, norm

    def _exchange(self, last: bool) -> AbstractContextManager[None]:
        """Let the processes exchange gradients once a step, at its last micro-batch."""
        return nullcontext() if last or self.parallel is None else self.parallel.no_sync()

    @torch.no_grad()
    def evaluate(self, split: Any) -> dict[str, float]:
        """Measure the task's metrics, of the moving average if there is one."""
        module = self.tested.eval()
        with self.autocast():
            return self.task.evaluate(module, split, self.device)

    @property
    def tested(self) -> nn.Module:
        """The module that is the result: the moving average of the weights, or the weights."""
        return self.module if self.average is None else self.average.module

    def state_dict(self) -> dict[str, Any]:
        """Return everything that is needed to go on, exactly."""
        state = {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        state["scaler"] = self.scaler.state_dict()
        if self.average is not None:
            state["average"] = self.average.module.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up a saved state."""
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])


def set_products(precision: str, device: torch.device) -> None:
    """Let products of float32 matrices be TF32 or not, for the whole process; `UserError` for TF32 without a GPU."""
    if precision == "tf32" and device.type != "cuda":
        raise UserError("precision tf32 needs a GPU; choose fp32 or bf16")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"


def make_optimizer(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Make the recipe's optimizer over the parameters that learn."""
    if recipe.optimizer == "muon":
        use_single_precision()
    options: dict[str, Any] = {"fused": True} if recipe.optimizer in FUSED else {}
    if recipe.optimizer != "sgd":
        options["betas"] = recipe.betas
    return create_optimizer_v2(
        module,
        opt=OPTIMIZERS[recipe.optimizer],
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        momentum=MUON_MOMENTUM if recipe.optimizer == "muon" else recipe.momentum,
        param_group_fn=lambda model: group_parameters(model, recipe),
        **options,
    )


def use_single_precision() -> None:
    """Let timm's Muon orthogonalise in float32: on a CPU its bfloat16 takes ten times as long."""
    from timm.optim import muon  # of timm since late 2025

    if not isinstance(muon.zeropower_via_newtonschulz, functools.partial):
        muon.zeropower_via_newtonschulz = functools.partial(muon.zeropower_via_newtonschulz, dtype=torch.float32)


def group_parameters(module: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Group the parameters that learn by how they decay, and by whether they are of a backbone with its own rate.

    The rate of a group is `lr_scale` times the recipe's. Raise `UserError` if such a rate is given and there is no
    backbone.
    """
    if recipe.decay == "all":
        learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
        found: list[dict[str, Any]] = [{"params": learning, "weight_decay": recipe.weight_decay}]
    else:
        kept: set[str] = getattr(module, "no_weight_decay", set)()
        found = param_groups_weight_decay(module, recipe.weight_decay, no_weight_decay_list=kept)
    if recipe.backbone_learning_rate is None:
        return found
    if not isinstance(getattr(module, "backbone", None), nn.Module):
        raise UserError(f"backbone_learning_rate needs a model with a backbone, which {type(module).__name__} is not")
    backbone = set(map(id, module.get_submodule("backbone").parameters()))
    scale, apart = recipe.backbone_learning_rate / recipe.learning_rate, []
    for group in found:
        inside = [parameter for parameter in group["params"] if id(parameter) in backbone]
        outside = [parameter for parameter in group["params"] if id(parameter) not in backbone]
        apart += [{**group, "params": outside}, {**group, "params": inside, "lr_scale": scale}]
    return [group for group in apart if group["params"]]
