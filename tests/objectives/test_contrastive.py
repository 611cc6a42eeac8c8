"""Contrastive representation distillation against loops, and its memory."""

from __future__ import annotations

import pytest
import torch
from tests.objectives.features import Case, check_equals, check_halves, check_student_only
from torch import Tensor

from limbeck.errors import ObjectiveError
from limbeck.objectives import Contrastive
from limbeck.types import Batch

SHAPES = ({"s": (4,)}, {"t": (3, 2, 2)})


def small(**options: float) -> Contrastive:
    return Contrastive(dim=5, negatives=7, **options)  # type: ignore[arg-type]


def by_hand(case: Case) -> Tensor:
    """Return both sides' losses for the negatives that the same random numbers draw, with the first batch's level."""
    samples, count = case.term.bank.shape[1], len(case.rows)  # type: ignore[union-attr,index]
    torch.manual_seed(case.seed)  # type: ignore[attr-defined]
    drawn = torch.randint(samples, (count, case.term.negatives))  # type: ignore[call-overload]
    sides = [case.student["s"], case.teacher["t"].detach().mean((2, 3))]
    total = torch.zeros((), dtype=torch.float64)
    for side, features in enumerate(sides):
        layer = case.term.embeddings[side]  # type: ignore[index]
        bank = case.first[1 - side]
        likely = []
        for sample in range(count):
            own = layer.weight @ features[sample] + layer.bias
            own = own / own.norm()
            rows = [sample, *drawn[sample].tolist()]
            likely.append([torch.exp((own * bank[row]).sum() / case.term.temperature) for row in rows])  # type: ignore[operator]
        flat = [value for row in likely for value in row]
        level = (sum(flat) / len(flat) * samples).detach()  # type: ignore[union-attr]
        noise = case.term.negatives / samples  # type: ignore[operator]
        for row in likely:
            itself, *others = (value / level for value in row)
            total = total - torch.log(itself / (itself + noise + 1e-7)) / count
            total = total - sum(torch.log(noise / (other + noise + 1e-7)) for other in others) / count
    return total


class Seeded(Case):
    """A case whose every value draws the same negatives from the memory as it was at first."""

    def __init__(self, term: Contrastive, **options: object) -> None:
        super().__init__(term, *SHAPES, **options)  # type: ignore[arg-type]
        self.first, self.seed = term.bank.clone(), 3

    def value(self, rows: slice = slice(None)) -> Tensor:
        torch.manual_seed(self.seed)
        self.term.bank, self.term.level = self.first.clone(), torch.zeros(2, dtype=self.first.dtype)  # type: ignore[assignment]
        return super().value(rows)


def test_it_equals_the_loop() -> None:
    check_equals(Seeded(small(), batch=4), by_hand)


def test_the_properties_of_a_term() -> None:
    check_student_only(Seeded(small()))
    check_halves(lambda dtype: Seeded(small(), dtype=dtype))
    assert not Contrastive.additive
    assert float(Seeded(small()).value(slice(0, 1)).detach()) > 0


def test_the_memory_follows_the_embeddings_of_the_rows_that_were_shown() -> None:
    case = Case(small(momentum=0.25), *SHAPES, batch=3, samples=6)
    before = case.term.bank.clone()  # type: ignore[union-attr]
    rows = torch.tensor([4, 0, 2])
    case.term(case.outputs(), case.knowledge(), Batch(torch.zeros(3, 1), index=rows)).backward()
    own = torch.nn.functional.normalize(case.term.embeddings[0](case.student["s"]), dim=1).detach()  # type: ignore[index]
    for place, row in enumerate(rows.tolist()):
        moved = 0.25 * before[0, row] + 0.75 * own[place]
        torch.testing.assert_close(case.term.bank[0, row], moved / moved.norm())  # type: ignore[index]
    assert torch.equal(case.term.bank[:, [1, 3, 5]], before[:, [1, 3, 5]])  # type: ignore[index]


def test_likelihoods_keep_the_level_of_the_first_batch() -> None:
    case = Case(small(), *SHAPES)
    case.value()
    level = case.term.level.clone()  # type: ignore[union-attr]
    assert bool((level > 0).all())
    with torch.no_grad():
        case.student["s"].mul_(5)
    case.value()
    assert torch.equal(case.term.level, level)  # type: ignore[arg-type]


def test_memory_and_level_are_part_of_the_state() -> None:
    assert {"bank", "level"} <= Case(small(), *SHAPES).term.state_dict().keys()


def test_training_tells_samples_apart() -> None:
    case = Case(small(), *SHAPES, batch=8, samples=8, dtype=torch.float32)
    optimizer = torch.optim.Adam([case.student["s"], *case.term.parameters()], lr=0.05)
    losses = []
    for _ in range(60):
        loss = case.value()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_what_it_cannot_work_with_gets_a_sentence() -> None:
    case = Case(small(), *SHAPES)
    with pytest.raises(ObjectiveError, match=r"finds samples in its memory by Batch\.index"):
        case.term(case.outputs(), case.knowledge(), Batch(torch.zeros(6, 1)))
    with pytest.raises(ObjectiveError, match="contrastive compares one pair of layers, got 2"):
        Contrastive(("a:b", "c:d"))
