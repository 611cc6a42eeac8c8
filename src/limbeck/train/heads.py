"""What the heads of further tasks say about samples. Shapes: n samples, T classes of a further task."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.models.adapt import Adapted
from limbeck.train.loop import evaluation_batch


@torch.no_grad()
def predict_heads(model: Adapted, samples: Samples, rows: Tensor | None = None) -> dict[str, Tensor]:
    """Return the logits [n, T] (float32, CPU) of each further head, by task; as `limbeck.train.loop.predict` does."""
    rows = torch.arange(len(samples)) if rows is None else rows
    training, device = model.training, next(model.parameters()).device
    model.eval()
    said = [model(samples.batch(part).inputs.to(device)).heads for part in torch.split(rows, evaluation_batch(samples))]
    model.train(training)
    tasks = {} if model.many_heads is None else model.many_heads.tasks
    return {
        name: torch.cat([one[name].float().cpu() for one in said]) if said else torch.zeros(0, classes)
        for name, classes in tasks.items()
    }
