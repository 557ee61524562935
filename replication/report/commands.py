"""The commands that a reader can type, as results print them."""

from __future__ import annotations

from collections.abc import Iterable

from replication.records.words import Size, split_size


def write_count_command(models: Iterable[str], sizes: Iterable[Size]) -> str:
    """Write the command that counts these models at these image sizes by hand."""
    return (
        f"python -m replication complexity count --models {' '.join(sorted(set(models)))}"
        f" --image-sizes {' '.join(map(str, sorted(set(sizes), key=split_size)))} --out results/by_hand"
    )


def write_fill_command(number: str) -> str:
    """Write the command that evaluates the published weights which stand for a number, by its id."""
    return f"python -m replication fill {number}"


def write_train_command(arm: str) -> str:
    """Write the command that trains an arm, `<experiment>/<arm>`, at the scale `full`, and judges."""
    return (
        f"snakemake --cores all --configfile config/full.yaml --config 'experiments=[{arm}]'"
        " -- results/full/verdicts.csv"
    )
