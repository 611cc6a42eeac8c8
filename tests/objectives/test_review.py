"""Knowledge review against loops: batch norm, attention and means written out."""

from __future__ import annotations

import pytest
import torch
from tests.objectives.features import Case, check_equals, check_halves, check_student_only, made
from torch import Tensor, nn

from limbeck.errors import ObjectiveError
from limbeck.objectives import Review
from limbeck.objectives.review import hierarchical_context

SHAPES = ({"s": (3, 6, 6), "u": (4, 3, 3)}, {"t": (2, 6, 6), "w": (5, 3, 3)})


def normed(values: Tensor, norm: nn.Module) -> Tensor:
    """Return what batch norm gives in training, channel by channel."""
    channels = []
    for c in range(values.shape[1]):
        one = values[:, c]
        variance = ((one - one.mean()) ** 2).mean()
        channels.append((one - one.mean()) / (variance + norm.eps).sqrt() * norm.weight[c] + norm.bias[c])  # type: ignore[operator,index]
    return torch.stack(channels, dim=1)


def pointwise(values: Tensor, layer: nn.Module) -> Tensor:
    """Return a 1 x 1 convolution as a sum over channels."""
    weight = layer.weight[:, :, 0, 0]  # type: ignore[index]
    found = sum(weight[:, c, None, None] * values[:, c : c + 1] for c in range(values.shape[1]))
    return found if layer.bias is None else found + layer.bias[:, None, None]  # type: ignore[return-value,index,operator]


def spread(values: Tensor, layer: nn.Module) -> Tensor:
    """Return a 3 x 3 convolution with zeros around, shift by shift."""
    b, _, h, w = values.shape
    padded = torch.zeros(b, values.shape[1], h + 2, w + 2, dtype=values.dtype)
    padded[:, :, 1:-1, 1:-1] = values
    return sum(
        torch.einsum("oc,bchw->bohw", layer.weight[:, :, y, x], padded[:, :, y : y + h, x : x + w])  # type: ignore[index]
        for y in range(3)
        for x in range(3)
    )  # type: ignore[return-value]


def nearest(values: Tensor, height: int, width: int) -> Tensor:
    rows = [y * values.shape[2] // height for y in range(height)]
    columns = [x * values.shape[3] // width for x in range(width)]
    return values[:, :, rows][:, :, :, columns]


def context_by_hand(mine: Tensor, theirs: Tensor) -> Tensor:
    """Return the loss part by part; parts of sizes that do not divide overlap."""
    size = mine.shape[2]
    terms = [(1.0, ((mine - theirs) ** 2).mean())]
    for parts in (level for level in (4, 2, 1) if level < size):
        cells = []
        for y in range(parts):
            for x in range(parts):
                rows = slice(y * size // parts, -(-(y + 1) * size // parts))
                columns = slice(x * size // parts, -(-(x + 1) * size // parts))
                cells.append((mine[:, :, rows, columns].mean((2, 3)) - theirs[:, :, rows, columns].mean((2, 3))) ** 2)
        terms.append((terms[-1][0] / 2, torch.stack(cells).mean()))
    return sum(weight * value for weight, value in terms) / sum(weight for weight, _ in terms)  # type: ignore[return-value]


def by_hand(case: Case) -> Tensor:
    shallow, deep = case.term.fusions  # type: ignore[misc]
    below = normed(pointwise(case.student["u"], deep.enter[0]), deep.enter[1])
    total = context_by_hand(normed(spread(below, deep.leave[0]), deep.leave[1]), case.teacher["w"].detach())
    own = normed(pointwise(case.student["s"], shallow.enter[0]), shallow.enter[1])
    larger = nearest(below, 6, 6)
    shares = torch.sigmoid(pointwise(torch.cat([own, larger], 1), shallow.attend[0]))
    fused = own * shares[:, :1] + larger * shares[:, 1:]
    return total + context_by_hand(
        normed(spread(fused, shallow.leave[0]), shallow.leave[1]), case.teacher["t"].detach()
    )


def test_it_equals_the_loop() -> None:
    check_equals(Case(Review(), *SHAPES, batch=3), by_hand)


def test_the_properties_of_a_term() -> None:
    check_student_only(Case(Review(), *SHAPES))
    check_halves(lambda dtype: Case(Review(), *SHAPES, dtype=dtype))
    assert not Review.additive
    assert torch.isfinite(Case(Review(), *SHAPES).value(slice(0, 1)))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 6, 8])
def test_the_context_of_every_size(size: int) -> None:
    mine, theirs = made((2, 3, size, size), 0), made((2, 3, size, size), 1)
    torch.testing.assert_close(hierarchical_context(mine, theirs), context_by_hand(mine, theirs))
    assert float(hierarchical_context(mine, mine)) == 0


def test_features_of_other_sizes_are_brought_to_the_teachers() -> None:
    case = Case(Review(), {"s": (3, 8, 8), "u": (4, 4, 4)}, {"t": (2, 6, 6), "w": (5, 2, 2)})
    check_student_only(case)


def test_deep_layers_learn_from_shallow_comparisons() -> None:
    """The first pair alone reaches the deepest layer of the student."""
    case = Case(Review(), *SHAPES)
    with torch.no_grad():
        case.term.fusions[1].leave[1].weight.zero_()  # type: ignore[index,union-attr]
    case.value().backward()
    gradient = case.student["u"].grad
    assert gradient is not None and float(gradient.abs().sum()) > 0


def test_tokens_and_vectors_are_refused() -> None:
    for shape in ((4,), (6, 3)):
        with pytest.raises(ObjectiveError, match="review compares features of pictures"):
            Case(Review(), {"s": shape}, {"t": (4, 2, 2)})
