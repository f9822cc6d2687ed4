"""Scalers, encoders, imputers and their composition: each before a linear model, held to scikit-learn on hard rows."""

import pytest
from mixed_rows import NUMBERS, TEXTS, edges, sales, three, two
from parity import compiled, parity
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.feature_selection import RFE, SelectFromModel, SelectKBest, SelectPercentile, VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

from samovar.errors import RequestError
from samovar.scoring.compiler import NotLowered
from samovar.scoring.engines.compiled import Runner

SCALERS = [
    StandardScaler(),
    StandardScaler(with_mean=False),
    StandardScaler(with_std=False),
    MinMaxScaler(),
    MinMaxScaler(feature_range=(-1, 2), clip=True),
    RobustScaler(),
    MaxAbsScaler(),
    MaxAbsScaler(clip=True),
    PowerTransformer(),
    PowerTransformer(standardize=False),
    QuantileTransformer(n_quantiles=20),
    QuantileTransformer(n_quantiles=20, output_distribution="normal"),
    Normalizer(),
    Normalizer("l1"),
    Normalizer("max"),
    Binarizer(threshold=3.0),
    PolynomialFeatures(3),
    PolynomialFeatures((2, 3), interaction_only=True, include_bias=False),
    KBinsDiscretizer(4),
    KBinsDiscretizer(4, encode="ordinal", strategy="uniform"),
    KBinsDiscretizer(3, encode="onehot-dense"),
    SelectKBest(k=2),
    SelectPercentile(percentile=60),
    VarianceThreshold(),
    SelectFromModel(LogisticRegression()),
    RFE(LogisticRegression(), n_features_to_select=2),
    FunctionTransformer(),
    FunctionTransformer(validate=True),
    FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler()), ("c", "passthrough")], transformer_weights={"a": 0.5}),
    make_pipeline(StandardScaler(), MinMaxScaler()),
    make_pipeline(StandardScaler(), SelectKBest(k=1)),
    "passthrough",
]


@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_numbers_are_prepared_as_by_scikit_learn(scaler):
    columns = [*NUMBERS, "member"]
    frame = sales()
    parity(make_pipeline(scaler, LogisticRegression(max_iter=50)).fit(frame[columns], two(frame)), edges()[columns])


ENCODERS = [
    OneHotEncoder(),
    OneHotEncoder(handle_unknown="ignore"),
    OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=int),
    OneHotEncoder(handle_unknown="ignore", drop="first"),
    OneHotEncoder(drop="if_binary"),
    OneHotEncoder(drop=["b", "y"], handle_unknown="ignore"),
    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=10),
    OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=0.1, drop="first"),
    OneHotEncoder(handle_unknown="ignore", max_categories=3),
    OneHotEncoder(handle_unknown="warn", max_categories=3),
    OneHotEncoder(handle_unknown="ignore", categories=[["b", "a"], ["y", "x"]]),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
    OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2, min_frequency=10),
    TargetEncoder(random_state=0),
    make_pipeline(OrdinalEncoder(), SimpleImputer(strategy="constant", fill_value=-5.0)),
    make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
    make_pipeline(SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder()),
    make_pipeline(OneHotEncoder(handle_unknown="ignore"), StandardScaler(with_mean=False)),
    make_pipeline(OneHotEncoder(handle_unknown="ignore", sparse_output=False), StandardScaler()),
]


@pytest.mark.parametrize("gaps", [True, False], ids=["with gaps", "without"])
@pytest.mark.parametrize("encoder", ENCODERS, ids=str)
def test_texts_are_encoded_as_by_scikit_learn(encoder, gaps):
    frame = sales(gaps=gaps)
    parity(make_pipeline(make_column_transformer((encoder, TEXTS)), Ridge()).fit(frame, two(frame)), edges())


def test_empty_text_may_mean_missing_and_a_gap_is_refused_then():
    frame = sales()
    imputer = SimpleImputer(missing_values="", strategy="constant", fill_value="?")
    encoder = make_pipeline(imputer, OneHotEncoder(handle_unknown="ignore"))
    parity(make_pipeline(make_column_transformer((encoder, TEXTS)), Ridge()).fit(frame, two(frame)), edges())


@pytest.mark.parametrize("encoder", [OneHotEncoder(handle_unknown="ignore"), OneHotEncoder()], ids=str)
def test_numbers_and_booleans_are_categories_too(encoder):
    """A number is found whatever its type; NaN is its own category, an infinite number is refused."""
    frame = sales(gaps=True)
    columns = make_column_transformer((encoder, ["age", "member"]), (OneHotEncoder(handle_unknown="ignore"), ["amount"]))
    parity(make_pipeline(columns, Ridge()).fit(frame, two(frame)), edges())


IMPUTERS = [
    SimpleImputer(),
    SimpleImputer(strategy="median", add_indicator=True),
    SimpleImputer(strategy="most_frequent"),
    SimpleImputer(strategy="constant", fill_value=3.0),
    SimpleImputer(missing_values=0.0),
    make_pipeline(StandardScaler(), SimpleImputer()),
    make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
    make_pipeline(SimpleImputer(), SelectKBest(k=1)),
    FeatureUnion([("fill", SimpleImputer()), ("signs", MissingIndicator(error_on_new=False))]),
    make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore")),
]


