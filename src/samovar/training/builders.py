"""Candidate specs into scikit-learn pipelines over a frame of the contract's features.

Preparation is part of the model, so that training and serving cannot differ: numbers are imputed and scaled, categories one-hot
encoded (an unknown one is all zeros), numbers of texts computed. For a linear model a text is which of its phrases of one to three
words it has, each weighed by how one-sided it is; for the others TF-IDF of words and of characters, and its main directions.
Timestamps are left out: a raw time is nothing a model can carry into the future. Every type used here can be stored by skops and is
on Samovar's own allow-list of types that run no code.
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
from samovar.transformers import LogCountRatio, ReadTexts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.contracts.spec import ContractSpec, FieldSpec
    from samovar.project import CandidateSpec

_PHRASES = 100_000  # phrases of one text field that a linear model knows
_WORDS = 20_000  # words and pairs of one text field that are reduced to topics
_PIECES = 20_000  # pieces of words, likewise
_TOPICS = 64  # dense dimensions of one text field, for models that take no sparse matrix
_TEXT_C = 10.0  # rows of phrases have length 1, so their coefficients are large; chosen on training rows of film reviews
_EVERY_WORD = r"(?u)\b\w+\b"  # "I" and "a" too, which phrases need
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
    sparse = spec.kind == "logreg"
    defaults = {"C": _TEXT_C} if sparse and read(contract) is not None else {}
    try:
        estimator = make(seed, defaults | params)
    except TypeError as error:
        raise ProjectError(f"Candidate {spec.name}: {error}.") from None
    steps = [("prepare", prepare(contract, dense=not sparse, encoder=encoder)), ("model", estimator)]
    return Pipeline([("read", reading), *steps] if (reading := read(contract)) is not None else steps)


def read(contract: ContractSpec) -> ReadTexts | None:
    """Return the step that fills texts and computes the fields that are computed; None for a contract without either."""
    columns = tuple(field.name for field in contract.features if field.role == "text")
    numbers = tuple((field.name, field.computed, field.of) for field in contract.computed)
    return ReadTexts(columns, numbers) if columns or numbers else None


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
        one_hot = OneHotEncoder(handle_unknown="ignore", max_categories=_CATEGORIES, sparse_output=False)
        steps.append(("categories", one_hot, categories))
    texts = [field.name for field in contract.features if field.role == "text"]
    if texts and dense and encoder is None:
        steps.append(("texts", _topics(texts), texts))
    else:
        steps += [(f"text_{name}", encoder or _phrases(), name) for name in texts]
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


def _phrases() -> Pipeline:
    """Features of Wang and Manning (2012) for a linear model."""
    phrases = TfidfVectorizer(
        binary=True, use_idf=False, ngram_range=(1, 3), token_pattern=_EVERY_WORD, min_df=2, max_features=_PHRASES
    )
    return Pipeline([("phrases", phrases), ("weights", LogCountRatio())])


def _topics(names: list[str]) -> Pipeline:
    """Latent semantic analysis (Deerwester et al., 1990) of several text fields at once, one of which may say little."""
    steps: list[tuple[str, Any, Any]] = []
    for name in names:
        words = TfidfVectorizer(max_features=_WORDS, ngram_range=(1, 2), sublinear_tf=True, min_df=2)
        pieces = TfidfVectorizer(analyzer="char_wb", max_features=_PIECES, ngram_range=(3, 4), sublinear_tf=True, min_df=2)
        steps += [(f"words_{name}", words, name), (f"pieces_{name}", pieces, name)]
    terms = ColumnTransformer(steps, sparse_threshold=1.0)
    return Pipeline([("terms", terms), ("topics", TruncatedSVD(_TOPICS, random_state=0))])


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
