"""Every attack stays in its budget, uses it, and does what the others that are known by its name do."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.robustness.conftest import Victim
from torch import Tensor, nn
from torch.nn import functional

from limbeck.errors import ModelError, UserError
from limbeck.models.adapt import Adapted
from limbeck.models.modes import evaluating
from limbeck.objectives.ball import Norm, ball_around
from limbeck.robustness.attack import Logits
from limbeck.robustness.bumps import moved_bumps, pair
from limbeck.robustness.fgsm import fgsm
from limbeck.robustness.margin_pgd import margin_pgd, margin_ratio, stretches
from limbeck.robustness.pgd import pgd
from limbeck.robustness.square import side_of, square
from limbeck.robustness.transferred import transferred

Craft = Callable[..., Tensor]
FEW = slice(0, 60)


def crafts(victim: Victim, norm: Norm) -> dict[str, Craft]:
    """Return every attack of a norm as a function of model, inputs, labels and epsilon alone."""

    def climbing(attack: Craft, **options: object) -> Craft:
        def run(model: nn.Module, inputs: Tensor, labels: Tensor, *, epsilon: float) -> Tensor:
            return attack(model, inputs, labels, epsilon=epsilon, step_size=epsilon / 4, steps=10, norm=norm, **options)

        return run

    found: dict[str, Craft] = {
        "fgsm": partial(fgsm, norm=norm),
        "pgd": climbing(pgd, restarts=2),
        "pgd from the input": climbing(pgd, random_start=False),
        "margin": partial(margin_pgd, steps=10, norm=norm),
        "transfer": climbing(transferred, source=victim.other),
    }
    return {**found, "square": partial(square, queries=60, norm=norm)}


NAMES = ("fgsm", "pgd", "pgd from the input", "margin", "transfer", "square")
every_attack = pytest.mark.parametrize(("norm", "name"), [(norm, name) for norm in ("linf", "l2") for name in NAMES])
RADII = {"linf": (0.05, 0.15, 0.4), "l2": (0.3, 0.8, 2.5)}


def sizes(change: Tensor, norm: str) -> Tensor:
    """Return how large each sample's change is, in float64 [n]."""
    flat = change.double().flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.norm(dim=1)


@every_attack
def test_it_stays_in_the_ball_and_in_the_picture_and_uses_the_ball(victim: Victim, norm: Norm, name: str) -> None:
    inputs, labels = victim.inputs[FEW], victim.labels[FEW]
    for epsilon in RADII[norm]:
        found = crafts(victim, norm)[name](victim.model, inputs, labels, epsilon=epsilon)
        assert found.shape == inputs.shape and found.dtype == inputs.dtype
        assert float(found.min()) >= 0 and float(found.max()) <= 1
        changed = sizes(found.double() - inputs.double(), norm)
        assert float(changed.max()) <= epsilon
        assert float(changed.max()) > 0.9 * epsilon


@every_attack
def test_it_breaks_more_within_a_larger_ball(victim: Victim, norm: Norm, name: str) -> None:
    craft = crafts(victim, norm)[name]
    clean = victim.accuracy(victim.inputs)
    found = [
        victim.accuracy(craft(victim.model, victim.inputs, victim.labels, epsilon=epsilon)) for epsilon in RADII[norm]
    ]
    assert clean > 0.93
    assert clean >= found[0] > found[1] > found[2]


@every_attack
def test_nothing_changes_within_a_ball_of_no_size(victim: Victim, norm: Norm, name: str) -> None:
    inputs = victim.inputs[FEW]
    assert torch.equal(crafts(victim, norm)[name](victim.model, inputs, victim.labels[FEW], epsilon=0.0), inputs)


@pytest.mark.parametrize(("name", "most"), [("pgd", 0.0), ("margin", 0.0), ("square", 0.05)])
def test_nothing_is_left_within_a_ball_that_holds_every_picture(victim: Victim, name: str, most: float) -> None:
    found = crafts(victim, "linf")[name](victim.model, victim.inputs, victim.labels, epsilon=1.0)
    assert victim.accuracy(found) <= most


@every_attack
def test_the_model_is_as_it_was(victim: Victim, norm: Norm, name: str) -> None:
    model = victim.model
    before = {key: value.clone() for key, value in model.state_dict().items()}
    modes, wishes = [one.training for one in model.modules()], [one.requires_grad for one in model.parameters()]
    crafts(victim, norm)[name](model, victim.inputs[FEW], victim.labels[FEW], epsilon=0.1)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert modes == [one.training for one in model.modules()] and model.training
    assert wishes == [one.requires_grad for one in model.parameters()]


