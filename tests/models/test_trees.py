"""Trees give what scikit-learn's own give, before and after a file and an ONNX graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from torch import nn

from limbeck.errors import ModelError
from limbeck.export.trace import Kind
from limbeck.models import Boosting, Forest, Tree
from limbeck.models.boosting import copies
from limbeck.models.trees import SMALLEST, Nodes, Trees
from limbeck.models.weights import WEIGHTS, checksum, load_weights, save_weights

ROWS, FEATURES, CLASSES = 90, 6, 3
MAKERS: list[Callable[[], Trees]] = [
    lambda: Tree((FEATURES,), CLASSES, max_depth=4),
    lambda: Forest((2, 3), CLASSES, trees=7, max_depth=5),
    lambda: Boosting((FEATURES,), CLASSES, rounds=5, min_samples_leaf=3),
]
every_kind = pytest.mark.parametrize("make", MAKERS, ids=["tree", "forest", "boosting"])


def drawn(seed: int = 0, classes: int = CLASSES, levels: int = 0) -> tuple[Any, Any, Any]:
    """Return inputs, soft targets and weights; levels: how many values an input may have, 0 for any."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(ROWS, FEATURES)).astype(np.float32)
    if levels:
        inputs = generator.integers(0, levels, size=inputs.shape).astype(np.float32) / np.float32(levels - 1)
    scores = 2 * np.stack([inputs[:, one % FEATURES] for one in range(classes)], 1)
    targets = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    weights = generator.uniform(0.5, 1.5, size=ROWS)
    return inputs, targets, weights / weights.mean()


def grown(make: Callable[[], Trees], seed: int = 0) -> Trees:
    net = make()
    net.grow(*drawn(seed), seed=seed)
    return net


