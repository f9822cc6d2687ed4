import functools
import importlib
import io
import json
import operator
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    AdaBoostClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, SVR, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from samovar.errors import ModelError, Untrusted
from samovar.scoring import contents, trust
from samovar.scoring.allowed import ALLOWED
from samovar.scoring.engine import Call, open_engine
from samovar.scoring.load import load_plan

X, Y = load_iris(return_X_y=True)

COMMON = [
    LogisticRegression(max_iter=500),
    Ridge(),
    SGDClassifier(random_state=0),
    GaussianNB(),
    DecisionTreeClassifier(),
    RandomForestClassifier(3),
    RandomForestRegressor(3),
    ExtraTreesClassifier(3),
    AdaBoostClassifier(n_estimators=3),
    IsolationForest(n_estimators=3),
    GradientBoostingClassifier(n_estimators=2),
    HistGradientBoostingClassifier(max_iter=2),
    HistGradientBoostingRegressor(max_iter=2),
    MLPClassifier((4,), max_iter=5),
    SVC(probability=False),
    SVR(),
    LinearSVC(),
    CalibratedClassifierCV(RandomForestClassifier(2), method="isotonic", cv=2),
    CalibratedClassifierCV(LinearSVC(), method="sigmoid", cv=2),
    VotingClassifier([("a", make_pipeline(StandardScaler(), RandomForestClassifier(2))), ("b", GaussianNB())]),
    StackingClassifier([("a", GaussianNB())], cv=2),
    GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.1, 1.0]}, cv=2),
    make_pipeline(FunctionTransformer(np.log1p), LogisticRegression(max_iter=500)),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("estimator", COMMON, ids=lambda model: type(model).__name__)
def test_common_estimators_are_safe_and_answer_the_same(estimator):
    """Nobody has to trust a common estimator, and the check of its content lets a healthy one pass."""
    model = clone(estimator).fit(X, Y)
    data = skops.io.dumps(model)
    assert trust.untrusted(data) == []
    loaded = skops.io.loads(data, trusted=trust.allowed_types())
    contents.check(loaded)
    assert np.array_equal(loaded.predict(X), model.predict(X))


def test_every_name_on_the_list_exists():
    """A name that no library has is a hole to be filled by whoever ships a module of that name."""
    for names in ALLOWED.values():
        for name in names:
            module, _, attribute = name.rpartition(".")
            assert module.split(".")[0] in ("builtins", "collections", "numpy", "samovar", "scipy", "sklearn")
            assert hasattr(importlib.import_module(module), attribute), name


@pytest.mark.parametrize(
    "function",
    [eval, importlib.import_module, operator.methodcaller("tobytes"), functools.partial(print, "x"), [].append],
    ids=["eval", "python function", "methodcaller", "partial", "bound method"],
)
def test_code_inside_a_model_needs_trust(function):
    """Whatever can be called is a stranger, however it is wrapped."""
    assert trust.untrusted(skops.io.dumps(FunctionTransformer(function)))


def test_unchecked_neighbour_trees_need_trust():
    """KDTree indexes its own node data unchecked and cannot be verified from outside."""
    data = skops.io.dumps(KNeighborsClassifier().fit(X, Y))
    assert "sklearn.neighbors._kd_tree.KDTree" in trust.untrusted(data)


def test_the_authors_own_list_is_ignored(saved_skops):
    """``skops_trusted_types`` is written by who logged the model, and therefore trusts nothing."""
    model = FunctionTransformer(importlib.import_module)
    with pytest.raises(Untrusted, match=r"importlib\.import_module.*samovar trust shop/7"):
        load_plan(saved_skops(model, ["importlib.import_module"]).files, "shop", 7)


def test_an_allowed_name_in_another_role_is_a_stranger():
    """A function where an object belongs is refused although functions of that name are allowed."""
    data = _edit(skops.io.dumps(GaussianNB()), {"__class__": "log1p", "__module__": "numpy"})
    assert trust.untrusted(data) == ["ObjectNode:numpy.log1p"]


def test_an_unknown_loader_is_a_stranger():
    """What a loader does is part of what was audited."""
    data = _edit(skops.io.dumps(GaussianNB()), {"__loader__": "ConstructorFromReduceNode"})
    assert trust.untrusted(data) == ["ConstructorFromReduceNode:sklearn.naive_bayes.GaussianNB"]


def _edit(data, changes):
    """Change the root node of a skops file."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["schema.json"] = json.dumps(json.loads(entries["schema.json"]) | changes).encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return target.getvalue()


def test_bytes_that_are_no_skops_file_are_refused():
    with pytest.raises(ModelError, match="no skops file"):
        trust.untrusted(b"PK\x03\x04 nonsense")


def _forest_with(field, value):
    model = RandomForestClassifier(2, random_state=0).fit(X, Y)
    tree = model.estimators_[0].tree_
    state = tree.__getstate__()
    state["nodes"][field][0] = value
    tree.__setstate__(state)
    return model


def _boosting_with(field, value):
    model = HistGradientBoostingClassifier(max_iter=2).fit(X, Y)
    model._predictors[0][0].nodes[field][0] = value
    return model


def _support_vectors_cut():
    model = SVC().fit(X, Y)
    model.support_vectors_ = model.support_vectors_[:2]
    return model


def _reads_files():
    return make_pipeline(TfidfVectorizer(input="filename"), GaussianNB())


@pytest.mark.parametrize(
    "make",
    [
        lambda: _forest_with("left_child", 10**9),
        lambda: _forest_with("left_child", 0),
        lambda: _forest_with("feature", 4),
        lambda: _boosting_with("right", 10**6),
        lambda: _boosting_with("feature_idx", 99),
        _support_vectors_cut,
        _reads_files,
    ],
    ids=["child outside", "endless walk", "feature outside", "boosted child", "boosted feature", "support vectors", "reads files"],
)
def test_a_crafted_model_is_refused_before_it_is_asked(saved_skops, make):
    """Allowed types may hold indices into foreign memory: such a model ends as an error, never as a crash."""
    with pytest.raises(ModelError, match="damaged"):
        load_plan(saved_skops(make()).files, "crafted", 1)


def test_a_pool_of_threads_is_not_kept(logged):
    """A model logged with n_jobs=-1 answers with one thread."""
    engine = open_engine(load_plan(logged("forest").files, "forest", 1, compile=False))
    assert [part.n_jobs for part in contents.parts(engine.model) if getattr(part, "n_jobs", None) not in (None, 1)] == []


def test_vectorizers_that_read_text_are_fine(saved_skops):
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(["good", "bad"] * 5, [1, 0] * 5)
    engine = open_engine(load_plan(saved_skops(model).files, "text", 1))
    assert engine.invoke(Call("inputs", ["bad", "good"])) == [0, 1]