@every_attack
def test_a_seed_gives_the_same_bits_whatever_was_drawn_before(victim: Victim, norm: Norm, name: str) -> None:
    craft, found = crafts(victim, norm)[name], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(craft(victim.model, victim.inputs[FEW], victim.labels[FEW], epsilon=0.1))
    assert torch.equal(*found)


@pytest.mark.parametrize("attack", [fgsm, pgd, margin_pgd, square, transferred])
def test_arguments_cannot_be_swapped(attack: Craft, victim: Victim) -> None:
    kinds = [one.kind for one in inspect.signature(attack).parameters.values()]
    assert kinds[:3] == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * 3
    assert set(kinds[3:]) == {inspect.Parameter.KEYWORD_ONLY}
    with pytest.raises(TypeError, match="positional"):
        attack(victim.model, victim.inputs, victim.labels, 0.1, 0.025, 10)


def plain_pgd(victim: Victim, start: Tensor, *, epsilon: float, step_size: float, steps: int) -> Tensor:
    """Return where the last step of the climb ends, pixel by pixel as the paper says it."""
    model, points = victim.model.eval(), start.clone()
    for _ in range(steps):
        points.requires_grad_(True)
        loss = functional.cross_entropy(model(points), victim.labels)
        (gradient,) = torch.autograd.grad(loss, points)
        moved = points.detach() + step_size * gradient.sign()
        moved = torch.maximum(torch.minimum(moved, victim.inputs + epsilon), victim.inputs - epsilon)
        points = moved.clamp(0, 1)
    victim.model.train()
    return points.detach()


@pytest.mark.parametrize("epsilon", [0.05, 0.1, 0.2])
def test_pgd_is_the_plain_loop(victim: Victim, epsilon: float) -> None:
    budget = {"epsilon": epsilon, "step_size": epsilon / 4, "steps": 10}
    mine = pgd(victim.model, victim.inputs, victim.labels, **budget, random_start=False)
    theirs = victim.accuracy(plain_pgd(victim, victim.inputs, **budget))
    assert theirs - 0.01 <= victim.accuracy(mine) <= theirs


def test_fgsm_is_one_plain_step(victim: Victim) -> None:
    mine = fgsm(victim.model, victim.inputs, victim.labels, epsilon=0.1)
    theirs = plain_pgd(victim, victim.inputs, epsilon=0.1, step_size=0.1, steps=1)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("epsilon", [0.08, 0.15])
@pytest.mark.parametrize("name", ["FGSM", "PGD", "PGDL2", "APGD", "Square", "SquareL2"])
def test_another_library_finds_the_same_accuracy(victim: Victim, name: str, epsilon: float) -> None:
    """Within a point at the same budget; ours keeps the worst of a climb, which may be worse than where it ends."""
    library = pytest.importorskip("torchattacks", reason="torchattacks is not installed")
    model, inputs, labels = victim.model, victim.inputs, victim.labels
    climb = {"epsilon": epsilon, "step_size": epsilon / 8, "steps": 20}
    wide = {one: value * 6 for one, value in climb.items() if one != "steps"} | {"steps": 20}
    pairs: dict[str, tuple[Callable[[], object], Callable[[], Tensor]]] = {
        "FGSM": (lambda: library.FGSM(model, eps=epsilon), lambda: fgsm(model, inputs, labels, epsilon=epsilon)),
        "PGD": (
            lambda: library.PGD(model, eps=epsilon, alpha=epsilon / 8, steps=20),
            lambda: pgd(model, inputs, labels, **climb),
        ),
        "PGDL2": (
            lambda: library.PGDL2(model, eps=6 * epsilon, alpha=6 * epsilon / 8, steps=20),
            lambda: pgd(model, inputs, labels, **wide, norm="l2"),
        ),
        "APGD": (
            lambda: library.APGD(model, eps=epsilon, steps=20, loss="dlr", n_restarts=1),
            lambda: margin_pgd(model, inputs, labels, epsilon=epsilon, steps=20),
        ),
        "Square": (
            lambda: library.Square(model, eps=epsilon, n_queries=300, n_restarts=1, p_init=0.8),
            lambda: square(model, inputs, labels, epsilon=epsilon, queries=300),
        ),
        "SquareL2": (
            lambda: library.Square(model, norm="L2", eps=6 * epsilon, n_queries=300, n_restarts=1, p_init=0.8),
            lambda: square(model, inputs, labels, epsilon=6 * epsilon, queries=300, norm="l2"),
        ),
    }
    theirs, ours = pairs[name]
    torch.manual_seed(0)
    with evaluating(model):
        found = theirs()(inputs, labels)
    difference = victim.accuracy(ours()) - victim.accuracy(found)
    assert (
        -(1.0 if "Square" in name else 0.0101) <= difference <= 0.0101
    )  # its squares are at one place for all samples


