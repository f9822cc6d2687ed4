"""Checks of what is inside a loaded model: allowed types whose content could still read memory that is not theirs.

scikit-learn walks trees and support vectors with indices that it takes from the file unchecked; a crafted file would crash the
worker or read foreign memory. Checked once after the load: a few milliseconds for a forest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer
from sklearn.tree._tree import Tree

from samovar.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator


def check(model: Any) -> None:
    """Refuse a model whose content does not hold together.

    Raises:
        ModelError: an index points outside of what it indexes, or a part would read files named by a request.
    """
    for part in parts(model):
        sound = True
        try:
            _check_part(part)
        except (IndexError, KeyError, TypeError, ValueError, AttributeError):
            sound = False
        if not sound:
            raise ModelError(f"The model's {type(part).__name__} is damaged.", remedy="Log the model again.")


def calm(model: Any) -> None:
    """Take one core: a pool of threads costs more than a request, and workers share the machine."""
    for part in parts(model):
        if getattr(part, "n_jobs", None) not in (None, 1):
            part.n_jobs = 1
        if hasattr(part, "verbose") and isinstance(part.verbose, int) and part.verbose:
            part.verbose = 0


def parts(model: Any) -> Iterator[Any]:
    """Walk everything inside a model that is not plain data, each object once."""
    seen: set[int] = set()
    pending: list[Any] = [model]
    while pending:
        part = pending.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type | None):
            continue
        seen.add(id(part))
        if isinstance(part, dict):
            pending.extend(part.values())
        elif isinstance(part, list | tuple | set):
            pending.extend(part)
        elif isinstance(part, np.ndarray):
            pending.extend(part.ravel().tolist() if part.dtype == object else ())
        else:
            yield part
            pending.extend(getattr(part, "__dict__", {}).values())


def _check_part(part: Any) -> None:
    match part:
        case TreePredictor():
            _check_boosted(part)
        case CountVectorizer() | HashingVectorizer() if part.input != "content":
            raise ValueError("reads files that a request names")
        case _ if sparse.issparse(part):
            _check_sparse(part)
        case _ if hasattr(part, "_n_support"):
            _check_support(part)
        case _ if hasattr(part, "n_features_in_"):
            for name in ("tree_", "estimators_", "_predictors"):
                _check_owner(part, vars(part).get(name))
        case Tree():
            _check_tree(part)


def _require(condition: Any) -> None:
    if not condition:
        raise ValueError("out of bounds")


def _check_children(left: Any, right: Any, inner: Any, count: int) -> None:
    """Children come after their parents (so that a walk ends) and exist."""
    own = np.arange(count)[inner]
    for child in (left[inner].astype(np.int64), right[inner].astype(np.int64)):
        _require(np.all(child > own) and np.all(child < count))


def _check_tree(tree: Any) -> None:
    inner = tree.children_left != -1
    _require(tree.node_count > 0 and np.array_equal(inner, tree.children_right != -1))
    _check_children(tree.children_left, tree.children_right, inner, tree.node_count)
    _require(np.all((tree.feature[inner] >= 0) & (tree.feature[inner] < tree.n_features)))


def _check_boosted(predictor: Any) -> None:
    nodes = predictor.nodes
    inner = nodes["is_leaf"] == 0
    _require(len(nodes) > 0)
    _check_children(nodes["left"], nodes["right"], inner, len(nodes))
    categorical = nodes["bitset_idx"][inner & (nodes["is_categorical"] != 0)]
    for bitsets in (predictor.raw_left_cat_bitsets, predictor.binned_left_cat_bitsets):
        _require(np.all(categorical < len(bitsets)) and bitsets.shape[1:] == (8,))


def _check_owner(owner: Any, held: Any) -> None:
    """An ensemble hands its columns to its own trees unchecked: none may look beyond them."""
    for part in _flat(held):
        tree = part if isinstance(part, Tree) else getattr(part, "tree_", None)
        if isinstance(tree, Tree):
            _require(tree.n_features <= owner.n_features_in_)
        elif isinstance(part, TreePredictor):
            inner = part.nodes["is_leaf"] == 0
            index = part.nodes["feature_idx"][inner]
            _require(np.all((index >= 0) & (index < owner.n_features_in_)))


def _flat(held: Any) -> Iterator[Any]:
    if isinstance(held, np.ndarray):
        held = held.ravel().tolist()
    if isinstance(held, list | tuple):
        for item in held:
            yield from _flat(item)
    else:
        yield held


def _check_sparse(matrix: Any) -> None:
    if hasattr(matrix, "check_format"):
        matrix.check_format(full_check=True)


def _check_support(model: Any) -> None:
    count = int(np.sum(model.n_support_))
    _require(np.all(model.n_support_ >= 0) and len(model._n_support) >= 2)  # noqa: SLF001 - what libsvm is handed
    _require(model.support_vectors_.shape[0] == count and len(model.support_) == count)
    _require(model._dual_coef_.shape[1] == count)
    for name in ("support_vectors_", "_dual_coef_"):
        if sparse.issparse(value := getattr(model, name)):
            _check_sparse(value)
