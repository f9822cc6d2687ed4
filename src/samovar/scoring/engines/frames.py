"""MLflow's input forms into the frame or array that a logged model expects, and the signature's types enforced.

What is accepted follows mlflow's own enforcement (`mlflow.pyfunc`'s ``predict``), with the scoring server's convenience of
integers for doubles, integral floats for integers and ISO 8601 text for times. Casts of that server which change a value without
a word (``1.7`` to the integer 1, ``"false"`` to True, ``"1.5"`` to a number) are refused. Extra columns are ignored. A
column that the signature calls optional may be left out: a scikit-learn model then sees it as missing values.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from samovar.errors import RequestError
from samovar.scoring.engines.casts import cast
from samovar.scoring.forms.kinds import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.engine import Call
    from samovar.scoring.plan import ScorerPlan, SignatureColumn


def read(call: Call, plan: ScorerPlan) -> Any:
    """Return the model's input for a request of MLflow's protocol.

    Raises:
        RequestError: the input is malformed or breaks the signature; the path names the column.
    """
    frame = _FORMS[call.form](call.data, plan)
    if not len(frame):
        raise RequestError("Expected at least one row.", path=call.form)
    if plan.tensor is not None or not isinstance(frame, pd.DataFrame):
        return frame
    if not plan.signature:
        return frame
    return enforce(_filled(frame, plan) if plan.engine == "sklearn" else frame, plan.signature)


def _filled(frame: pd.DataFrame, plan: ScorerPlan) -> pd.DataFrame:
    gaps = [spec for spec in plan.signature if spec.name and not spec.required and spec.name not in frame.columns]
    nulls = {spec.name: pd.Series(None, index=frame.index, dtype="str" if spec.type == "string" else object) for spec in gaps}
    return frame.assign(**nulls) if nulls else frame


def enforce(frame: pd.DataFrame, signature: tuple[SignatureColumn, ...]) -> pd.DataFrame:
    """Return the signature's columns of ``frame``, in its order and types.

    Raises:
        RequestError: a required column is missing, or holds what its type cannot take.
    """
    columns = {label: cast(frame[label], spec) for label, spec in _matched(frame, signature).items()}
    return pd.DataFrame(columns, index=frame.index)


def _matched(frame: pd.DataFrame, signature: tuple[SignatureColumn, ...]) -> dict[Any, SignatureColumn]:
    if not frame.columns.is_unique:
        raise RequestError("A column is given twice.", path="columns")
    if not signature[0].name:  # a signature without names counts by position
        if len(frame.columns) < len(signature):
            raise RequestError(f"Expected {len(signature)} columns.", path="columns")
        return dict(zip(frame.columns, signature, strict=False))
    for spec in signature:
        if spec.required and spec.name not in frame.columns:
            raise RequestError(f"This column is missing; expected {WORDS[spec.type]}.", path=spec.name)
    return {spec.name: spec for spec in signature if spec.name in frame.columns}


# --- the forms -----------------------------------------------------------------------------------------------------------------


def _frame(path: str, plan: ScorerPlan, **parts: Any) -> Any:
    try:
        frame = pd.DataFrame(**parts)
    except (ValueError, TypeError, AssertionError, KeyError, AttributeError):
        raise RequestError("These rows do not make a table: columns and rows differ in length.", path=path) from None
    return frame if plan.tensor is None else _tensor_of(frame, path, plan)


def _split(data: Any, plan: ScorerPlan) -> Any:
    if not isinstance(data, dict) or "data" not in data or data.keys() - {"columns", "index", "data"}:
        raise RequestError('Expected {"columns": [...], "data": [[...], ...]}.', path="dataframe_split")
    return _frame("dataframe_split", plan, data=data["data"], columns=data.get("columns"), index=data.get("index"))


def _records(data: Any, plan: ScorerPlan, path: str = "dataframe_records") -> Any:
    if not isinstance(data, list) or not all(isinstance(record, dict) for record in data):
        raise RequestError("Expected a list of records.", path=path)
    return _frame(path, plan, data=data)


def _csv(text: str, plan: ScorerPlan) -> Any:
    strings: dict[Any, Any] = {spec.name: str for spec in plan.signature if spec.type == "string"}
    try:
        frame = pd.read_csv(io.StringIO(text), dtype=strings)
    except (ValueError, TypeError):  # ParserError and EmptyDataError are ValueErrors
        raise RequestError("Expected a CSV table with a header line.", path="csv") from None
    return frame if plan.tensor is None else _tensor_of(frame, "csv", plan)


def _instances(data: Any, plan: ScorerPlan) -> Any:
    return _rows(data, plan, "instances")


def _inputs(data: Any, plan: ScorerPlan) -> Any:
    if isinstance(data, dict):
        scalars = not any(isinstance(value, list) for value in data.values())
        return _frame("inputs", plan, data=[data] if scalars else data)
    return _rows(data if isinstance(data, list) else [data], plan, "inputs")


def _rows(data: Any, plan: ScorerPlan, path: str) -> Any:
    """Lists: of records, of one column's values, or of rows (an array)."""
    if not isinstance(data, list) or not data:
        raise RequestError("Expected a list of rows.", path=path)
    if isinstance(data[0], dict):
        return _records(data, plan, path)
    if plan.tensor is not None:
        return _tensor(data, path, plan)
    if len(plan.signature) == 1 and not isinstance(data[0], list):
        return _frame(path, plan, data={plan.signature[0].name or 0: data})
    return _frame(path, plan, data=data) if plan.signature else _array(data, path)


def _array(data: Any, path: str) -> np.ndarray:
    try:
        return np.array(data)
    except ValueError:
        raise RequestError("The rows differ in length.", path=path) from None


# --- tensors -------------------------------------------------------------------------------------------------------------------


def _tensor(data: Any, path: str, plan: ScorerPlan) -> np.ndarray:
    """Return ``data`` as the signature's tensor; a shape or type that differs is refused."""
    spec = plan.tensor
    assert spec is not None
    wanted = np.dtype(spec.dtype)
    array = _array(data, path)
    if not _fits(array, wanted):
        raise RequestError(f"Expected an array of {wanted.name}.", path=path)
    try:
        array = array.astype(wanted)
    except (ValueError, TypeError):
        raise RequestError(f"Expected an array of {wanted.name}.", path=path) from None
    if len(array.shape) != len(spec.shape) or any(-1 != want != have for want, have in zip(spec.shape, array.shape, strict=True)):
        raise RequestError(f"Expected an array of shape {spec.shape}, where -1 is any length.", path=path)
    return array


def _fits(array: np.ndarray, wanted: np.dtype[Any]) -> bool:
    match wanted.kind:
        case "f":
            return array.dtype.kind in "iuf" or (array.dtype == object and _nullable_numbers(array))
        case "i" | "u":
            return array.dtype.kind in "iu" or (array.dtype.kind == "f" and bool(np.all(array % 1 == 0)))
        case "O" | "U" | "T":
            return True
        case kind:
            return array.dtype.kind == kind


def _nullable_numbers(array: np.ndarray) -> bool:
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in array.flat)


def _tensor_of(frame: pd.DataFrame, path: str, plan: ScorerPlan) -> np.ndarray:
    spec = plan.tensor
    assert spec is not None
    flat = len(spec.shape) == 1 and len(frame.columns) == 1
    return _tensor(frame.iloc[:, 0].tolist() if flat else frame.to_numpy().tolist(), path, plan)


_FORMS: dict[str, Callable[[Any, ScorerPlan], Any]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
    "csv": _csv,
}