def plain_square(victim: Victim, *, epsilon: float, queries: int) -> Tensor:
    """Return what the walk of each sample has come to, square by square as the paper says it, with the same draws."""
    model, generator = victim.model.eval(), torch.Generator().manual_seed(0)
    clean, best, labels = victim.inputs, victim.inputs.clone(), victim.labels

    def margin(points: Tensor, rows: Tensor) -> Tensor:
        with torch.no_grad():
            logits = model(points)
        others = logits.clone()
        others[torch.arange(len(rows)), labels[rows]] = -torch.inf
        return others.amax(1) - logits[torch.arange(len(rows)), labels[rows]]

    known = margin(clean, torch.arange(len(clean)))
    known[known <= 0] = -torch.inf  # where the walk goes to the stripes, whatever they are worth
    rows = torch.arange(len(clean))
    for query in range(queries):
        if query == 0:
            tried = (clean + epsilon * (2 * torch.randint(2, (len(rows), 1, 1, 8), generator=generator) - 1)).clamp(
                0, 1
            )
        else:
            rows, side = torch.nonzero(known <= 0)[:, 0], side_of(0.8, query, queries, 8, 8)
            tops, lefts = (torch.randint(8 - side + 1, (len(rows), 1), generator=generator)[:, 0] for _ in range(2))
            signs = 2 * torch.randint(2, (len(rows), 1, 1, 1), generator=generator)[:, 0, 0, 0] - 1
            tried = best[rows].clone()
            for place, row in enumerate(rows.tolist()):
                top, left = int(tops[place]), int(lefts[place])
                inside = (slice(None), slice(top, top + side), slice(left, left + side))
                tried[place][inside] = (clean[row][inside] + epsilon * signs[place]).clamp(0, 1)
        found = margin(tried, rows)
        better = found > known[rows]
        best[rows[better]], known[rows[better]] = tried[better], found[better]
    victim.model.train()
    return best


def test_square_is_the_plain_walk(victim: Victim) -> None:
    mine = square(victim.model, victim.inputs, victim.labels, epsilon=0.1, queries=80)
    torch.testing.assert_close(mine, plain_square(victim, epsilon=0.1, queries=80))


