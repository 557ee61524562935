"""Training throughput of the engine against the loop a user would write, on the digits with the small ViT of 17 tokens.

The loop: PIL images, torchvision transforms, a DataLoader with two workers, AdamW as it comes, `.item()` at every step.
Same model, batches of 64, schedule and number of epochs. The engine runs in fp32, as the loop does, and in bf16, which
pays on processors with instructions for it. Every contender is a process of its own with one compute thread; they take
turns, epoch by epoch, so that a busy machine slows all alike. Two runs at once are what the machine does when runs go
side by side.

    python -m benchmarks.training_throughput --epochs 8
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

RECIPE: dict[str, Any] = {
    **{"dataset": "digits", "image_size": 28, "batch_size": 64, "learning_rate": 3e-3, "warmup_epochs": 1},
    **{"weight_decay": 0.05, "label_smoothing": 0.1, "clip_norm": None},
}
Contender = tuple[Callable[[int], None], Callable[[], float], int]
"""Train one epoch, given its number from 1; top-1 accuracy on validation [%]; the number of training images."""


def user(epochs: int, seed: int) -> Contender:
    """The loop a user would write."""
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader
    from torchvision import transforms

    from replication import data
    from replication.papers.parts import small_models
    from replication.papers.parts.recipe import Recipe
    from replication.training.schedule import compute_rate
    from replication.training.start import build_fresh

    recipe, digits = Recipe(**RECIPE, epochs=epochs), data.load("digits", 28)
    (mean,), (std,) = digits.mean, digits.std
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])

    class Pictures(torch.utils.data.Dataset[Any]):
        def __init__(self, split: data.Split) -> None:
            pixels = ((split.images[:, 0] * std + mean) * 255).round().byte().numpy()
            self.pictures = [Image.fromarray(picture) for picture in pixels]
            self.labels = split.labels.tolist()

        def __len__(self) -> int:
            return len(self.labels)

        def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
            return transform(self.pictures[index]), self.labels[index]

    train = DataLoader(
        Pictures(digits.train), RECIPE["batch_size"], shuffle=True, num_workers=2, multiprocessing_context="fork"
    )
    val = DataLoader(Pictures(digits.val), 250)
    model = build_fresh(small_models.VIT, 28, digits.classes, digits.channels, seed)
    optimizer = torch.optim.AdamW(model.parameters(), RECIPE["learning_rate"], weight_decay=RECIPE["weight_decay"])
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: compute_rate(recipe, step, len(train)) / recipe.learning_rate
    )
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing)

    def epoch(number: int) -> None:
        model.train()
        total = 0.0
        for images, labels in train:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()
            scheduler.step()
            total += loss.item()

    def accuracy() -> float:
        model.eval()
        with torch.no_grad():
            right = sum(int((model(images).argmax(1) == labels).sum()) for images, labels in val)
        return 100 * right / len(digits.val)

    return epoch, accuracy, len(digits.train)


def engine(epochs: int, seed: int, precision: str) -> Contender:
    """The engine of the suite."""
    import torch

    from replication import data
    from replication.papers.parts import small_models
    from replication.papers.parts.recipe import Recipe
    from replication.training.ending import Ending
    from replication.training.learner import Learner
    from replication.training.loop import train_epoch
    from replication.training.processes import Processes
    from replication.training.start import build_fresh
    from replication.training.tasks import TASKS

    recipe, digits, cpu = (
        Recipe(**RECIPE, epochs=epochs, precision=precision),
        data.load("digits", 28),
        torch.device("cpu"),
    )
    model = build_fresh(small_models.VIT, 28, digits.classes, digits.channels, seed)
    learner = Learner(TASKS[recipe.task](model, recipe, digits, cpu, None), recipe, cpu, Processes())

    def epoch(number: int) -> None:
        train_epoch(learner, digits.train, seed, number, "benchmark", Ending())

    return epoch, lambda: learner.evaluate(digits.val)["top1"], len(digits.train)


def seconds_of_cpu() -> float:
    """Processor time of this process and of the workers it has ended."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def serve(contender: str, epochs: int, seed: int, pipe: Connection) -> None:
    """A process that trains an epoch whenever it is told its number, and answers with its seconds: wall and CPU."""
    import torch

    torch.set_num_threads(1)
    epoch, accuracy, images = user(epochs, seed) if contender == "user" else engine(epochs, seed, contender)
    pipe.send(images)
    for number in range(1, epochs + 1):
        pipe.recv()
        wall, cpu = time.perf_counter(), seconds_of_cpu()
        epoch(number)
        pipe.send((time.perf_counter() - wall, seconds_of_cpu() - cpu))
    pipe.send(accuracy())


def main() -> None:
    """Print one line a contender."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8, help="the first warms up (default: %(default)s)")
    epochs = parser.parse_args().epochs
    context = multiprocessing.get_context("spawn")
    contenders = {"the loop a user would write": ["user"]}
    for precision in ("fp32", "bf16"):
        contenders |= {f"one run, {precision}": [precision], f"two runs at once, {precision}": [precision] * 2}
    pipes: dict[str, list[Connection]] = {}
    for name, kinds in contenders.items():
        pipes[name] = []
        for seed, kind in enumerate(kinds):
            ours, theirs = context.Pipe()
            context.Process(target=serve, args=(kind, epochs, seed, theirs), daemon=kind != "user").start()
            pipes[name].append(ours)
    images = {name: [pipe.recv() for pipe in group] for name, group in pipes.items()}
    by_wall: dict[str, list[float]] = {name: [] for name in contenders}
    by_cpu: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(1, epochs + 1):
        for name, group in pipes.items():
            for pipe in group:
                pipe.send(number)
            times = [pipe.recv() for pipe in group]
            if number > 1:
                by_wall[name].append(sum(images[name]) / max(wall for wall, _ in times))
                by_cpu[name].append(sum(images[name]) / sum(cpu for _, cpu in times))
    base = statistics.median(by_wall["the loop a user would write"])
    print("contender,images/s: median,lowest,highest,times the loop,images per second of CPU,top-1 on validation [%]")
    for name, rates in by_wall.items():
        median, cpu = statistics.median(rates), statistics.median(by_cpu[name])
        top1 = statistics.mean(pipe.recv() for pipe in pipes[name])
        print(f"{name},{median:.0f},{min(rates):.0f},{max(rates):.0f},{median / base:.2f},{cpu:.0f},{top1:.1f}")


if __name__ == "__main__":
    main()
