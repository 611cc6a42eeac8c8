"""A classifier that answers for further tasks beside its own, from the same vector.

Shapes: B samples, D the width of the vector, C classes of the main task, T of a further one.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional


class ManyHeads(nn.Linear):
    """A linear classifier with further ones beside it: one layer, so that whatever is done to a classifier (left out of
    freezing, given a learning rate of its own, trained alone) is done to all of them.

    main: the classifier as it was, whose weights this one shares, under the same names; tasks: how many classes each
    further task has. Its weights are `weight_NAME` [T, D] and `bias_NAME` [T].
    """

    def __init__(self, main: nn.Linear, tasks: Mapping[str, int]) -> None:
        super().__init__(main.in_features, main.out_features, bias=main.bias is not None)
        self.weight, self.bias = main.weight, main.bias
        self.tasks = dict(tasks)
        for name, classes in self.tasks.items():
            new = nn.Linear(main.in_features, classes, device=main.weight.device, dtype=main.weight.dtype)
            self.register_parameter(f"weight_{name}", nn.Parameter(new.weight))
            self.register_parameter(f"bias_{name}", nn.Parameter(new.bias))
        self._said: dict[str, Tensor] = {}

    def forward(self, input: Tensor) -> Tensor:
        """Return the main task's logits [B, C] for vectors [B, D]; `take` gives the others."""
        self._said = {
            name: functional.linear(input, self.get_parameter(f"weight_{name}"), self.get_parameter(f"bias_{name}"))
            for name in self.tasks
        }
        return super().forward(input)

    def take(self) -> dict[str, Tensor]:
        """Return the logits [B, T] of the further tasks, by name, that the last forward pass made, and forget them."""
        said, self._said = self._said, {}
        return said

    def extra_repr(self) -> str:
        """Return the sizes of all heads."""
        return ", ".join([super().extra_repr(), *(f"{name}={classes}" for name, classes in self.tasks.items())])