@given(seed=st.integers(0, 1000), levels=st.sampled_from([0, 2, 5, 256]), depth=st.integers(1, 9))
@settings(max_examples=20)
def test_a_tree_says_what_the_librarys_tree_says(seed: int, levels: int, depth: int) -> None:
    inputs, targets, weights = drawn(seed, levels=levels)
    net = Tree((FEATURES,), CLASSES, max_depth=depth, min_samples_leaf=2)
    net.grow(inputs, targets, weights, seed)
    theirs = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=2, random_state=seed)
    theirs.fit(inputs, targets, weights)
    fresh = drawn(seed + 1, levels=levels)[0]
    for shown in (inputs, fresh):
        expected = np.log(np.maximum(theirs.predict(shown), SMALLEST))
        np.testing.assert_allclose(net(torch.from_numpy(shown)).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_a_forest_says_what_the_librarys_forest_says() -> None:
    inputs, targets, weights = drawn()
    net = Forest((FEATURES,), CLASSES, trees=9, max_depth=6, features=0.5)
    net.grow(inputs, targets, weights, 3)
    theirs = RandomForestRegressor(9, max_depth=6, max_features=0.5, random_state=3).fit(inputs, targets, weights)
    said = net(torch.from_numpy(inputs)).exp().numpy()
    np.testing.assert_allclose(said, np.maximum(theirs.predict(inputs), SMALLEST), rtol=1e-5)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_boosting_says_what_the_librarys_boosting_says(classes: int) -> None:
    inputs, targets, _ = drawn(classes=classes)
    labels = targets.argmax(1)
    net = Boosting((FEATURES,), classes, rounds=12, lr=0.2, max_depth=3, max_leaf_nodes=6, min_samples_leaf=4)
    net.grow(inputs, np.eye(classes)[labels], np.ones(ROWS), 0)
    theirs = HistGradientBoostingClassifier(
        max_iter=12, learning_rate=0.2, max_depth=3, max_leaf_nodes=6, min_samples_leaf=4, early_stopping=False
    ).fit(inputs, labels)
    said = net(torch.from_numpy(inputs)).softmax(1).numpy()
    np.testing.assert_allclose(said, theirs.predict_proba(inputs), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("present", [[0, 2], [0, 1, 3]])
def test_boosting_gives_a_class_that_no_target_names_next_to_nothing(present: list[int]) -> None:
    inputs = drawn()[0]
    labels = np.array(present)[np.arange(ROWS) % len(present)]
    net = Boosting((FEATURES,), 4, rounds=3)
    net.grow(inputs, np.eye(4)[labels], np.ones(ROWS), 0)
    theirs = HistGradientBoostingClassifier(max_iter=3, max_depth=6, early_stopping=False).fit(inputs, labels)
    said = net(torch.from_numpy(inputs)).softmax(1).numpy()
    np.testing.assert_allclose(said[:, present], theirs.predict_proba(inputs), atol=1e-4)
    assert said.argmax(1).tolist() == theirs.predict(inputs).tolist()


def test_one_class_is_nothing_to_boost() -> None:
    net = Boosting((FEATURES,), 3)
    with pytest.raises(ModelError, match="^boosting expects targets of two classes at least, got one; give it more"):
        net.grow(drawn()[0], np.eye(3)[np.zeros(ROWS, dtype=int)], np.ones(ROWS), 0)


@given(seed=st.integers(0, 1000))
@settings(max_examples=10)
def test_squared_error_on_soft_labels_is_gini_on_rows_that_are_split_among_their_classes(seed: int) -> None:
    inputs, targets, weights = drawn(seed)
    net = Tree((FEATURES,), CLASSES, max_depth=4, min_samples_leaf=1)
    net.grow(inputs, targets, weights, 0)
    split = DecisionTreeClassifier(max_depth=4, random_state=0)
    split.fit(
        np.repeat(inputs, CLASSES, axis=0), np.tile(np.arange(CLASSES), ROWS), (targets * weights[:, None]).ravel()
    )
    said = net(torch.from_numpy(inputs)).exp().numpy()
    np.testing.assert_allclose(said, np.maximum(split.predict_proba(inputs), SMALLEST), rtol=1e-4, atol=1e-6)


def test_a_copy_for_each_class_of_a_row_with_its_share() -> None:
    targets = np.array([[0.7, 0.297, 0.003], [0.0, 1.0, 0.0], [0.003, 0.003, 0.994]])
    rows, named, shares = copies(targets, np.array([2.0, 0.5, 0.5]))
    assert list(zip(rows.tolist(), named.tolist(), strict=True)) == [(0, 0), (0, 1), (1, 1), (2, 2)]
    np.testing.assert_allclose(shares, [2 * 0.7 / 0.997, 2 * 0.297 / 0.997, 0.5, 0.5])


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_smoothed_labels_have_a_copy_for_every_class(classes: int) -> None:
    smoothed = np.full((1, classes), np.float32(0.1) / np.float32(classes)).astype(np.float64)
    smoothed[0, 1] += 0.9
    rows, named, shares = copies(smoothed, np.ones(1))
    assert len(rows) == classes and named.tolist() == list(range(classes)) and shares.sum() == pytest.approx(1)


@every_kind
def test_before_it_is_grown_every_sample_gets_the_same_even_answer(make: Callable[[], Trees]) -> None:
    said = make()(torch.randn(4, FEATURES)).softmax(1)
    torch.testing.assert_close(said, torch.full((4, CLASSES), 1 / CLASSES))


def test_a_threshold_between_two_numbers_of_32_bits_changes_no_answer() -> None:
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    between = (np.float64(low) + np.float64(high)) / 2 + 1e-12  # rounds up to `high`
    assert np.float32(between) == high
    zeros = np.zeros(3, dtype=int)
    net = Tree((1,), 2, max_depth=1)
    net.plant([
        Nodes(np.array([False, True, True]), zeros, np.array([between, 0, 0]), zeros + 1, zeros + 2,
              np.array([[0, 0], [0.9, 0.1], [0.1, 0.9]])),
    ])  # fmt: skip
    assert net(torch.tensor([[float(low)], [float(high)]])).argmax(1).tolist() == [0, 1]


@every_kind
def test_the_seed_and_the_samples_decide_everything(make: Callable[[], Trees]) -> None:
    assert checksum(grown(make)) == checksum(grown(make)) != checksum(grown(make, 1))


@every_kind
def test_a_file_brings_its_own_number_of_nodes(make: Callable[[], Trees], tmp_path: Path) -> None:
    net, inputs = grown(make), torch.randn(20, FEATURES)
    save_weights(tmp_path, net, {})
    other = make()
    load_weights(other, tmp_path / WEIGHTS, expected=checksum(net))
    assert torch.equal(other(inputs), net(inputs)) and not any(one.requires_grad for one in other.parameters())


@pytest.mark.parametrize(
    ("name", "value"),
    [("child", 10_000), ("child", -1), ("root", 10_000), ("feature", FEATURES), ("feature", -1)],
)
def test_a_file_whose_trees_point_outside_of_themselves_is_refused(name: str, value: int, tmp_path: Path) -> None:
    save_weights(tmp_path, grown(MAKERS[0]), {})
    state = load_file(tmp_path / WEIGHTS)
    state[name].view(-1)[0] = value
    save_file(state, tmp_path / WEIGHTS)
    with pytest.raises(ModelError, match="^The weights hold a decision tree that points outside of itself, so it is"):
        load_weights(MAKERS[0](), tmp_path / WEIGHTS)


def test_a_file_of_other_arrays_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path, grown(MAKERS[0]), {})
    state = load_file(tmp_path / WEIGHTS)
    save_file({**state, "threshold": state["threshold"].double()}, tmp_path / WEIGHTS)
    with pytest.raises(
        ModelError, match="^The weights are no trees: threshold is torch.float64 .*, torch.float32 of 1"
    ):
        load_weights(MAKERS[0](), tmp_path / WEIGHTS)
    save_weights(tmp_path, nn.Linear(2, 2), {})
    with pytest.raises(ModelError, match="belong to another architecture: missing child, feature, root"):
        load_weights(MAKERS[0](), tmp_path / WEIGHTS)


@every_kind
def test_the_graph_gives_the_answers_of_the_trees(
    make: Callable[[], Trees], export: Callable[[nn.Module, tuple[int, ...], Kind], onnx.ModelProto]
) -> None:
    export(grown(make), (FEATURES,), "vector")


def test_pictures_are_flattened_in_the_graph_too(
    export: Callable[[nn.Module, tuple[int, ...], Kind], onnx.ModelProto],
) -> None:
    net = Tree((1, 2, 3), CLASSES)
    net.grow(*drawn(), seed=0)
    export(net, (1, 2, 3), "image")
