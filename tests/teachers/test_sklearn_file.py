"""Classifiers of scikit-learn as teachers: through skops, never a pickle."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.tree._tree import Tree

from limbeck.errors import DataError, ModelError, ObjectiveError
from limbeck.recipe.load import parse_recipe
from limbeck.run.pipeline import run
from limbeck.run.plan import plan_from_recipe
from limbeck.run.rehearsal import rehearse
from limbeck.run.result import read_report
from limbeck.teachers.feeding import Feeding
from limbeck.teachers.sklearn_file import SklearnTeacher
from limbeck.types import Batch

skops_io = pytest.importorskip("skops.io", reason="skops is not installed (the extra trees)")

X, Y = (found[:400] for found in load_digits(return_X_y=True))
X = X / 16
PICTURES = torch.from_numpy(X[:50]).float().view(50, 1, 8, 8)
KINDS: dict[str, Any] = {
    "forest": RandomForestClassifier(5, random_state=0),
    "extra trees": ExtraTreesClassifier(5, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=2, random_state=0),
    "histogram boosting": HistGradientBoostingClassifier(max_iter=2, random_state=0),
    "bagging": BaggingClassifier(n_estimators=2, max_features=0.5, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "voting": VotingClassifier([("tree", DecisionTreeClassifier(random_state=0))], voting="soft"),
    "wider": make_pipeline(PolynomialFeatures(2), DecisionTreeClassifier(max_depth=3, random_state=0)),
}
BASE = """\
name: trees
seeds: 1
data: {{source: digits}}
teacher: {{source: 'sklearn:{path}'}}
student: {{model: {{mlp: {{hidden: [8]}}}}, train: {{steps: 60, lr: 0.01}}}}
objective: [soft_labels: {{weight: 0.9}}, cross_entropy: {{weight: 0.1}}]
controls: [labels]
export: {{onnx: false}}
"""


def saved(path: Path, model: Any) -> Path:
    skops_io.dump(model, path)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_it_says_what_the_classifier_says(tmp_path: Path, kind: str) -> None:
    model = KINDS[kind].fit(X, Y)
    teacher = SklearnTeacher(saved(tmp_path / "m.skops", model), PICTURES, Feeding())
    said = teacher(Batch(PICTURES))
    wanted = np.maximum(model.predict_proba(PICTURES.flatten(1).double().numpy()), 1e-12)
    np.testing.assert_allclose(said.logits.exp(), wanted, rtol=1e-5, atol=1e-7)
    assert teacher.provides == {"probs", "labels"} and teacher.asked == 50 and teacher.classes == 10
    again = SklearnTeacher(tmp_path / "m.skops", PICTURES, Feeding())
    assert teacher.fingerprint == again.fingerprint == again.current_fingerprint()
    assert teacher.fingerprint != SklearnTeacher(tmp_path / "m.skops", PICTURES, Feeding(scale=255)).fingerprint


def test_a_classifier_without_probabilities_gives_labels(tmp_path: Path) -> None:
    model = SVC().fit(X, Y * 3 - 5)
    teacher = SklearnTeacher(saved(tmp_path / "m.skops", model), PICTURES, Feeding())
    assert teacher.provides == {"labels"} and teacher.names == tuple(str(n * 3 - 5) for n in range(10))
    said = teacher(Batch(PICTURES)).labels
    assert (said * 3 - 5).tolist() == model.predict(X[:50]).tolist()


@pytest.mark.usefixtures("quick_page")
@pytest.mark.parametrize("kind", ["forest", "boosting", "support vectors"])
def test_it_teaches_a_student_beside_its_control(tmp_path: Path, kind: str) -> None:
    model: Any = {
        "forest": RandomForestClassifier(30, random_state=0),
        "boosting": HistGradientBoostingClassifier(max_iter=15, random_state=0),
        "support vectors": SVC(),
    }[kind].fit(X, Y)
    path = saved(tmp_path / f"{kind}.skops", model)
    text = BASE.format(path=path)
    if kind == "support vectors":
        with pytest.raises(ObjectiveError, match="soft_labels needs probs from the teacher, which gives labels"):
            rehearse(plan_from_recipe(parse_recipe(text)))
        text = text.replace("[soft_labels: {weight: 0.9}, cross_entropy: {weight: 0.1}]", "[teacher_labels]")
    found = read_report(run(plan_from_recipe(parse_recipe(text)), out=tmp_path / "run"))
    teacher = found["models"]["teacher"]
    assert teacher["metrics"]["accuracy"]["mean"] > 0.75 and teacher["bytes"] == path.stat().st_size
    assert teacher["latency_ms"][0]["p50"] > 0 and teacher["parameters"] is None
    assert found["verdict"]["against"] == "labels" and found["models"]["student"]["metrics"]["agreement"] is not None


def test_its_classes_are_connected_by_name(tmp_path: Path) -> None:
    names = np.array(["odd", "even"])[(Y % 2 == 0).astype(int)]
    path = saved(tmp_path / "m.skops", RandomForestClassifier(5, random_state=0).fit(X, names))
    with pytest.raises(DataError, match='knows the class "even", which this data does not have'):
        plan_from_recipe(parse_recipe(BASE.format(path=path)))
    ten = RandomForestClassifier(5, random_state=0).fit(X, Y)
    plan = plan_from_recipe(
        parse_recipe(
            BASE.format(path=saved(tmp_path / "ten.skops", ten)),
            ["data.classes=[3, 8]", "teacher.classes={map: {3: 8, 8: 3}}"],
        )
    )
    said = plan.black_box.open(plan.data.pool, plan.data.train)(plan.data.pool.batch(torch.arange(9))).logits
    inputs = plan.data.pool.batch(torch.arange(9)).inputs.flatten(1).double().numpy()
    wanted = np.maximum(ten.predict_proba(inputs)[:, [8, 3]], 1e-12)
    np.testing.assert_allclose(said.softmax(1), wanted / wanted.sum(1, keepdims=True), rtol=1e-4, atol=1e-6)


def test_nothing_of_a_file_is_run(tmp_path: Path) -> None:
    (tmp_path / "p.skops").write_bytes(pickle.dumps(KINDS["forest"].fit(X, Y)))
    with pytest.raises(ModelError, match=r"cannot be loaded as what skops\.io\.dump writes \(a pickle is never"):
        SklearnTeacher(tmp_path / "p.skops", PICTURES, Feeding())
    own = make_pipeline(FunctionTransformer(np.testing.assert_equal), LogisticRegression())
    with pytest.raises(ModelError, match=r"holds numpy\.testing.*, which could run code"):
        SklearnTeacher(saved(tmp_path / "f.skops", own), PICTURES, Feeding())


@pytest.mark.parametrize("kind", ["forest", "bagging", "histogram boosting"])
@pytest.mark.parametrize("wrong", ["child", "feature", "loop"])
def test_a_tree_that_points_outside_is_refused(tmp_path: Path, kind: str, wrong: str) -> None:
    model = KINDS[kind].fit(X, Y)
    if kind == "histogram boosting":
        nodes = model._predictors[0][0].nodes
        nodes[{"child": "left", "feature": "feature_idx", "loop": "left"}[wrong]][0] = {"loop": 0}.get(wrong, 10_000)
    else:
        owner = model.estimators_[-1]
        state = owner.tree_.__getstate__()
        name = {"child": "left_child", "feature": "feature", "loop": "left_child"}[wrong]
        state["nodes"] = state["nodes"].copy()
        state["nodes"][name][0] = {"loop": 0}.get(wrong, 10_000)
        tree = Tree(owner.n_features_in_, np.array([10], dtype=np.intp), 1)
        tree.__setstate__(state)
        owner.tree_ = tree
    with pytest.raises(ModelError, match="holds a decision tree that points outside of itself"):
        SklearnTeacher(saved(tmp_path / "m.skops", model), PICTURES, Feeding())


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="there is no file"):
        SklearnTeacher(tmp_path / "no.skops", PICTURES, Feeding())
    with pytest.raises(ModelError, match="holds LinearRegression; a fitted classifier of one output"):
        SklearnTeacher(saved(tmp_path / "r.skops", LinearRegression().fit(X, Y)), PICTURES, Feeding())
    small = saved(tmp_path / "s.skops", DecisionTreeClassifier().fit(X[:, :9], Y))
    with pytest.raises(ModelError, match=r"cannot take this data, \[50, 64\]: X has 64 features, but .* 9 features"):
        SklearnTeacher(small, PICTURES, Feeding())


def test_without_skops_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "m.skops", DecisionTreeClassifier().fit(X, Y))
    monkeypatch.setitem(__import__("sys").modules, "skops.io", None)
    with pytest.raises(ModelError, match=r"pip install 'limbeck\[trees\]'"):
        SklearnTeacher(path, PICTURES, Feeding())
