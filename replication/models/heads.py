"""The heads of a model with a distillation token, each listened to on its own."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


def record_heads(model: nn.Module) -> tuple[dict[str, list[Tensor]], Callable[[], None]]:
    """Record each head's logits in a list as a model with a head on its distillation token runs, until told to stop.

    Of any other model nothing is recorded.
    """
    if not isinstance(getattr(model, "head_dist", None), nn.Module):
        return {}, lambda: None
    found: dict[str, list[Tensor]] = {"class_head": [], "distillation_head": []}
    handles = [
        model.get_submodule(part).register_forward_hook(lambda _, __, logits, said=said: said.append(logits.cpu()))
        for part, said in zip(("head", "head_dist"), found.values(), strict=True)
    ]

    def stop() -> None:
        for handle in handles:
            handle.remove()

    return found, stop
