"""A model's raw predictions as builtin data, in the shape MLflow's scoring server gives them."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd


def builtin(predictions: Any) -> Any:
    """Return what MLflow puts under ``predictions``: arrays as nested lists, frames and series as lists of records."""
    if isinstance(predictions, pd.Series):
        predictions = predictions.to_frame()
    if isinstance(predictions, pd.DataFrame):
        return _plain(predictions.to_dict(orient="records"))
    return _plain(predictions)


def _plain(value: Any) -> Any:  # noqa: PLR0911 - one line for each kind of value
    match value:
        case np.ndarray():
            return _plain(value.tolist()) if value.dtype.kind in "OSMm" else value.tolist()
        case np.datetime64():
            return np.datetime_as_string(value)
        case np.generic():
            return value.item()
        case bytes() | bytearray():
            return base64.encodebytes(value).decode("ascii")
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case _ if hasattr(value, "isoformat"):
            return value.isoformat()
        case _ if hasattr(value, "toarray"):  # scipy.sparse
            return value.toarray().tolist()
        case _ if hasattr(value, "model_dump"):
            return value.model_dump()
        case _:
            return value
