"""Wrong labels, put into training data on purpose, to see who copes with them. Shapes: N samples of the pool."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from limbeck.data.dataset import Data
from limbeck.data.hashing import hash64_all
from limbeck.data.split import by_hash
from limbeck.errors import DataError


def with_label_noise(data: Data, share: float) -> Data:
    """Return the data with a share, 0 <= share < 1, of its labelled training samples given another class.

    Which samples, and which of the other classes, each equally likely, follows from `split_seed` and the sample's id;
    a larger share flips those of a smaller one and more. Validation and test labels stay as they are. Raises DataError
    for other tasks than classification, and for a share out of range.
    """
    if data.task != "classification":
        raise DataError(f"data.label_noise is for classification, but data.task is {data.task}.")
    if not 0 <= share < 1:
        raise DataError(f"data.label_noise is a share of the training labels, 0 or more and below 1, got {share}.")
    labelled = data.train[data.pool.labels[data.train] >= 0]
    ids = [data.pool.ids[row] for row in labelled.tolist()]
    order = torch.from_numpy(by_hash([f"label noise/{name}" for name in ids], data.split_seed))
    wrong = order[: round(share * len(labelled))]
    labels = data.pool.labels.clone()
    labels[labelled[wrong]] = _other_class(data, ids, wrong, labels[labelled[wrong]])
    note = (
        f"Of {len(labelled):,} training labels {len(wrong):,} were given another class (data.label_noise); those of "
        f"validation and test samples are as they were."
    )
    return replace(
        data, pool=replace(data.pool, labels=labels), notes=(*data.notes, note) if len(wrong) else data.notes
    )


def _other_class(data: Data, ids: list[str], rows: Tensor, labels: Tensor) -> Tensor:
    """Return another class for each of some labels [R], by the hash of its sample."""
    others = len(data.classes) - 1
    drawn = hash64_all((ids[row] for row in rows.tolist()), salt=f"{data.split_seed}/label noise/class/")
    steps = 1 + torch.from_numpy(drawn % others).to(labels.device)
    return (labels + steps) % len(data.classes)
