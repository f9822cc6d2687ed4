"""Candidate specs into scikit-learn pipelines over a frame of the contract's features.

Preparation is part of the model, so that training and serving cannot differ: numbers are imputed and scaled, categories one-hot
encoded (an unknown one is all zeros), text becomes TF-IDF. Timestamps are left out: a raw time is nothing a model can carry into
the future. Every type used here can be stored by skops and is on Samovar's own allow-list of types that run no code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from samovar.encoders import memory
from samovar.encoders.finetuned import FineTunedClassifier
from samovar.encoders.minilm import MiniLMEncoder
from samovar.errors import ProjectError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.contracts.spec import ContractSpec, FieldSpec
    from samovar.project import CandidateSpec

_WORDS = 5000  # vocabulary of one text field
_TOPICS = 32  # dense dimensions of one text field, for models that take no sparse matrix
_CATEGORIES = 100  # a category beyond the most frequent ones counts as rare


def build(spec: CandidateSpec, contract: ContractSpec, params: Mapping[str, Any], seed: int) -> Any:
    """Return the unfitted estimator of a candidate with these parameters.

    Raises:
        ProjectError: the kind is unknown, or a parameter is none of the estimator's.
    """
    if spec.build is not None:
        return spec.build(contract, **params)
    if spec.kind == "distilbert":
        return _fine_tuned(spec, contract, params, seed)
    try:
        make = _ESTIMATORS[spec.kind]
    except KeyError:
        raise ProjectError(f"Candidate kind {spec.kind!r} is unknown.", remedy=f"Known: {', '.join(_ESTIMATORS)}.") from None
    params, encoder = _encoder(spec, contract, dict(params))
    try:
        estimator = make(seed, params)
    except TypeError as error:
        raise ProjectError(f"Candidate {spec.name}: {error}.") from None
    return Pipeline([("prepare", prepare(contract, dense=spec.kind != "logreg", encoder=encoder)), ("model", estimator)])


def prepare(contract: ContractSpec, *, dense: bool, encoder: Any = None) -> ColumnTransformer:
    """Return the preparation of the contract's features: the first step of every built-in kind.

    Args:
        contract: the features.
        dense: whether the model takes no sparse matrix.
        encoder: what stands in the place of TF-IDF, a transformer of one text column.
    """
    steps: list[tuple[str, Any, Any]] = []
    if numbers := [field.name for field in contract.features if _is_number(field)]:
        steps.append(("numbers", Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())]), numbers))
    if categories := [field.name for field in contract.features if _is_category(field)]:
        encoder = OneHotEncoder(handle_unknown="ignore", max_categories=_CATEGORIES, sparse_output=False)
        steps.append(("categories", encoder, categories))
    steps += [
        (f"text_{field.name}", encoder or _text(dense=dense), field.name) for field in contract.features if field.role == "text"
    ]
    return ColumnTransformer(steps, remainder="drop")


def _encoder(spec: CandidateSpec, contract: ContractSpec, params: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    """Split a kind's parameters into the model's and its text encoder, if it has one."""
    if spec.kind != "minilm":
        return params, None
    _texts(spec, contract)
    memory.remember()  # folds and trials encode the same texts
    own = {name: params.pop(name) for name in ("max_tokens",) if name in params}
    return params, Pipeline([("encode", MiniLMEncoder(**own)), ("scale", StandardScaler())])


def _fine_tuned(spec: CandidateSpec, contract: ContractSpec, params: Mapping[str, Any], seed: int) -> Any:
    try:
        return FineTunedClassifier(_texts(spec, contract), **{"seed": seed, **params})
    except TypeError as error:
        raise ProjectError(f"Candidate {spec.name}: {error}.") from None


def _texts(spec: CandidateSpec, contract: ContractSpec) -> tuple[str, ...]:
    found = tuple(field.name for field in contract.features if field.role == "text")
    if not found:
        raise ProjectError(f"Candidate {spec.name} reads text, and the contract has none.", remedy="Declare an `sv.Text` field.")
    return found


def _is_category(field: FieldSpec) -> bool:
    return field.role != "text" and (field.dtype == "str" or (field.choices is not None and field.dtype == "int"))


def _is_number(field: FieldSpec) -> bool:
    return field.dtype in ("int", "float", "bool") and not _is_category(field)


def _text(*, dense: bool) -> Any:
    words = TfidfVectorizer(max_features=_WORDS, sublinear_tf=True, min_df=2)
    return Pipeline([("words", words), ("topics", TruncatedSVD(_TOPICS, random_state=0))]) if dense else words


def _logreg(seed: int, params: dict[str, Any]) -> Any:
    return LogisticRegression(**{"C": 1.0, "max_iter": 1000, "random_state": seed} | params)


def _over_vectors(seed: int, params: dict[str, Any]) -> Any:
    return LogisticRegression(**{"C": 0.01, "max_iter": 1000, "random_state": seed} | params)


def _forest(seed: int, params: dict[str, Any]) -> Any:
    defaults = {"n_estimators": 60, "min_samples_leaf": 2, "max_samples": 0.5, "random_state": seed, "n_jobs": 1}
    return RandomForestClassifier(**defaults | params)


def _boosting(seed: int, params: dict[str, Any]) -> Any:
    defaults = {"max_iter": 100, "max_leaf_nodes": 15, "early_stopping": False, "random_state": seed}
    return HistGradientBoostingClassifier(**defaults | params)


def _perceptron(seed: int, params: dict[str, Any]) -> Any:
    if isinstance(layers := params.get("hidden_layer_sizes"), str):  # as the search writes it: "32" or "32-16"
        params["hidden_layer_sizes"] = tuple(int(width) for width in layers.split("-"))
    defaults = {"hidden_layer_sizes": (32,), "learning_rate_init": 5e-3, "batch_size": 128, "max_iter": 100, "random_state": seed}
    return MLPClassifier(**defaults | {"n_iter_no_change": 5, "tol": 1e-3} | params)


_ESTIMATORS: dict[str, Callable[[int, dict[str, Any]], Any]] = {
    "logreg": _logreg,
    "random_forest": _forest,
    "hist_gradient_boosting": _boosting,
    "mlp": _perceptron,
    "minilm": _over_vectors,
}