@pytest.mark.parametrize("imputer", IMPUTERS, ids=str)
def test_gaps_are_filled_as_by_scikit_learn(imputer):
    whole = getattr(imputer, "missing_values", None) == 0.0
    frame = sales(gaps=not whole)
    parity(make_pipeline(imputer, Ridge()).fit(frame[NUMBERS], two(frame)), edges()[NUMBERS])


def test_columns_that_were_empty_are_left_out_or_kept():
    frame = sales(gaps=True).assign(balance=float("nan"))
    for keep in (False, True):
        imputer = SimpleImputer(keep_empty_features=keep, strategy="median")
        parity(make_pipeline(imputer, Ridge()).fit(frame[NUMBERS], two(frame)), edges()[NUMBERS])


@pytest.mark.parametrize("remainder", ["drop", "passthrough", StandardScaler()], ids=str)
@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        (NUMBERS, TEXTS),
        ([0, 1], [-2, -1]),
        (slice(0, 2), slice(4, 6)),
        ([True, False, True, False, False, False], TEXTS),
        (make_column_selector(dtype_include="float64"), make_column_selector(pattern="kind|city")),
    ],
    ids=["names", "positions", "slices", "masks", "selectors"],
)
def test_columns_are_selected_as_at_the_fit(numbers, texts, remainder):
    frame = sales(gaps=True)
    filled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("n", filled, numbers), ("t", OneHotEncoder(handle_unknown="ignore"), texts), ("none", "drop", ["member"])],
        remainder=remainder,
        transformer_weights={"n": 2.0},
    )
    parity(make_pipeline(columns, SimpleImputer(), LogisticRegression(max_iter=50)).fit(frame, three(frame)), edges())


def test_a_frame_in_another_order_is_found_by_name():
    frame = sales()
    columns = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), TEXTS))
    model = make_pipeline(columns, LogisticRegression(max_iter=50)).fit(frame, two(frame))
    parity(model, edges(gaps=False)[frame.columns[::-1]].assign(more=1.0))


def test_a_column_that_the_signature_lacks_is_not_lowered():
    frame = sales()
    model = make_pipeline(make_column_transformer((StandardScaler(), NUMBERS)), Ridge()).fit(frame, two(frame))
    with pytest.raises(NotLowered, match="the signature does not have"):
        compiled(model, frame.drop(columns="age"))


def test_columns_in_another_order_than_fitted_are_not_lowered():
    """scikit-learn refuses them for every row."""
    frame = sales()[NUMBERS]
    model = StandardScaler().fit(frame)
    with pytest.raises(NotLowered, match="in another order"):
        compiled(make_pipeline(model, Ridge().fit(frame.to_numpy(), frame["age"])), frame[NUMBERS[::-1]])


def test_a_refusal_names_the_column():
    """Missing and infinite numbers, and unknown categories, are told by the column's name in both paths."""
    frame = sales()
    columns = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(), TEXTS))
    runner = Runner(compiled(make_pipeline(columns, Ridge()).fit(frame, two(frame)), frame))
    good = [10.0, 30, 5.0, True, "a", "x"]
    for place, bad in [(0, None), (0, float("inf")), (2, float("nan")), (4, "SECRET"), (5, None)]:
        row = [*good[:place], bad, *good[place + 1 :]]
        for ask in (runner.row, lambda values: runner.batch([[good_, value] for good_, value in zip(good, values, strict=True)])):
            with pytest.raises(RequestError) as caught:
                ask(row)
            assert caught.value.path == frame.columns[place]
            assert "SECRET" not in str(caught.value)


def test_functions_and_subclasses_of_the_user_are_not_lowered():
    class Mine(StandardScaler):
        pass

    frame = sales()[NUMBERS]
    for step in (FunctionTransformer(abs), Mine()):
        with pytest.raises(NotLowered, match="function of its own|no rule for Mine"):
            compiled(make_pipeline(step, Ridge()).fit(frame, frame["age"]), frame)


def test_chains_of_columns_become_one_step():
    """Imputers, scalers and encoders before a linear model leave no matrix behind."""
    frame = sales(gaps=True)
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["amount"]),
        (StandardScaler(), ["age"]),
        (OneHotEncoder(handle_unknown="ignore"), TEXTS),
    )
    names = [type(node).__name__ for node in parity(make_pipeline(columns, Ridge()).fit(frame, two(frame)), edges()).nodes]
    assert names != ["Scorecard"], "a scaled sign is not folded"
    columns.set_params(pipeline=make_pipeline(StandardScaler(), SimpleImputer(add_indicator=True)))
    names = [type(node).__name__ for node in parity(make_pipeline(columns, Ridge()).fit(frame, two(frame)), edges()).nodes]
    assert names == ["Scorecard"]
