"""The student that learns beside, so that samples can be what it does not understand yet."""

from __future__ import annotations

import torch
from torch import Tensor

from limbeck.models.adapt import Adapted
from limbeck.models.arithmetic import PLAIN, Arithmetic
from limbeck.objectives.soft_labels import soft_labels

RATE = 2e-3
TEMPERATURE = 4.0


class Learner:
    """A model that is taught soft labels. It stays in evaluation mode and without gradients but for its own steps."""

    def __init__(self, model: Adapted, arithmetic: Arithmetic = PLAIN) -> None:
        self.model = model.eval().requires_grad_(False)
        self.arithmetic = arithmetic
        self.optimizer = torch.optim.Adam(model.parameters(), lr=RATE)

    def learn(self, samples: Tensor, logits: Tensor) -> None:
        """Take a step on samples [B, ...] with the teacher's logits [B, C]."""
        self.model.train().requires_grad_(True)
        log_target = torch.log_softmax(logits / TEMPERATURE, dim=1)
        loss = soft_labels(self.arithmetic.forward(self.model, samples).logits, log_target, TEMPERATURE)
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        self.optimizer.step()
        self.model.eval().requires_grad_(False)
