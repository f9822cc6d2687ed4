"""Numbers into bins and powers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import transform
from samovar.scoring.compiler.rules.encode import one_hot
from samovar.scoring.compiler.values import Dense
from samovar.scoring.ops import Bins, Products
from samovar.scoring.ops.base import Array

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value


@transform("sklearn.preprocessing._discretization.KBinsDiscretizer")
def bins(step: Any, value: Value, draft: Draft) -> Value:
    """The bin of each number, perhaps one-hot."""
    dense = draft.checked(value)
    edges = tuple(Array.of(inner[1:-1], "f8") for inner in step.bin_edges_)
    binned = draft.then(Bins((dense.number,), edges), dense, finite=True)
    return binned if step.encode == "ordinal" else one_hot(step._encoder, binned, draft)  # noqa: SLF001 - as transform does


@transform("sklearn.preprocessing._polynomial.PolynomialFeatures")
def polynomial(step: Any, value: Value, draft: Draft) -> Value:
    """Products of columns up to a degree."""
    dense = draft.checked(value)
    if dense.single:
        raise NotLowered("PolynomialFeatures of float32.")
    degrees = step._min_degree, step._max_degree  # noqa: SLF001 - as transform reads them
    terms = step._combinations(dense.width, *degrees, step.interaction_only, step.include_bias)  # noqa: SLF001
    # scikit-learn multiplies from the last factor to the first.
    node = Products((dense.number,), tuple(tuple(int(position) for position in reversed(term)) for term in terms))
    return Dense(draft.add(node), len(node.terms), sparse=dense.sparse)
