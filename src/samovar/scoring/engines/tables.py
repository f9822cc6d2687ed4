"""Columns of plain values into the frame or matrix that a logged model expects. Arrays are made once; pandas infers nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from samovar.errors import ModelError
from samovar.scoring import columns
from samovar.scoring.forms.kinds import inputs_of, is_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.scoring.plan import ScorerPlan

_NUMBERS: dict[str, Any] = {"double": np.float64, "float": np.float32, "long": np.int64, "integer": np.int32, "boolean": np.bool_}
_FLOATS = frozenset({"double", "float"})


class Tables:
    """Makes the input of one plan's model.

    Args:
        plan: its signature names the columns and their types.
    """

    def __init__(self, plan: ScorerPlan) -> None:
        inputs = inputs_of(plan)
        self.names = tuple(column.name for column in inputs)
        self._types = [column.type for column in inputs]
        self._dtype = np.dtype(plan.tensor.dtype) if plan.tensor is not None else None
        self._texts = is_texts(plan.tensor)
        self._named = bool(self.names) and bool(self.names[0])
        self._index = pd.Index(self.names, dtype="str") if self._named else pd.RangeIndex(len(self.names))
        self._flat = set(self._types) == {"double"}

    def of_columns(self, values: Sequence[Any]) -> Any:
        """Return the model's input for n values of each column, in the signature's order, null as None.

        Raises:
            ModelError: the model has no such columns.
        """
        if not self.names:
            raise ModelError("The model has no signature with columns.", remedy="Log the model with a signature.")
        if self._texts:
            return _objects(values[0])
        if self._dtype is not None:
            return np.ascontiguousarray(np.array(values, dtype=self._dtype).T)
        if self._flat:  # one block, as pandas would hold it
            return pd.DataFrame(np.array(values, dtype=np.float64).T, columns=self._index, copy=False)
        made = {k: _column(column, kind) for k, (column, kind) in enumerate(zip(values, self._types, strict=True))}
        frame = pd.DataFrame(made, copy=False)
        frame.columns = self._index
        return frame

    def of_rows(self, rows: Any, *, fill: bool) -> Any:
        """Return the model's input for rows that keep the contract: a mapping of columns, a polars or a pandas frame.

        Args:
            rows: columns by name.
            fill: whether a column that is not there is null; else the model sees a frame without it.
        """
        present = columns.given(rows)
        if fill or present >= set(self.names):
            return self.of_columns(columns.named(rows, self.names))
        kinds = zip(self.names, self._types, strict=True)
        return pd.DataFrame({name: _column(columns.plain(rows[name]), kind) for name, kind in kinds if name in present})


def _column(values: Any, kind: str) -> Any:
    """Return one column as pandas holds it: gaps make integers floats and booleans objects."""
    match kind:
        case "double" | "float":
            return np.array(values, dtype=_NUMBERS[kind])
        case "long" | "integer":
            return np.array(values, dtype=np.float64 if None in values else _NUMBERS[kind])
        case "boolean":
            return np.array(values, dtype=object if None in values else np.bool_)
        case "string":
            return pd.array(values, dtype="str")
        case "datetime":  # MLflow's has no zone; UTC is ours everywhere
            return np.array([value if value is None else value.replace(tzinfo=None) for value in values], dtype="datetime64[ns]")
        case _:
            return _objects(values)


def _objects(values: Any) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