def plain_bumps(height: int, width: int) -> np.ndarray:
    """Return concentric squares laid on each other, each less high than the smaller one before, cut to a size."""
    found, middle = np.zeros((height, width)), (height // 2, width // 2)
    for far in range(max(height, width) // 2 + 1):
        rows, columns = (slice(max(one - far, 0), one + far + 1) for one in middle)
        found[rows, columns] += 1 / (far + 1) ** 2
    return found / np.linalg.norm(found)


def plain_pair(side: int) -> np.ndarray:
    found = np.concatenate([plain_bumps(side // 2, side), -plain_bumps(side - side // 2, side)])
    return found / np.linalg.norm(found)


@pytest.mark.parametrize("side", [3, 5, 7, 11])
def test_a_pair_of_bumps_is_as_published(side: int) -> None:
    np.testing.assert_allclose(pair(side).numpy(), plain_pair(side))


def test_a_change_moves_as_published() -> None:
    """Algorithm 3 of the paper, picture by picture and channel by channel, with the same draws."""
    numbers = torch.Generator().manual_seed(5)
    centre = torch.rand(12, 3, 9, 10, generator=numbers) * 0.2 + 0.4  # far from the box, which is not the paper's
    ball = ball_around(centre, epsilon=0.5, norm="l2")
    points = ball.project(centre + 0.02 * torch.randn(centre.shape, generator=numbers))
    found = moved_bumps(ball, points, 5, torch.Generator().manual_seed(1))
    again, corners = torch.Generator().manual_seed(1), []
    for _ in ("to", "from"):
        corners.append([torch.randint(length - 5 + 1, (12, 1), generator=again)[:, 0] for length in (9, 10)])
    signs = 2 * torch.randint(2, (12, 3, 1, 1), generator=again)[:, :, 0, 0] - 1
    turned = torch.randint(2, (12,), generator=again)
    for row in range(12):
        change = (points[row] - centre[row]).double().numpy()
        made, unused = change.copy(), 0.5**2 - (change**2).sum()
        to, gone = (tuple(slice(int(one[row]), int(one[row]) + 5) for one in pair) for pair in corners)
        for channel in range(3):
            both = np.zeros((9, 10), dtype=bool)
            both[to], both[gone] = True, True
            available = np.sqrt((change[channel][both] ** 2).sum() + unused / 3)
            shape = plain_pair(5).T if turned[row] else plain_pair(5)
            new = int(signs[row, channel]) * shape + change[channel][to] / np.linalg.norm(change[channel][to])
            made[channel][gone] = 0
            made[channel][to] = new / np.linalg.norm(new) * available
        np.testing.assert_allclose(found[row], centre[row].numpy() + made / np.linalg.norm(made) * 0.5, atol=2e-6)


def test_square_breaks_about_as_much_within_a_length_as_climbing_does(victim: Victim) -> None:
    budget = {"epsilon": 0.8, "norm": "l2"}
    climbed = victim.accuracy(margin_pgd(victim.model, victim.inputs, victim.labels, steps=20, **budget))
    few, many = (
        victim.accuracy(square(victim.model, victim.inputs, victim.labels, queries=queries, **budget))
        for queries in (20, 1000)
    )
    assert climbed <= many + 0.01 < few
    assert many < climbed + 0.25


def test_pictures_too_small_for_bumps_are_refused(victim: Victim) -> None:
    with pytest.raises(UserError, match="3 x 3"):
        square(victim.model, torch.rand(2, 1, 2, 9), victim.labels[:2], epsilon=0.1, queries=3, norm="l2")


def test_restarts_and_steps_break_no_less(victim: Victim) -> None:
    def left(**budget: int) -> float:
        return victim.accuracy(pgd(victim.model, victim.inputs, victim.labels, epsilon=0.08, step_size=0.02, **budget))

    assert left(steps=3, restarts=5) < left(steps=3) <= left(steps=1) < victim.accuracy(victim.inputs)


@pytest.mark.parametrize("attack", [partial(pgd, step_size=0.02), margin_pgd])
def test_going_no_further_with_what_is_broken_breaks_the_same_for_less(victim: Victim, attack: Craft) -> None:
    asked, found = [0, 0], []
    for place, until_broken in enumerate((False, True)):

        def counting(inputs: Tensor, place: int = place) -> Tensor:
            asked[place] += len(inputs)
            logits: Tensor = victim.model(inputs)
            return logits

        with evaluating(victim.model):
            points = attack(
                counting, victim.inputs, victim.labels, epsilon=0.08, steps=10, restarts=2, until_broken=until_broken
            )
            found.append(victim.model(points).argmax(1) == victim.labels)
    assert float((found[0] != found[1]).double().mean()) <= 0.005  # the second climb of those that are left draws anew
    assert 0.05 < float(found[0].double().mean()) < 0.9
    assert asked[1] < 0.9 * asked[0]


def test_margin_steps_find_what_vanishing_gradients_hide(victim: Victim) -> None:
    """Logits times a thousand have a cross-entropy without a gradient in float32; a ratio of margins still has one."""

    def loud(inputs: Tensor) -> Tensor:
        logits: Tensor = 1000 * victim.model(inputs)
        return logits

    with evaluating(victim.model):
        hidden = pgd(loud, victim.inputs, victim.labels, epsilon=0.2, step_size=0.05, steps=10)
        found = margin_pgd(loud, victim.inputs, victim.labels, epsilon=0.2, steps=10)
    assert victim.accuracy(hidden) > victim.accuracy(found) + 0.3


def test_margin_ratio_knows_no_scale_and_two_classes() -> None:
    logits = torch.tensor([[3.0, 1.0, 0.0, -1.0], [0.0, 4.0, 2.0, 3.0]], dtype=torch.float64)
    labels = torch.tensor([0, 2])
    expected = torch.tensor([(1 - 3) / (3 - 0), (4 - 2) / (4 - 2)], dtype=torch.float64)
    torch.testing.assert_close(margin_ratio(logits, labels), expected)
    torch.testing.assert_close(margin_ratio(1e6 * logits, labels), expected)
    two = torch.tensor([[1.0, 3.0]])
    assert margin_ratio(two, torch.tensor([0])).item() == 2.0


def test_the_stretches_are_those_of_the_paper() -> None:
    assert stretches(100) == [22, 41, 57, 70, 80, 87, 93, 99]
    assert stretches(1) == [1]


def test_squares_shrink_as_published() -> None:
    sides = [side_of(0.8, query, 5000, 28, 28) for query in range(1, 5000)]
    assert sides[0] == round((0.8 * 784) ** 0.5) and sides[-1] == round((0.8 / 512 * 784) ** 0.5)
    assert sides == sorted(sides, reverse=True)
    assert side_of(1.0, 1, 10_000, 8, 8) == 7 and side_of(0.001, 99, 100, 8, 8) == 1


def test_square_asks_no_more_often_than_it_may(victim: Victim) -> None:
    asked = torch.zeros(20, dtype=torch.long)

    def counting(inputs: Tensor) -> Tensor:
        asked[: len(inputs)] += 1
        return -torch.ones(len(inputs), 10) * torch.arange(10)

    square(counting, victim.inputs[:20], torch.zeros(20, dtype=torch.long), epsilon=0.1, queries=30)
    assert bool((asked == 31).all())  # thirty, and once about the sample itself
    asked.zero_()
    square(counting, victim.inputs[:20], torch.ones(20, dtype=torch.long), epsilon=0.1, queries=30)
    assert int(asked.max()) == 2  # all are broken from the start


def test_worse_on_one_model_is_tried_on_the_other(victim: Victim) -> None:
    budget = {"epsilon": 0.15, "step_size": 0.03, "steps": 10}
    far = transferred(victim.model, victim.inputs, victim.labels, source=victim.other, **budget)
    near = transferred(victim.model, victim.inputs, victim.labels, source=victim.model, **budget)
    assert victim.accuracy(near) < victim.accuracy(far) < victim.accuracy(victim.inputs)


def test_a_model_of_limbeck_is_asked_for_its_logits(victim: Victim) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    adapted = Logits(Adapted(net, classes=10))
    found = fgsm(adapted, victim.inputs[FEW], victim.labels[FEW], epsilon=0.1)
    torch.testing.assert_close(found, fgsm(net, victim.inputs[FEW], victim.labels[FEW], epsilon=0.1))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, y: {"inputs": 2 * x - 1}, "expects inputs in 0..1, got -1 to 1"),
        (lambda x, y: {"inputs": (255 * x).to(torch.uint8)}, "expects inputs .* of floats"),
        (lambda x, y: {"labels": y - y.max()}, "expects the label of every sample"),
        (lambda x, y: {"labels": y[:-1]}, "expects inputs"),
        (lambda x, y: {"epsilon": -0.1}, "epsilon and step_size of 0 or more"),
        (lambda x, y: {"epsilon": float("nan")}, "epsilon and step_size of 0 or more"),
        (lambda x, y: {"steps": 0}, "at least one step"),
    ],
)
def test_what_cannot_be_attacked_is_said(
    victim: Victim, change: Callable[..., dict[str, object]], sentence: str
) -> None:
    inputs, labels = victim.inputs[:4], victim.labels[:4]
    asked = {"inputs": inputs, "labels": labels, "epsilon": 0.1, "step_size": 0.02, "steps": 2}
    with pytest.raises(UserError, match=sentence):
        pgd(victim.model, **{**asked, **change(inputs, labels)})


def test_what_returns_no_logits_is_said(victim: Victim) -> None:
    with pytest.raises(ModelError, match=r"returns logits \[4, classes\], got tuple"):
        fgsm(lambda inputs: (inputs, inputs), victim.inputs[:4], victim.labels[:4], epsilon=0.1)
    with pytest.raises(UserError, match="expects pictures"):
        square(lambda inputs: inputs, torch.rand(4, 9), torch.zeros(4, dtype=torch.long), epsilon=0.1, queries=2)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    epsilon=st.one_of(st.floats(0, 1), st.sampled_from([8 / 255, 1e-7, 1e-3])),
    norm=st.sampled_from(["linf", "l2"]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_nothing_in_a_ball_is_farther_than_epsilon(seed: int, epsilon: float, norm: Norm, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(5, 3, 6, 6, generator=generator, dtype=dtype)
    centre[0], centre[1] = 0.0, 1.0
    ball = ball_around(centre, epsilon=epsilon, norm=norm)
    far = centre + torch.randn(centre.shape, generator=generator, dtype=dtype)
    for points in (ball.project(far), ball.anywhere(generator), ball.step(centre, far, 2 * epsilon)):
        assert float(points.min()) >= 0 and float(points.max()) <= 1
        assert float(sizes(points.double() - centre.double(), norm).max()) <= epsilon


def test_a_ball_is_filled_evenly() -> None:
    """The share of points within half of a ball of d dimensions is 2^-d; without the walls of the picture."""
    centre = torch.full((20_000, 3), 0.5)
    generator = torch.Generator().manual_seed(0)
    for norm in ("linf", "l2"):
        drawn = ball_around(centre, epsilon=0.3, norm=norm).anywhere(generator) - centre
        assert float((sizes(drawn, norm) <= 0.15).double().mean()) == pytest.approx(1 / 8, abs=0.01)
        assert np.abs(drawn.mean(0).numpy()).max() < 0.005
