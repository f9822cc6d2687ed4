"""Candidate specs into scikit-learn pipelines over a frame of the contract's features.

Preparation is part of the model, so that training and serving cannot differ: numbers are imputed and scaled, categories one-hot
encoded (an unknown one is all zeros), numbers of texts computed. For `logreg` texts are TF-IDF of words, pairs and, if asked for,
pieces of words, of all texts together and of each apart: few rows do not say twice what a word means in a title and in a body. For
`nb_logreg` a text is which of its phrases of one to three words it has, each weighed by how one-sided it is; for the others TF-IDF
of words and of characters, and its main directions.
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
from samovar.transformers import LogCountRatio, ReadTexts, joined_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.contracts.spec import ContractSpec, FieldSpec
    from samovar.project import CandidateSpec

Steps = list[tuple[str, Any, Any]]
"""Name, transformer and columns, as `ColumnTransformer` takes them."""

_TERMS = 50_000  # words and pairs, and again pieces of words, of one text that `logreg` knows
_PHRASES = 100_000  # phrases of one text field that `nb_logreg` knows
_WORDS = 20_000  # words and pairs of one text field that are reduced to topics
_PIECES = 20_000  # pieces of words, likewise
_TOPICS = 64  # dense dimensions of one text field, for models that take no sparse matrix
_PHRASES_C = 10.0  # rows of phrases have length 1, so their coefficients are large; chosen on training rows of film reviews
_COMPUTED = 0.1  # numbers of texts: of size 1 they would outweigh terms, which say more and are of about this size
_APART = 0.5  # what a word means in one text is a correction of what it means in all of them
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
    params = dict(params)
    texts = _text_steps(spec, contract, params)
    defaults = {"C": _PHRASES_C} if texts and spec.kind == "nb_logreg" else {}
    try:
        estimator = make(seed, defaults | params)
    except TypeError as error:
        raise ProjectError(f"Candidate {spec.name}: {error}.") from None
    weights = _weights(contract) if texts and spec.kind == "logreg" else {}
    steps = [("prepare", prepare(contract, texts, weights)), ("model", estimator)]
    reading = read(contract, joined=spec.kind == "logreg")
    return Pipeline([("read", reading), *steps] if reading is not None else steps)


def read(contract: ContractSpec, *, joined: bool = False) -> ReadTexts | None:
    """Return the step that fills texts and computes the fields that are computed; None for a contract without either.

    Args:
        contract: the fields.
        joined: whether several texts are wanted as one too.
    """
    columns = _names(contract)
    numbers = tuple((field.name, field.computed, field.of) for field in contract.computed)
    return ReadTexts(columns, numbers, joined=joined and len(columns) > 1) if columns or numbers else None


def prepare(contract: ContractSpec, texts: Steps, weights: Mapping[str, float] | None = None) -> ColumnTransformer:
    """Return the preparation of the contract's features: the first step of every built-in kind.

    Args:
        contract: the features.
        texts: what is made of its text fields.
        weights: step name -> factor of what it makes; steps that there are none of are passed over.
    """
    steps: Steps = []
    numbers = [field for field in contract.features if _is_number(field)]
    steps += _numbers("numbers", [field.name for field in numbers if not field.computed])
    steps += _numbers("computed", [field.name for field in numbers if field.computed])
    if categories := [field.name for field in contract.features if _is_category(field)]:
        one_hot = OneHotEncoder(handle_unknown="ignore", max_categories=_CATEGORIES, sparse_output=False)
        steps.append(("categories", one_hot, categories))
    steps += texts
    factors = {name: weights[name] for name, *_ in steps if weights and name in weights}
    return ColumnTransformer(steps, remainder="drop", transformer_weights=factors or None)


def _numbers(name: str, fields: list[str]) -> Steps:
    return [(name, Pipeline([("impute", SimpleImputer(strategy="median")), ("scale", StandardScaler())]), fields)] if fields else []


def _text_steps(spec: CandidateSpec, contract: ContractSpec, params: dict[str, Any]) -> Steps:
    """Return what a kind makes of texts; takes its own parameters out of the model's."""
    names = _names(contract)
    if spec.kind == "minilm":
        _texts(spec, contract)
        memory.remember()  # folds and trials encode the same texts
        own = {name: params.pop(name) for name in ("max_tokens",) if name in params}
        return [(f"text_{name}", Pipeline([("encode", MiniLMEncoder(**own)), ("scale", StandardScaler())]), name) for name in names]
    if spec.kind == "logreg":
        return _terms(names, pieces=bool(params.pop("pieces", False)))
    if spec.kind == "nb_logreg":
        return [(f"text_{name}", _phrases(), name) for name in names]
    return [("texts", _topics(names), list(names))] if names else []


def _fine_tuned(spec: CandidateSpec, contract: ContractSpec, params: Mapping[str, Any], seed: int) -> Any:
    try:
        return FineTunedClassifier(_texts(spec, contract), **{"seed": seed, **params})
    except TypeError as error:
        raise ProjectError(f"Candidate {spec.name}: {error}.") from None


def _texts(spec: CandidateSpec, contract: ContractSpec) -> tuple[str, ...]:
    found = _names(contract)
    if not found:
        raise ProjectError(f"Candidate {spec.name} reads text, and the contract has none.", remedy="Declare an `sv.Text` field.")
    return found


def _names(contract: ContractSpec) -> tuple[str, ...]:
    return tuple(field.name for field in contract.features if field.role == "text")


def _is_category(field: FieldSpec) -> bool:
    return field.role != "text" and (field.dtype == "str" or (field.choices is not None and field.dtype == "int"))


def _is_number(field: FieldSpec) -> bool:
    return field.dtype in ("int", "float", "bool") and not _is_category(field)


def _terms(names: Sequence[str], *, pieces: bool) -> Steps:
    """TF-IDF of words and pairs, of all texts together and of each apart; and of pieces of words of all texts together."""
    if not names:
        return []
    whole = joined_name(names)
    steps: Steps = [(f"text_{name}", _words(), name) for name in dict.fromkeys((whole, *names))]
    if pieces:
        parts = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2, max_features=_TERMS)
        steps.append(("pieces", parts, whole))
    return steps


def _words() -> TfidfVectorizer:
    return TfidfVectorizer(ngram_range=(1, 2), token_pattern=_EVERY_WORD, sublinear_tf=True, max_features=_TERMS)


def _weights(contract: ContractSpec) -> dict[str, float]:
    """Return how the steps of `logreg` are weighed."""
    names = _names(contract)
    apart = {f"text_{name}": _APART for name in names if len(names) > 1}
    return {"computed": _COMPUTED, **apart}


def _phrases() -> Pipeline:
    """Features of Wang and Manning (2012) for a linear model."""
    phrases = TfidfVectorizer(
        binary=True, use_idf=False, ngram_range=(1, 3), token_pattern=_EVERY_WORD, min_df=2, max_features=_PHRASES
    )
    return Pipeline([("phrases", phrases), ("weights", LogCountRatio())])


def _topics(names: Sequence[str]) -> Pipeline:
    """Latent semantic analysis (Deerwester et al., 1990) of several text fields at once, one of which may say little."""
    steps: Steps = []
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
    "nb_logreg": _logreg,
    "random_forest": _forest,
    "hist_gradient_boosting": _boosting,
    "mlp": _perceptron,
    "minilm": _over_vectors,
}
