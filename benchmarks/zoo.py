"""The zoo: fitted pipelines as people build them, and which of them the compiler lowers exactly.

``python benchmarks/zoo.py`` fits each one on seeded data, lowers it, holds it to the native model's answers as the builder does,
and writes ``build/bench/zoo.json``. A pipeline counts as compiled only if it agreed.
"""

from __future__ import annotations

import sys
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pandas as pd
from skl2onnx import to_onnx
from sklearn import (
    calibration,
    compose,
    datasets,
    decomposition,
    discriminant_analysis,
    dummy,
    ensemble,
    feature_extraction,
    feature_selection,
    impute,
    linear_model,
    model_selection,
    multiclass,
    naive_bayes,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from threadpoolctl import threadpool_limits

from samovar.contracts.answers import default_response
from samovar.contracts.signature import from_columns
from samovar.contracts.spec import ModelContract
from samovar.scoring import plan as plans
from samovar.scoring.compiler import NotLowered
from samovar.scoring.engines.onnx import open_plan as open_onnx
from samovar.scoring.engines.sklearn import SklearnEngine
from samovar.scoring.exactness import Disagrees
from samovar.scoring.lowering import lowered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from samovar.scoring.engines.onnx import OnnxEngine

ROWS = 400

_TYPES = {"f": "double", "i": "long", "b": "boolean", "O": "string", "T": "string"}
_WORDS = """
good bad plot story actor scene boring great awful music slow fast ending love hate film movie book café naïve 12 3d the a of and to
it was very not never always
""".split()  # noqa: SIM905 - words read best as words


@dataclass(frozen=True)
class Animal:
    """One pipeline.

    Attributes:
        name: what it is.
        model: the estimator, not fitted.
        data: gives a frame and its targets.
        exported: whether it is logged as an ONNX model of one matrix.
    """

    name: str
    model: Any
    data: Callable[[], tuple[pd.DataFrame, Any]]
    exported: bool = False


# --- data ----------------------------------------------------------------------------------------------------------------------


def flowers() -> tuple[pd.DataFrame, Any]:
    """Four numbers, three classes."""
    return datasets.load_iris(return_X_y=True, as_frame=True)


def tumours() -> tuple[pd.DataFrame, Any]:
    """Thirty numbers, two classes."""
    frame, target = datasets.load_breast_cancer(return_X_y=True, as_frame=True)
    return frame.head(ROWS), target.head(ROWS)


def measured() -> tuple[pd.DataFrame, Any]:
    """Ten numbers, a number."""
    frame, target = datasets.load_diabetes(return_X_y=True, as_frame=True)
    return frame.head(ROWS), target.head(ROWS)


def gaps() -> tuple[pd.DataFrame, Any]:
    """Numbers with gaps, two classes."""
    frame, target = tumours()
    holes = np.random.default_rng(5).random(frame.shape) < 0.1
    return frame.mask(holes), target


def counts() -> tuple[pd.DataFrame, Any]:
    """Numbers that are never negative, three classes."""
    rng = np.random.default_rng(7)
    frame = pd.DataFrame(rng.poisson(3.0, (ROWS, 6)).astype(float), columns=[f"n{index}" for index in range(6)])
    return frame, np.digitize(frame["n0"] + frame["n1"], [5, 8])


def shop() -> tuple[pd.DataFrame, Any]:
    """Numbers, integers, a flag and two categories, two classes."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "amount": rng.gamma(2.0, 30.0, ROWS),
            "hour": rng.integers(0, 24, ROWS),
            "member": rng.random(ROWS) < 0.5,
            "category": rng.choice(["grocery", "travel", "fuel", "café"], ROWS, p=[0.5, 0.3, 0.18, 0.02]),
            "country": rng.choice(["DE", "FR", "IT"], ROWS),
        }
    )
    return frame, ((frame["amount"] + 3 * frame["hour"] + 20 * (frame["category"] == "travel")) > 95).astype(int)


def spending() -> tuple[pd.DataFrame, Any]:
    """The same, a number."""
    frame, _ = shop()
    return frame, frame["amount"] * 1.5 + frame["hour"] + 10.0 * (frame["category"] == "fuel") + 5.0


def reviews() -> tuple[pd.DataFrame, Any]:
    """One text, two classes."""
    rng = np.random.default_rng(11)
    texts = [" ".join(rng.choice(_WORDS, rng.integers(3, 40))) for _ in range(ROWS)]
    return pd.DataFrame({"text": texts}), np.array(
        [("good" in text) + ("love" in text) > ("bad" in text) for text in texts]
    ).astype(int)


def notes() -> tuple[pd.DataFrame, Any]:
    """A text beside a number and a category, two classes."""
    frame, target = reviews()
    rng = np.random.default_rng(13)
    return frame.assign(stars=rng.integers(1, 6, ROWS).astype(float), shelf=rng.choice(["a", "b"], ROWS)), target


# --- parts ---------------------------------------------------------------------------------------------------------------------

_pipe = pipeline.make_pipeline
_logistic = linear_model.LogisticRegression


def _columns(remainder: str = "drop", encoder: Any = None, scaler: Any = None) -> Any:
    return compose.make_column_transformer(
        (encoder or preprocessing.OneHotEncoder(handle_unknown="ignore"), ["category", "country"]),
        (scaler or preprocessing.StandardScaler(), ["amount", "hour"]),
        remainder=remainder,
    )


def _text(vectorizer: Any) -> Any:
    return compose.make_column_transformer((vectorizer, "text"))


def _tfidf(**settings: Any) -> Any:
    return feature_extraction.text.TfidfVectorizer(**settings)


def animals() -> Iterator[Animal]:
    """Give every pipeline of the zoo."""
    yield from _scaled()
    yield from _linear()
    yield from _selected()
    yield from _bayes()
    yield from _trees()
    yield from _mixed()
    yield from _texts()
    yield from _ensembles()
    yield from _exported()


def _scaled() -> Iterator[Animal]:
    scalers = (
        preprocessing.StandardScaler(),
        preprocessing.StandardScaler(with_mean=False),
        preprocessing.MinMaxScaler(clip=True),
        preprocessing.RobustScaler(),
        preprocessing.MaxAbsScaler(),
        preprocessing.Normalizer(),
        preprocessing.PolynomialFeatures(2),
        preprocessing.PolynomialFeatures(2, interaction_only=True, include_bias=False),
        preprocessing.KBinsDiscretizer(4, encode="onehot-dense", quantile_method="averaged_inverted_cdf"),
        preprocessing.KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"),
        preprocessing.FunctionTransformer(),
        decomposition.PCA(2),
        decomposition.PCA(3, whiten=True),
        decomposition.TruncatedSVD(2),
    )
    for scaler in scalers:
        yield Animal(f"{scaler} + LogisticRegression", _pipe(scaler, _logistic(max_iter=2000)), flowers)
    union = pipeline.make_union(preprocessing.StandardScaler(), decomposition.PCA(2))
    yield Animal("FeatureUnion + LogisticRegression", _pipe(union, _logistic(max_iter=2000)), flowers)
    for strategy in ("mean", "median", "most_frequent"):
        imputer = impute.SimpleImputer(strategy=strategy, add_indicator=strategy == "median")
        yield Animal(f"SimpleImputer({strategy}) + LR", _pipe(imputer, preprocessing.StandardScaler(), _logistic()), gaps)


def _linear() -> Iterator[Animal]:
    scale = preprocessing.StandardScaler
    for model in (
        svm.LinearSVC(),
        linear_model.RidgeClassifier(),
        linear_model.SGDClassifier(random_state=0),
        linear_model.SGDClassifier(loss="log_loss", random_state=0),
        linear_model.SGDClassifier(loss="modified_huber", random_state=0),
        linear_model.LogisticRegressionCV(cv=3, use_legacy_attributes=False, l1_ratios=(0.0,), scoring="neg_log_loss"),
        linear_model.Perceptron(random_state=0),
        discriminant_analysis.LinearDiscriminantAnalysis(),
        neural_network.MLPClassifier(hidden_layer_sizes=(16, 8), max_iter=200, random_state=0),
    ):
        yield Animal(f"StandardScaler + {model}", _pipe(scale(), model), flowers)
    for model in (
        linear_model.LinearRegression(),
        linear_model.Ridge(),
        linear_model.RidgeCV(),
        linear_model.Lasso(0.1),
        linear_model.ElasticNet(0.1),
        linear_model.SGDRegressor(random_state=0),
        linear_model.BayesianRidge(),
        linear_model.HuberRegressor(max_iter=1000),
        svm.LinearSVR(random_state=0),
        neural_network.MLPRegressor(hidden_layer_sizes=(16,), max_iter=300, random_state=0),
    ):
        yield Animal(f"StandardScaler + {model}", _pipe(scale(), model), measured)


def _selected() -> Iterator[Animal]:
    for chooser in (
        feature_selection.SelectKBest(k=8),
        feature_selection.SelectPercentile(percentile=30),
        feature_selection.VarianceThreshold(0.01),
        feature_selection.SelectFromModel(tree.DecisionTreeClassifier(random_state=0)),
    ):
        steps = (chooser, preprocessing.StandardScaler(), _logistic())
        yield Animal(f"{type(chooser).__name__} + LogisticRegression", _pipe(*steps), tumours)


def _bayes() -> Iterator[Animal]:
    yield Animal("GaussianNB", naive_bayes.GaussianNB(), flowers)
    for model in (naive_bayes.MultinomialNB(), naive_bayes.ComplementNB(), naive_bayes.BernoulliNB(binarize=2.0)):
        yield Animal(type(model).__name__, model, counts)


def _trees() -> Iterator[Animal]:
    for model in (
        tree.DecisionTreeClassifier(random_state=0),
        ensemble.RandomForestClassifier(60, random_state=0),
        ensemble.ExtraTreesClassifier(60, random_state=0),
        ensemble.GradientBoostingClassifier(random_state=0, n_estimators=40),
        ensemble.HistGradientBoostingClassifier(max_iter=40, random_state=0),
        ensemble.AdaBoostClassifier(n_estimators=20, random_state=0),
    ):
        yield Animal(f"{type(model).__name__}, 3 classes", model, flowers)
    for model in (
        tree.DecisionTreeRegressor(random_state=0),
        ensemble.RandomForestRegressor(40, random_state=0),
        ensemble.ExtraTreesRegressor(40, random_state=0),
        ensemble.GradientBoostingRegressor(random_state=0, n_estimators=40),
        ensemble.HistGradientBoostingRegressor(max_iter=40, random_state=0),
        ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=40, random_state=0),
    ):
        yield Animal(f"{type(model).__name__}", model, measured)
    yield Animal("RandomForestClassifier, gaps", ensemble.RandomForestClassifier(40, random_state=0), gaps)
    yield Animal("HistGradientBoostingClassifier, gaps", ensemble.HistGradientBoostingClassifier(max_iter=50, random_state=0), gaps)
    yield Animal("RandomForestClassifier, 30 columns", ensemble.RandomForestClassifier(100, random_state=0), tumours)


def _mixed() -> Iterator[Animal]:
    boosted = ensemble.HistGradientBoostingClassifier
    encoders = {
        "OneHot(ignore)": preprocessing.OneHotEncoder(handle_unknown="ignore"),
        "OneHot(drop first)": preprocessing.OneHotEncoder(drop="first", handle_unknown="ignore"),
        "OneHot(infrequent)": preprocessing.OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=20),
        "OneHot(error, dense)": preprocessing.OneHotEncoder(sparse_output=False),
        "Ordinal": preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
    }
    for name, encoder in encoders.items():
        yield Animal(f"{name} + LogisticRegression", _pipe(_columns(encoder=encoder), _logistic()), shop)
        yield Animal(f"{name} + HistGradientBoosting", _pipe(_columns("passthrough", encoder=encoder), boosted(max_iter=40)), shop)
    yield Animal("OneHot + RandomForest", _pipe(_columns("passthrough"), ensemble.RandomForestClassifier(40, random_state=0)), shop)
    yield Animal("OneHot + Ridge", _pipe(_columns("passthrough"), linear_model.Ridge()), spending)
    yield Animal(
        "OneHot + MLP",
        _pipe(_columns(), neural_network.MLPClassifier(hidden_layer_sizes=(12,), max_iter=200, random_state=0)),
        shop,
    )
    native = boosted(max_iter=40, categorical_features=[0, 1])
    ordinal = preprocessing.OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    yield Animal("Ordinal + HistGradientBoosting, categories", _pipe(_columns("passthrough", encoder=ordinal), native), shop)
    gamma = _pipe(_columns("passthrough"), linear_model.GammaRegressor(max_iter=1000))
    yield Animal("OneHot + GammaRegressor", gamma, spending)


def _texts() -> Iterator[Animal]:
    vectorizers = {
        "Count": feature_extraction.text.CountVectorizer(),
        "Count(binary, bigrams)": feature_extraction.text.CountVectorizer(binary=True, ngram_range=(1, 2)),
        "Tfidf": _tfidf(),
        "Tfidf(sublinear, bigrams)": _tfidf(sublinear_tf=True, ngram_range=(1, 2)),
        "Tfidf(char_wb)": _tfidf(analyzer="char_wb", ngram_range=(2, 4)),
        "Tfidf(char, l1)": _tfidf(analyzer="char", ngram_range=(1, 3), norm="l1"),
        "Tfidf(english, accents)": _tfidf(stop_words="english", strip_accents="unicode"),
        "Hashing": feature_extraction.text.HashingVectorizer(n_features=2**10),
    }
    for name, vectorizer in vectorizers.items():
        yield Animal(f"{name} + LogisticRegression", _pipe(_text(vectorizer), _logistic()), reviews)
    svd = decomposition.TruncatedSVD(10, random_state=0)
    yield Animal("Tfidf + SVD + LogisticRegression", _pipe(_text(_tfidf()), svd, _logistic()), reviews)
    yield Animal("Tfidf + SVD + Scaler + LR", _pipe(_text(_tfidf()), svd, preprocessing.StandardScaler(), _logistic()), reviews)
    yield Animal(
        "Tfidf + SVD + RandomForest", _pipe(_text(_tfidf()), svd, ensemble.RandomForestClassifier(30, random_state=0)), reviews
    )
    yield Animal(
        "Count + MultinomialNB", _pipe(_text(feature_extraction.text.CountVectorizer()), naive_bayes.MultinomialNB()), reviews
    )
    yield Animal("Tfidf + LinearSVC", _pipe(_text(_tfidf()), svm.LinearSVC()), reviews)
    yield Animal("Tfidf + SGD", _pipe(_text(_tfidf()), linear_model.SGDClassifier(loss="log_loss", random_state=0)), reviews)
    beside = compose.make_column_transformer(
        (_tfidf(), "text"),
        (preprocessing.StandardScaler(), ["stars"]),
        (preprocessing.OneHotEncoder(handle_unknown="ignore"), ["shelf"]),
    )
    yield Animal("Tfidf beside numbers + LR", _pipe(beside, _logistic()), notes)


def _ensembles() -> Iterator[Animal]:
    scale, cv = preprocessing.StandardScaler, 3
    simple = _pipe(scale(), _logistic())
    boosted = ensemble.HistGradientBoostingClassifier(max_iter=20, random_state=0)
    calibrated = calibration.CalibratedClassifierCV
    yield Animal("Calibrated(sigmoid) LinearSVC", calibrated(_pipe(scale(), svm.LinearSVC()), cv=cv), tumours)
    yield Animal(
        "Calibrated(isotonic) forest",
        calibrated(ensemble.RandomForestClassifier(20, random_state=0), method="isotonic", cv=cv),
        tumours,
    )
    yield Animal("Calibrated(sigmoid) boosting, 3 classes", calibrated(boosted, cv=cv), flowers)
    voters = [("lr", simple), ("hgb", boosted)]
    yield Animal("Voting(soft)", ensemble.VotingClassifier(voters, voting="soft"), tumours)
    yield Animal("Voting(hard)", ensemble.VotingClassifier(voters), flowers)
    yield Animal("Stacking", ensemble.StackingClassifier(voters, cv=cv), tumours)
    regressors = [("ridge", linear_model.Ridge()), ("tree", tree.DecisionTreeRegressor(max_depth=4, random_state=0))]
    yield Animal("VotingRegressor", ensemble.VotingRegressor(regressors), measured)
    yield Animal("StackingRegressor", ensemble.StackingRegressor(regressors, cv=cv), measured)
    yield Animal("OneVsRest(LogisticRegression)", multiclass.OneVsRestClassifier(_logistic(max_iter=1000)), flowers)
    yield Animal("GridSearchCV", model_selection.GridSearchCV(simple, {"logisticregression__C": [0.1, 1.0]}, cv=cv), tumours)
    yield Animal("DummyClassifier", dummy.DummyClassifier(), flowers)
    # Kernels and neighbours compare a row with the training rows: no rule, and none is planned.
    yield Animal("SVC(rbf)", _pipe(scale(), svm.SVC()), flowers)


# --- the count -----------------------------------------------------------------------------------------------------------------


def _exported() -> Iterator[Animal]:
    scale = preprocessing.StandardScaler
    logistic = _pipe(scale(), _logistic(max_iter=2000))
    boosted = ensemble.GradientBoostingClassifier(n_estimators=20, random_state=0)
    yield Animal("ONNX: StandardScaler + LogisticRegression", logistic, flowers, exported=True)
    yield Animal(
        "ONNX: SimpleImputer + LogisticRegression", _pipe(impute.SimpleImputer(), scale(), _logistic()), gaps, exported=True
    )
    yield Animal("ONNX: PCA + LogisticRegression", _pipe(decomposition.PCA(3), _logistic()), tumours, exported=True)
    yield Animal("ONNX: RandomForestClassifier", ensemble.RandomForestClassifier(30, random_state=0), tumours, exported=True)
    yield Animal("ONNX: ExtraTreesClassifier, 3 classes", ensemble.ExtraTreesClassifier(30, random_state=0), flowers, exported=True)
    yield Animal("ONNX: GradientBoostingClassifier", boosted, tumours, exported=True)
    perceptron = neural_network.MLPClassifier((16, 8), max_iter=200, random_state=0)
    yield Animal("ONNX: StandardScaler + MLPClassifier", _pipe(scale(), perceptron), flowers, exported=True)
    yield Animal("ONNX: RobustScaler + Ridge", _pipe(preprocessing.RobustScaler(), linear_model.Ridge()), measured, exported=True)
    yield Animal("ONNX: RandomForestRegressor", ensemble.RandomForestRegressor(20, random_state=0), measured, exported=True)
    # A sum of logarithms in an order that no rule has: onnxruntime answers.
    yield Animal("ONNX: GaussianNB", naive_bayes.GaussianNB(), flowers, exported=True)


def visit(animal: Animal) -> dict[str, Any]:
    """Fit one pipeline, lower it and compare the two; returns what became of it."""
    frame, target = animal.data()
    with warnings.catch_warnings(), threadpool_limits(1):  # as a builder does; two busy teams of threads wait for each other
        warnings.simplefilter("ignore")
        model = animal.model.fit(frame, target)
        began = time.perf_counter()
        try:
            native = exported(animal.name, model, frame) if animal.exported else opened(animal.name, model, frame)
            runner, agreement = lowered(*native, files={})
        except (NotLowered, Disagrees) as error:
            return {"name": animal.name, "compiled": False, "why": str(error)}
    seconds = round(time.perf_counter() - began, 3)
    found = {"operations": len(runner.program.nodes), "rows": agreement.rows, "refused": agreement.refused, "ties": agreement.ties}
    return {"name": animal.name, "compiled": True, **found, "seconds": seconds}


def opened(name: str, model: Any, frame: pd.DataFrame) -> tuple[plans.ScorerPlan, SklearnEngine]:
    """Return a fitted model as the builder has it after loading: a native plan and its engine."""
    signature = tuple(plans.SignatureColumn(column, _TYPES[dtype.kind]) for column, dtype in frame.dtypes.items())
    rows = from_columns("zoo", [{"name": column.name, "type": column.type} for column in signature])
    plan = plans.ScorerPlan(
        format=plans.FORMAT,
        model="zoo",
        version=1,
        label="v1",
        run_id="",
        digest=name,
        engine="sklearn",
        trusted=True,
        files={},
        model_file="",
        contract=ModelContract(contract=rows, response=default_response(rows, ())),
        signature=signature,
        example=tuple(frame.head(8).to_dict("records")),
    )
    return plan, SklearnEngine(plan, model)


def exported(name: str, model: Any, frame: pd.DataFrame) -> tuple[plans.ScorerPlan, OnnxEngine]:
    """Return the same of a model that was exported as an ONNX graph of one matrix."""
    rows = frame.to_numpy(np.float32)
    options = {"zipmap": False} if hasattr(model, "predict_proba") else None
    plan, _ = opened(name, model, frame)
    files = {"model.onnx": to_onnx(model, rows[:1], options=options).SerializeToString()}
    tensor = plans.TensorInput("float32", (-1, rows.shape[1]))
    plan = msgspec.structs.replace(
        plan, engine="onnx", files=files, model_file="model.onnx", signature=(), tensor=tensor, example=(), digest=name
    )
    return plan, open_onnx(plan)


def main() -> int:
    """Visit every pipeline and write the figures."""
    from figures import write  # noqa: PLC0415 - beside this program; tests load it as a module and visit on their own

    visited = []
    for animal in animals():
        visited.append(visit(animal))
        last = visited[-1]
        print(f"{'compiled' if last['compiled'] else 'NOT     '}  {last['name']}  {last.get('why', '')}", file=sys.stderr)
    share = sum(one["compiled"] for one in visited) / len(visited)
    write("build/bench/zoo.json", {"pipelines": len(visited), "compiled_share": round(share, 4)}, zoo=visited)
    print(f"{len(visited)} pipelines, {share:.1%} compiled")
    return 0


if __name__ == "__main__":
    sys.exit(main())
