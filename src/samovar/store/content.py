"""The digest of a frame's content: the same rows in the same order give the same digest, whatever library wrote or read them.

It is not the digest of a file or an Arrow buffer, since those change with library versions, chunks and the garbage under nulls.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import polars as pl


def digest(frame: pl.DataFrame) -> str:
    """Return the SHA-256 (lower-case hex) of names, types and values, column by column."""
    total = hashlib.sha256(f"{frame.height}\n".encode())
    for column in frame.get_columns():
        total.update(f"{column.name!r}:{column.dtype}\n".encode())
        for part in _parts(column):
            total.update(f"{len(part)}\n".encode())
            total.update(part)
    return total.hexdigest()


def _parts(column: pl.Series) -> list[Any]:
    nulls = np.packbits(column.is_null().to_numpy())
    if column.dtype.is_float():
        # One zero and one NaN: -0.0 equals 0.0, and the bits of a NaN mean nothing.
        values = column.cast(pl.Float64).fill_null(0.0).to_numpy() + 0.0
        return [nulls, np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes()]
    if column.dtype.is_integer() or column.dtype.is_temporal():
        physical = column.to_physical()
        return [nulls, physical.fill_null(0).to_numpy().astype(f"<{_sign(physical.dtype)}8").tobytes()]
    if column.dtype == pl.Boolean:
        return [nulls, np.packbits(column.fill_null(value=False).to_numpy())]
    return [nulls, *_texts(column)]


def _sign(dtype: pl.DataType) -> str:
    return "u" if dtype.is_unsigned_integer() else "i"


def _texts(column: pl.Series) -> list[Any]:
    """Text as it is; any other type (lists, objects: only in raw rows) by its Python form."""
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        column = column.cast(pl.String).fill_null("")
    else:
        column = pl.Series(column.name, [repr(value) for value in column.to_list()], dtype=pl.String)
    lengths = column.str.len_bytes().to_numpy().astype("<u8").tobytes()
    return [lengths, "".join(column.to_list()).encode()]
