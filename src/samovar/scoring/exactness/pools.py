"""Values that a fitted model treats specially: thresholds, categories, words. Rows are drawn from them to find differences."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

_NUMBERS = 2000  # thresholds that are kept; a forest has hundreds of thousands
_TEXTS = 4000
_DEPTH = 12


@dataclass(slots=True)
class Pools:
    """What a model knows.

    Attributes:
        numbers: thresholds, bin edges, categories, each with its neighbours in double and single precision.
        texts: categories.
        words: of a vocabulary.
    """

    numbers: list[float] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def pools(model: Any, generator: random.Random, numbers: Sequence[float] = ()) -> Pools:
    """Collect from a fitted model and whatever it holds; ``numbers`` are thresholds that are known already."""
    found: dict[str, list[Any]] = {"numbers": list(numbers), "texts": [], "words": []}
    _walk(model, found, set(), 0)
    known = np.unique(np.array([value for value in found["numbers"] if value == value], dtype=np.float64))  # noqa: PLR0124 - NaN
    if len(known) > _NUMBERS:
        known = np.array(generator.sample(known.tolist(), _NUMBERS))
    return Pools(_neighbours(known), _sample(found["texts"], _TEXTS, generator), _sample(found["words"], _TEXTS, generator))


def _neighbours(numbers: np.ndarray) -> list[float]:
    """Return the numbers and what is next to them: a comparison that rounds differently shows there."""
    with np.errstate(over="ignore"):
        single = numbers.astype(np.float32)
    up, down = np.float32(np.inf), np.float32(-np.inf)
    beside = [numbers, np.nextafter(numbers, np.inf), np.nextafter(numbers, -np.inf), single]
    beside += [np.nextafter(single, up), np.nextafter(single, down)]
    return [float(value) for value in np.unique(np.concatenate([part.astype(np.float64) for part in beside]))]


def _sample(values: Iterable[Any], limit: int, generator: random.Random) -> list[str]:
    texts = sorted(set(values))
    if len(texts) > limit:
        texts = generator.sample(texts, limit)
    return texts


def _walk(held: Any, found: dict[str, list[Any]], seen: set[int], depth: int) -> None:
    if depth > _DEPTH or id(held) in seen:
        return
    seen.add(id(held))
    if isinstance(held, list | tuple):
        for item in held:
            _walk(item, found, seen, depth + 1)
    elif isinstance(held, np.ndarray) and held.dtype == object:
        for item in held.ravel().tolist():
            _walk(item, found, seen, depth + 1)
    elif type(held).__module__.startswith("sklearn."):
        _collect(held, found)
        for value in getattr(held, "__dict__", {}).values():
            _walk(value, found, seen, depth + 1)


def _collect(part: Any, found: dict[str, list[Any]]) -> None:
    if type(part).__name__ == "Tree":
        found["numbers"] += part.threshold[part.children_left >= 0].tolist()
    elif type(part).__name__ == "TreePredictor":
        found["numbers"] += part.nodes["num_threshold"][part.nodes["is_leaf"] == 0].tolist()
    for categories in getattr(part, "categories_", ()) or ():
        for value in np.asarray(categories).ravel().tolist():
            if isinstance(value, str):
                found["texts"].append(value)
            elif isinstance(value, int | float):
                found["numbers"].append(float(value))
    for edges in getattr(part, "bin_edges_", ()) if hasattr(part, "bin_edges_") else ():
        found["numbers"] += np.asarray(edges, dtype=np.float64).ravel().tolist()
    found["words"] += list(getattr(part, "vocabulary_", None) or ())
