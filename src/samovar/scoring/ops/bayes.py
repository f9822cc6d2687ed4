"""Joint log likelihoods of naive Bayes models that are not linear."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from samovar.errors import RequestError
from samovar.scoring.ops.base import Array, Kernel, Op

if TYPE_CHECKING:
    from collections.abc import Sequence


class Gaussians(Op, frozen=True):
    """``prior + (norm - 0.5 * sum((x - mean)^2 / variance))`` for each class, in this order of operations.

    Attributes:
        means: (classes, k).
        variances: (classes, k).
        norms: (classes,).
        priors: (classes,), logarithms.
    """

    means: Array
    variances: Array
    norms: Array
    priors: Array

    def open(self) -> Kernel:
        """See `Op.open`."""
        means, variances, norms, priors = self.means.open(), self.variances.open(), self.norms.open(), self.priors.open()
        classes = list(zip(means.tolist(), variances.tolist(), norms.tolist(), priors.tolist(), strict=True))

        def batch(dense: np.ndarray) -> np.ndarray:
            logs = np.empty((len(dense), len(classes)))
            for index, (mean, variance) in enumerate(zip(means, variances, strict=True)):
                logs[:, index] = priors[index] + (norms[index] - 0.5 * ((dense - mean) ** 2 / variance).sum(axis=1))
            return logs

        def row(dense: Sequence[float]) -> list[float]:
            return [
                prior + (norm - 0.5 * sum([(x - m) * (x - m) / v for x, m, v in zip(dense, mean, variance, strict=True)]))
                for mean, variance, norm, prior in classes
            ]

        return Kernel(batch, row)


class Counted(Op, frozen=True):
    """The sum of what each position's whole number stands for, for each class; a number that no table holds is refused.

    Attributes:
        tables: for each position (numbers, classes).
        constants: (classes,).
        names: of the positions, for the error.
    """

    tables: tuple[Array, ...]
    constants: Array
    names: tuple[str, ...]

    def open(self) -> Kernel:
        """See `Op.open`."""
        tables, constants = [table.open() for table in self.tables], self.constants.open()

        def batch(dense: np.ndarray) -> np.ndarray:
            codes = dense.astype(np.int64)  # cuts towards zero, as the model does
            logs = np.zeros((len(dense), len(constants)))
            for index, table in enumerate(tables):
                if ((codes[:, index] < 0) | (codes[:, index] >= len(table))).any():
                    raise RequestError(f"Expected an integer from 0 to {len(table) - 1}.", path=self.names[index])
                logs += table[codes[:, index]]
            return np.asarray(logs + constants)

        return Kernel(batch, lambda dense: batch(np.array([dense]))[0].tolist())
