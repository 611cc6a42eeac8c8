"""Every term against a slow form in NumPy, and its gradient to the samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from limbeck.synthesis.activation import activation
from limbeck.synthesis.adversarial import adversarial
from limbeck.synthesis.balance import balance
from limbeck.synthesis.batch_norm import batch_norm, moments_of
from limbeck.synthesis.contrastive import Memory, contrastive
from limbeck.synthesis.disagreement import disagreement
from limbeck.synthesis.one_hot import one_hot
from limbeck.synthesis.total_variation import total_variation

Floats = NDArray[np.float64]
seeds = st.integers(0, 10_000)


def drawn(seed: int, *shape: int, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(seeds)
def test_one_hot_is_the_cross_entropy_with_the_top_class_or_a_wanted_one(seed: int) -> None:
    logits = drawn(seed, 7, 4)
    log_p = special.log_softmax(logits.numpy(), axis=1)
    assert float(one_hot(logits)) == pytest.approx(-log_p.max(1).mean())
    wanted = [0, 1, 2, 3, 0, 1, 2]
    assert float(one_hot(logits, torch.tensor(wanted))) == pytest.approx(-log_p[range(7), wanted].mean())


@given(seeds)
def test_balance_is_the_negative_entropy_of_the_mean_prediction(seed: int) -> None:
    logits = drawn(seed, 9, 5)
    mean = special.softmax(logits.numpy(), axis=1).mean(0)
    assert float(balance(logits)) == pytest.approx(-special.entr(mean).sum())


def test_balance_is_least_where_classes_are_as_likely_and_zero_for_one_alone() -> None:
    sure = 60 * torch.eye(5, dtype=torch.float64)
    assert float(balance(sure)) == pytest.approx(-np.log(5))
    assert float(balance(sure[[2, 2, 2]])) == pytest.approx(0.0, abs=1e-9)


@given(seeds)
def test_activation_is_the_negative_mean_of_absolute_features(seed: int) -> None:
    features = drawn(seed, 6, 3)
    assert float(activation(features)) == pytest.approx(-np.abs(features.numpy()).mean())


@given(seeds)
def test_batch_norm_is_the_distance_of_means_and_of_variances_summed_over_layers(seed: int) -> None:
    heard = {"a": drawn(seed, 8, 3, 4, 2), "b": drawn(seed + 1, 8, 5)}
    wanted = {"a": (drawn(2, 3), drawn(3, 3).abs()), "b": (drawn(4, 5), drawn(5, 5).abs())}
    slow = 0.0
    for name, inputs in heard.items():
        values = np.moveaxis(inputs.numpy(), 1, -1).reshape(-1, inputs.shape[1])
        mean, variance = (one.numpy() for one in wanted[name])
        slow += np.sqrt(((values.mean(0) - mean) ** 2).sum()) + np.sqrt(((values.var(0) - variance) ** 2).sum())
    assert float(batch_norm(heard, wanted)) == pytest.approx(slow)
    itself = {name: moments_of(inputs) for name, inputs in heard.items()}
    assert float(batch_norm(heard, itself)) == 0.0


@given(seeds, st.sampled_from([1.0, 3.0]))
def test_adversarial_is_the_negative_divergence_of_the_student(seed: int, temperature: float) -> None:
    student, teacher = drawn(seed, 6, 4), drawn(seed + 1, 6, 4)
    log_s, log_t = (special.log_softmax(one.numpy() / temperature, axis=1) for one in (student, teacher))
    slow = -(temperature**2) * (np.exp(log_t) * (log_t - log_s)).sum() / 6
    assert float(adversarial(student, teacher, temperature)) == pytest.approx(slow)
    assert float(adversarial(teacher, teacher)) == pytest.approx(0.0, abs=1e-12)


@given(seeds)
def test_disagreement_is_the_negative_mean_distance_of_logits(seed: int) -> None:
    student, teacher = drawn(seed, 6, 4), drawn(seed + 1, 6, 4)
    assert float(disagreement(student, teacher)) == pytest.approx(-np.abs(student.numpy() - teacher.numpy()).mean())
    assert float(disagreement(teacher, teacher)) == 0.0


@given(seeds)
def test_contrastive_looks_for_the_other_view_among_all_others(seed: int) -> None:
    features, others, memory = drawn(seed, 4, 3), drawn(seed + 1, 4, 3), drawn(seed + 2, 5, 3)
    slow = []
    for row, mine in enumerate(features.numpy()):
        likeness = [
            float(one @ mine / np.linalg.norm(mine) / np.linalg.norm(one)) / 0.2
            for one in [*others.numpy(), *memory.numpy()]
        ]
        slow.append(special.logsumexp(likeness) - likeness[row])
    assert float(contrastive(features, others, memory)) == pytest.approx(np.mean(slow))


def test_the_memory_keeps_the_newest() -> None:
    memory = Memory(5, 2)
    assert memory.known().shape == (0, 2)
    for start in (0, 3, 6):
        memory.add(torch.arange(start, start + 3).float()[:, None].expand(3, 2))
    assert memory.known()[:, 0].tolist() == [4, 5, 6, 7, 8]


@given(seeds)
def test_total_variation_is_the_mean_step_across_and_down(seed: int) -> None:
    pictures = drawn(seed, 2, 3, 4, 5)
    values = pictures.numpy()
    slow = np.abs(np.diff(values, axis=3)).mean() + np.abs(np.diff(values, axis=2)).mean()
    assert float(total_variation(pictures)) == pytest.approx(slow)
    assert float(total_variation(torch.ones(1, 1, 4, 4))) == 0.0


@pytest.mark.parametrize(
    "term",
    [
        one_hot,
        balance,
        activation,
        lambda x: batch_norm({"a": x}, {"a": (torch.zeros(4), torch.ones(4))}),
        lambda x: adversarial(x, drawn(1, 6, 4)),
        lambda x: adversarial(drawn(1, 6, 4), x),
        lambda x: disagreement(x, drawn(1, 6, 4)),
        lambda x: disagreement(drawn(1, 6, 4), x),
        lambda x: contrastive(x, drawn(1, 6, 4), drawn(2, 3, 4)),
        lambda x: total_variation(x.view(1, 1, 6, 4)),
    ],
)
def test_the_gradient_reaches_the_samples(term) -> None:
    samples = drawn(0, 6, 4).requires_grad_()
    term(samples).backward()
    assert samples.grad is not None and float(samples.grad.abs().sum()) > 0
