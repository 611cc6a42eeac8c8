"""How strongly each term pulls at the student, measured while it is trained, so that a weight can mean a share of it.

Shapes: T terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from limbeck.errors import ObjectiveError

KEPT = 0.8  # of what was measured before, when gradients are measured again
NOTHING = 1e-12  # a gradient shorter than this has no direction; its term is left as it is
EVERY = 25  # steps between two measurements of a fit


class Balance(nn.Module):
    """Norms of the terms' gradients at the student's weights, and the cosines between them, as moving averages.

    What was measured lies in buffers, so it is in every checkpoint and a resumed fit goes on with it.
    """

    norms: Tensor
    cosines: Tensor
    measured: Tensor

    def __init__(self, terms: int) -> None:
        super().__init__()
        self.register_buffer("norms", torch.zeros(terms))
        self.register_buffer("cosines", torch.eye(terms))
        self.register_buffer("measured", torch.tensor(0))
        self._watched: tuple[nn.Parameter, ...] | None = None  # a tuple, so that they are not registered twice

    def watch(self, student: nn.Module) -> None:
        """Remember at which weights gradients are measured: all that are trained."""
        self._watched = tuple(parameter for parameter in student.parameters() if parameter.requires_grad)

    def measure(self, values: Sequence[Tensor]) -> None:
        """Take the gradient of each term, unweighted [], and put it to what was measured before.

        It costs one backward pass for each term; the graph is kept for the step's own.
        """
        if self._watched is None:
            raise ObjectiveError(
                "balance: gradients does not know the student's weights yet; call objective.prepare(outputs, "
                "knowledge, Context(student, samples)) once before the first step."
            )
        gradients = torch.stack([self._gradient(value) for value in values])
        norms = gradients.norm(dim=1)
        unit = gradients / norms.clamp_min(NOTHING)[:, None]
        share = torch.where(self.measured == 0, 0.0, KEPT)
        self.norms.lerp_(norms, 1 - share)
        self.cosines.lerp_(unit @ unit.T, 1 - share)
        self.measured += 1

    def factors(self, weights: Sequence[float]) -> Tensor:
        """Return what each term is multiplied by, beside its weight, [T].

        Weighted gradients are then as long as their weights say, one to the other, and together as long as without
        factors: `|w_i| factor_i norm_i = |w_i| sum_j |w_j| norm_j / sum_j |w_j|`, over the terms that have a gradient.
        """
        pulls = self.norms > NOTHING
        sizes = torch.tensor(weights, device=self.norms.device).abs() * pulls
        common = (sizes * self.norms).sum() / sizes.sum().clamp_min(NOTHING)
        return torch.where(pulls & (common > 0), common / self.norms.clamp_min(NOTHING), 1.0)

    def describe(self, names: Sequence[str], weights: Sequence[float]) -> Mapping[str, Mapping[str, float]]:
        """Return norms and final weights by term and cosines by pair of terms ("a, b"), as they now stand."""
        cosines, last = self.cosines.tolist(), self.factors(weights).tolist()
        pairs = [(i, j) for i in range(len(names)) for j in range(i)]
        return {
            "norms": dict(zip(names, self.norms.tolist(), strict=True)),
            "cosines": {f"{names[j]}, {names[i]}": cosines[i][j] for i, j in pairs},
            "weights": {name: weight * one for name, weight, one in zip(names, weights, last, strict=True)},
        }

    def _gradient(self, value: Tensor) -> Tensor:
        """Return the gradient of a term at all watched weights, one after the other."""
        assert self._watched is not None  # the caller has checked it
        if not value.requires_grad:
            return torch.cat([torch.zeros_like(one).flatten() for one in self._watched]).float()
        found = torch.autograd.grad(value, self._watched, retain_graph=True, allow_unused=True)
        pairs = zip(found, self._watched, strict=True)
        return torch.cat([(torch.zeros_like(one) if grad is None else grad).flatten() for grad, one in pairs]).float()
