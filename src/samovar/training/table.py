"""Rows as a model sees them: numpy columns of the contract's features, which become a pandas frame where the model is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from samovar.contracts.spec import ContractSpec, FieldSpec, Scalar

Columns = dict[str, np.ndarray]


def columns(frame: pl.DataFrame, contract: ContractSpec) -> Columns:
    """The contract's features, in order. Missing numbers are NaN, missing text and booleans None."""
    return {field.name: _column(frame[field.name], field) for field in contract.features}


def _column(values: pl.Series, field: FieldSpec) -> np.ndarray:
    if field.dtype == "float" or (field.dtype == "int" and field.may_be_null):
        return values.cast(pl.Float64).to_numpy()
    if field.dtype == "int" or (field.dtype == "bool" and not field.may_be_null):
        return values.to_numpy()
    if field.dtype == "datetime":
        return values.dt.replace_time_zone(None).to_numpy()
    return np.array(values.to_list(), dtype=object)


def classes_of(labels: pl.Series) -> tuple[Scalar, ...]:
    """The classes in scikit-learn's order, as Python values."""
    return tuple(labels.unique().sort().to_list())


def as_labels(labels: pl.Series) -> np.ndarray:
    """Labels as scikit-learn takes them, shape (n,)."""
    return np.asarray(labels.to_list())
