"""What an operation is, and arrays as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

_KINDS = frozenset("biuf")


class Array(msgspec.Struct, frozen=True):
    """A numeric array as bytes: little-endian, C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of(cls, values: Any, dtype: str | None = None) -> Array:
        """Pack an array or nested lists of numbers."""
        array = np.ascontiguousarray(values, dtype=dtype)
        return cls(
            array.dtype.newbyteorder("<").str, array.shape, array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        )

    def open(self) -> np.ndarray:
        """Return the array, read-only, without a copy.

        Raises:
            ValueError: the bytes are no such array.
        """
        dtype = np.dtype(self.dtype)
        if dtype.kind not in _KINDS:
            raise ValueError(f"an array of a plan cannot hold {dtype}")
        return np.frombuffer(self.data, dtype).reshape(self.shape)


@dataclass(frozen=True, slots=True)
class Kernel:
    """An operation made able to run. Both take one argument for each of the operation's ``inputs``.

    A dense value is an array (n, k) of float64 in a batch, and a list of k floats for one row. A column is a list of n values
    (or an array) in a batch, and one value for one row. A sparse value is a `Csr` in a batch, and a pair (positions, numbers)
    of lists for one row.

    Attributes:
        batch: for n rows.
        row: for one row.
    """

    batch: Callable[..., Any]
    row: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Csr:
    """Sparse rows: row i holds ``data[starts[i]:starts[i + 1]]`` at the positions ``indices`` of the same slice.

    Attributes:
        starts: n + 1 offsets.
        indices: positions, in no promised order within a row, none twice.
        data: float64 numbers.
        width: how many positions there are.
    """

    starts: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    width: int


class Op(msgspec.Struct, frozen=True, tag=True):
    """One operation.

    Attributes:
        inputs: numbers of the values it reads.
    """

    inputs: tuple[int, ...]

    @property
    def joint(self) -> bool:
        """Whether a handful of rows takes so much less time together that it is worth gathering them."""
        return False

    def open(self) -> Kernel:
        """Prepare to run; done once per worker, so tables are built here.

        Raises:
            ValueError: the operation's data contradict each other.
        """
        raise NotImplementedError
