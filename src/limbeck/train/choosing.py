"""Which epoch's weights are kept where no label of the target is there to choose by.

Shapes: T rows of the target, without labels; V labelled validation rows of the source; C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from limbeck.train.settings import Select


@dataclass(frozen=True, eq=False)
class Choice:
    """What a checkpoint is chosen by in the place of validation accuracy.

    by: which figure; target: int64 [T], unlabelled rows of the pool; source: int64 [V], validation rows of the source;
    labels: int64 [V], of these.
    """

    by: Select
    target: Tensor
    source: Tensor
    labels: Tensor

    def figure(self, ask: Callable[[Tensor], Tensor]) -> float:
        """Return how good a model looks, larger is better; ask: gives its logits [n, C] for rows of the pool [n]."""
        if self.by == "entropy":
            return certainty(ask(self.target))
        if self.by == "neighbourhood":
            return neighbourhood_density(ask(self.target))
        return weighted_accuracy(ask(self.source), self.labels, ask(self.target))


def certainty(logits: Tensor) -> float:
    """Return minus the mean entropy of the answers [T, C], in nats; 0 where each is certain (Morerio et al. 2018)."""
    logs = torch.log_softmax(logits.double(), dim=1)
    return float((logs.exp() * logs).sum(1).mean())


def neighbourhood_density(logits: Tensor, temperature: float = 0.05) -> float:
    """Return the soft neighbourhood density of the answers [T, C] (Saito et al. 2021), 0..log(T - 1).

    The mean entropy of each row's softmax, at a temperature, over the cosines of its probabilities with those of all
    other rows. It is the larger the more others each answer is alike with, and largest where all are the same, or where
    all differ alike, neither of which says anything good.
    """
    probs = torch.softmax(logits.double(), dim=1)
    alike = torch.nn.functional.normalize(probs, dim=1)
    alike = (alike @ alike.T) / temperature
    alike.fill_diagonal_(-torch.inf)
    logs = torch.log_softmax(alike, dim=1).fill_diagonal_(0)
    return float(-(logs.exp() * logs).sum(1).mean())


def weighted_accuracy(source: Tensor, labels: Tensor, target: Tensor) -> float:
    """Return the accuracy on the source's rows, each weighed by how much more likely it is in the target, 0..1.

    source: logits [V, C], labels int64 [V]; target: logits [T, C]. Importance-weighted validation (Sugiyama et al.
    2007) with the weights divided by their sum; their ratio of densities is that of a logistic regression on the
    model's own logits which tells the domains apart.
    """
    both = torch.cat([source, target]).double().cpu()
    both = (both - both.mean(0)) / (both.std(0) + 1e-7)
    domain = torch.cat([torch.zeros(len(source)), torch.ones(len(target))])
    told = LogisticRegression(max_iter=1000).fit(both.numpy(), domain.numpy())
    weights = torch.from_numpy(told.decision_function(both[: len(source)].numpy())).softmax(0)
    right = (source.argmax(1).cpu() == labels.cpu()).double()
    return float((weights * right).sum())
