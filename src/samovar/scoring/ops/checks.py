"""What a model does not take."""

from __future__ import annotations

from math import isfinite, isinf
from typing import TYPE_CHECKING

import numpy as np

from samovar.errors import RequestError
from samovar.scoring.ops.base import Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Sequence


class Finite(Op, frozen=True):
    """Passes a dense value on when its numbers are finite, as scikit-learn's ``check_array`` does.

    Attributes:
        names: of the positions, for the error; empty where a position is no column's own.
        gaps: whether NaN passes.
    """

    names: tuple[str, ...]
    gaps: bool = False

    def open(self) -> Kernel:
        """See `Op.open`."""

        def batch(dense: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore", invalid="ignore"):
                total = dense.sum()  # NaN or infinite if any number is, and rarely else
            if not np.isfinite(total):
                bad = np.isinf(dense) if self.gaps else ~np.isfinite(dense)
                if bad.any():
                    raise self.refusal(bad.any(axis=0).tolist())
            return dense

        def row(dense: list[float]) -> list[float]:
            total = sum(dense)
            if total - total != 0.0:
                bad = [isinf(value) if self.gaps else not isfinite(value) for value in dense]
                if any(bad):
                    raise self.refusal(bad)
            return dense

        return Kernel(batch, row)

    def refusal(self, bad: Sequence[bool]) -> RequestError:
        """Return the error for positions that hold what the model does not take."""
        return not_finite(self.names[index] if index < len(self.names) else "" for index in np.flatnonzero(bad))


def not_finite(names: object) -> RequestError:
    """Return the error for columns of these names."""
    path = next((str(name) for name in names if name), "")  # type: ignore[attr-defined]
    return RequestError("The model takes no missing or infinite value here.", path=path)
