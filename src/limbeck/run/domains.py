"""What a run with a target tells about its two domains: accuracy in either one, and how far apart they lie."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from limbeck.data.samples import Samples
from limbeck.evaluate.domain_gap import proxy_distance, unbiased_discrepancy
from limbeck.evaluate.intervals import rate
from limbeck.models.adapt import Adapted
from limbeck.models.stages import stages_of
from limbeck.objectives.domain_term import vectors
from limbeck.run.answers import entry
from limbeck.run.assess import Findings
from limbeck.run.chains import BySeed
from limbeck.run.choosing import some_of
from limbeck.run.fits import best_seed
from limbeck.run.plan import Plan
from limbeck.train.loop import predict

DRAWN = 200  # of the compared samples in the picture


def describe_domains(plan: Plan, findings: Findings) -> dict[str, Any] | None:
    """Return the report's `domains`: by model, accuracy in the source, the gap in its features, and a picture of them.

    None where the data have one domain alone. The gap and the picture are those of training samples, of the seed that
    is best on validation.
    """
    data = plan.data
    if data.in_domain is None:
        return None
    samples = [some_of(data, 0), some_of(data, 1)]
    models = {}
    for key, fits in findings.fits.items():
        features = _features(fits[best_seed(fits)].model, data.pool, samples)
        models[key] = {
            "in_domain_accuracy": _accuracy(fits, data.in_domain),
            "discrepancy": None if features is None else unbiased_discrepancy(*features),
            "proxy_distance": None if features is None else proxy_distance(*features),
            "picture": None if features is None else _picture(*features),
        }
    return {"in_domain_test": len(data.in_domain), "compared": [len(rows) for rows in samples], "models": models}


def _accuracy(fits: BySeed, samples: Samples) -> dict[str, Any]:
    right = [(predict(one.model, samples).argmax(1) == samples.labels.cpu()).double().numpy() for one in fits.values()]
    return entry(rate(np.stack(right)), True)


@torch.no_grad()
def _features(model: Adapted, samples: Samples, rows: list[Tensor]) -> tuple[Tensor, Tensor] | None:
    """Return the vectors before a model's classifier, [S, D] and [T, D]; None where it has no hidden layer."""
    model.eval()
    layers = stages_of(model, samples.batch(rows[0][:2]).inputs.cpu())
    if not layers:
        return None
    model.listen_to(layers[-1:])
    try:
        source, target = (
            torch.cat([_vectors(model, samples.batch(part).inputs, layers[-1]) for part in torch.split(one, 256)])
            for one in rows
        )
    finally:
        model.listen_to(())
    return source.float(), target.float()


def _vectors(model: Adapted, inputs: Tensor, layer: str) -> Tensor:
    return vectors(model(inputs.cpu()).features[layer])


def _picture(source: Tensor, target: Tensor) -> dict[str, list[list[float]]]:
    """Return points of both domains on the two main axes of all of them."""
    both = torch.cat([source, target]).double().numpy()
    if both.shape[1] < 2:
        both = np.column_stack([both, np.zeros(len(both))])
    points = PCA(2, random_state=0).fit_transform(both).round(3)
    parts = points[: len(source)], points[len(source) :]
    return {
        name: part[:: max(1, len(part) // DRAWN)][:DRAWN].tolist()
        for name, part in zip(("source", "target"), parts, strict=True)
    }
