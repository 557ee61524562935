"""What an evaluation is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from replication import papers, released
from replication.papers.parts.weights import find_weight, read_weights
from replication.records.card import Variant
from replication.records.rows import Weight
from replication.records.words import UserError


@dataclass(frozen=True)
class Asked:
    """Weights of a model, the images that it answers for, and the folder of what comes out.

    The size [px] is the side of a classifier's square, or that of the short sides of the images. `dataset` names the
    images, unless they are those of the papers; `weights` is the id of the record of the file, unless the file is
    called so; several scales (`multi_scale`) are for segmenters.
    """

    model: str
    image_size: int
    checkpoint: Path
    images: Path
    out: Path
    dataset: str = ""
    weights: str = ""
    multi_scale: bool = False

    @property
    def variant(self) -> Variant:
        """The model's entry in its card."""
        return papers.find_variant(self.model)

    @property
    def record(self) -> Weight | None:
        """The record of the file: the one that is named, or the first of this model that the file's name says.

        Raise `UserError` if it is of another model.
        """
        if self.weights in read_weights():
            if (record := find_weight(self.weights)).model != self.model:
                raise UserError(f"the weights {self.weights} are of {record.model}, not of {self.model}")
            return record
        if self.weights:
            return None
        return next((one for one in released.recognise(self.checkpoint.name) if one.model == self.model), None)
