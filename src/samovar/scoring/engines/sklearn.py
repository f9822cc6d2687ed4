"""The engine of scikit-learn models: the fitted object itself, loaded from memory, without mlflow."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import skops.io

from samovar.errors import ModelError, RequestError, SamovarError, Untrusted
from samovar.scoring import contents, trust
from samovar.scoring.engine import Call, Scores
from samovar.scoring.engines import answers, frames
from samovar.scoring.engines.tables import Tables
from samovar.scoring.skopsfile import SkopsFile

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from samovar.contracts.spec import Scalar
    from samovar.scoring.plan import ScorerPlan


_SAME_SCORE = frozenset(
    {
        "BaggingClassifier",
        "CalibratedClassifierCV",
        "DecisionTreeClassifier",
        "FineTunedClassifier",
        "ExtraTreesClassifier",
        "GradientBoostingClassifier",
        "HistGradientBoostingClassifier",
        "LogisticRegression",
        "MLPClassifier",
        "RandomForestClassifier",
    }
)
"""Classifiers, scikit-learn's and ours, whose ``predict`` chooses the class of the largest ``predict_proba``, up to rounding."""

_TIE = 1e-6  # two probabilities this close may be ordered by rounding: then the model's own predict is asked


class SklearnEngine:
    """Answers with one fitted estimator."""

    def __init__(self, plan: ScorerPlan, model: Any) -> None:
        self._plan = plan
        self._model = model
        self._tables = Tables(plan)
        self._classes = class_labels(model)
        self._one_call = bool(self._classes) and _chooses_the_likeliest(model)
        if not callable(getattr(model, plan.predict_fn, None)):
            raise ModelError(f"The model has no method {plan.predict_fn}.", remedy="Log it with a pyfunc_predict_fn that it has.")

    @property
    def model(self) -> Any:
        """The fitted estimator: the builder lowers it."""
        return self._model

    @property
    def classes(self) -> tuple[Scalar, ...]:
        """Class labels in the order of the probability columns."""
        return self._classes

    @property
    def inline(self) -> bool:
        """Never: one call takes about a millisecond."""
        return False

    def columns(self, columns: Sequence[Sequence[Any]]) -> Scores:
        """See `samovar.scoring.engine.Engine`."""
        return self._scores(self._tables.of_columns(columns))

    def predict(self, columns: Sequence[Sequence[Any]], params: Mapping[str, Any] | None = None) -> Sequence[Any]:  # noqa: ARG002
        """See `samovar.scoring.engine.Engine`."""
        return answers.builtin(self._call(self._plan.predict_fn, self._tables.of_columns(columns)))  # type: ignore[no-any-return]

    def score(self, rows: Any, params: Mapping[str, Any] | None = None) -> Scores:  # noqa: ARG002 - scikit-learn takes none
        """See `samovar.scoring.engine.Engine`."""
        return self._scores(self._tables.of_rows(rows, fill=True))

    def _scores(self, data: Any) -> Scores:
        if not self._classes:
            return Scores(np.asarray(self._call("predict", data)))
        shares = np.asarray(self._call("predict_proba", data))
        if self._one_call and _clear(shares):  # asking once halves the time of a forest
            return Scores(self._model.classes_[shares.argmax(axis=1)], shares)
        return Scores(np.asarray(self._call("predict", data)), shares)

    def predict_raw(self, data: Any, params: Mapping[str, Any] | None = None) -> Any:  # noqa: ARG002 - scikit-learn takes none
        """See `samovar.scoring.engine.Engine`."""
        return getattr(self._model, self._plan.predict_fn)(data)

    def invoke(self, call: Call) -> Any:
        """See `samovar.scoring.engine.Engine`."""
        return answers.builtin(self._call(self._plan.predict_fn, frames.read(call, self._plan)))

    def _call(self, method: str, data: Any) -> Any:
        try:
            return getattr(self._model, method)(data)
        except SamovarError:
            raise
        except Exception as error:
            raise _judged(error, data, checked=bool(self._plan.signature or self._plan.tensor)) from error


def _chooses_the_likeliest(model: Any) -> bool:
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    return type(last).__name__ in _SAME_SCORE and type(last).__module__.startswith(("sklearn.", "samovar.encoders."))


def _clear(shares: np.ndarray) -> bool:
    """Tell whether every row has one probability that is clearly the largest."""
    if shares.ndim != 2 or shares.shape[1] < 2:
        return False
    ordered = np.sort(shares, axis=1)
    return bool(np.all(ordered[:, -1] - ordered[:, -2] > _TIE))


def _judged(error: Exception, data: Any, *, checked: bool) -> SamovarError:
    """Say whose fault it is: scikit-learn raises ValueError for input that it does not take.

    A model that raises it for every input does not come this far: it fails at its own input example.
    """
    unchecked = not checked and isinstance(error, TypeError | LookupError | AttributeError)
    if isinstance(error, ValueError) or unchecked:
        # Only a signature's column names are ours to repeat; without one they are the caller's own words.
        named = checked and hasattr(data, "columns")
        if gap := next((str(name) for name in data.columns if data[name].isna().any()), "") if named else "":
            return RequestError("The model takes no missing value here.", path=gap)
        return RequestError("The model does not take these values.", remedy="Compare the request with the model's input example.")
    return ModelError(f"The model failed ({type(error).__name__}).")


def class_labels(model: Any) -> tuple[Scalar, ...]:
    """Return the classes of a classifier that gives probabilities, else ``()``; several outputs count as none."""
    if not callable(getattr(model, "predict_proba", None)):
        return ()
    classes = getattr(model, "classes_", None)
    if not isinstance(classes, np.ndarray) or classes.ndim != 1:
        return ()
    return tuple(classes.tolist())


def open_plan(plan: ScorerPlan) -> SklearnEngine:
    """Load the plan's model; raises Untrusted or ModelError."""
    try:
        data = plan.files[plan.model_file]
    except KeyError:
        raise ModelError("The model's file is missing from its folder.", remedy="Log the model again.") from None
    return SklearnEngine(plan, _load(plan, data))


def _load(plan: ScorerPlan, data: bytes) -> Any:
    file = SkopsFile(data) if plan.serialization == "skops" else None
    strangers = ["pickle"] if file is None else trust.strangers(file)
    if strangers and not plan.trusted:
        raise Untrusted(trust.sentence(strangers), remedy=trust.remedy(plan.model, plan.version))
    try:
        if file is None:
            model = pickle.loads(data)  # noqa: S301 - a person trusted it; cloudpickle's bytes are pickles
        else:
            names = trust.named(file)
            model = skops.io.loads(file.lightened(), trusted=names)
    except Exception as error:
        raise ModelError(
            f"The model does not load ({type(error).__name__}).",
            remedy="Log it with library versions like those installed here.",
        ) from error
    if not plan.trusted:
        contents.check(model)
    contents.calm(model)
    return model
