"""One column into its signature's type, or a refusal that names the column."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from samovar.errors import RequestError
from samovar.scoring.forms.kinds import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.scoring.plan import SignatureColumn

_EXACT = 2.0**53  # beyond it a float no longer says which integer it means


def cast(series: pd.Series[Any], spec: SignatureColumn) -> pd.Series[Any]:
    """Return the column in its signature's type.

    Raises:
        RequestError: a value is of another type, or would change; the path names the column.
    """
    try:
        return _CASTS[spec.type](series, spec)
    except (ValueError, TypeError, OverflowError, binascii.Error):
        raise RequestError(f"Expected {WORDS[spec.type]} in every row.", path=spec.name or "columns") from None


def _numbers(series: pd.Series[Any]) -> pd.Series[Any]:
    """Return the series as int64 or float64; anything else than numbers and nulls is refused."""
    if series.dtype.kind in "iuf":
        return series
    if pd.api.types.infer_dtype(series, skipna=True) not in ("integer", "floating", "mixed-integer-float", "empty"):
        raise ValueError("not numbers")
    return series.astype(np.float64) if series.isna().any() else series.infer_objects()


def _float(series: pd.Series[Any], spec: SignatureColumn) -> pd.Series[Any]:
    return _numbers(series).astype(np.float32 if spec.type == "float" else np.float64)


def _int(series: pd.Series[Any], spec: SignatureColumn) -> pd.Series[Any]:
    numbers = _numbers(series)
    if numbers.dtype.kind == "f" and not ((numbers % 1 == 0) & (numbers.abs() <= _EXACT)).all():
        if not spec.required and numbers.isna().any():
            return numbers  # as mlflow does: an optional integer column with gaps is a float column
        raise ValueError("not integral")
    target = np.iinfo(np.int32 if spec.type == "integer" else np.int64)
    if ((numbers < target.min) | (numbers > target.max)).any():
        raise ValueError("out of range")
    return numbers.astype(target.dtype)


def _bool(series: pd.Series[Any], spec: SignatureColumn) -> pd.Series[Any]:
    kind = pd.api.types.infer_dtype(series, skipna=not spec.required)
    if kind not in ("boolean", "empty"):
        raise ValueError("not booleans")
    return series


def _string(series: pd.Series[Any], spec: SignatureColumn) -> pd.Series[Any]:  # noqa: ARG001 - one shape for all casts
    if pd.api.types.infer_dtype(series, skipna=True) not in ("string", "empty"):
        raise ValueError("not strings")
    return series


def _binary(series: pd.Series[Any], spec: SignatureColumn) -> pd.Series[Any]:
    texts = _string(series, spec)
    if spec.required and texts.isna().any():
        raise ValueError("not bytes")
    return texts.map(lambda text: base64.b64decode(text.replace("\n", ""), validate=True), na_action="ignore")


def _datetime(series: pd.Series[Any], spec: SignatureColumn) -> pd.Series[Any]:  # noqa: ARG001 - one shape for all casts
    if series.dtype.kind != "M" and pd.api.types.infer_dtype(series, skipna=True) not in ("string", "datetime", "date", "empty"):
        raise ValueError("not times")
    times = pd.to_datetime(series, utc=True)
    return times.dt.tz_localize(None).astype("datetime64[ns]")  # MLflow's datetime has no zone; UTC is ours everywhere


_CASTS: dict[str, Callable[[pd.Series[Any], SignatureColumn], pd.Series[Any]]] = {
    "boolean": _bool,
    "integer": _int,
    "long": _int,
    "float": _float,
    "double": _float,
    "string": _string,
    "binary": _binary,
    "datetime": _datetime,
}
