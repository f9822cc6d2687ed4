"""Encoders of categories."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import transform
from samovar.scoring.compiler.values import Dense
from samovar.scoring.ops import OneHot, Ordinal
from samovar.scoring.ops.encode import NOTHING, REFUSE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.contracts.spec import Scalar
    from samovar.scoring.compiler.values import Draft, Frame, Value

_ENCODERS = "sklearn.preprocessing._encoders"
_EXACT = 2**53  # beyond it numpy compares integers with floats inexactly


@transform(f"{_ENCODERS}.OneHotEncoder")
def one_hot(step: Any, value: Value, draft: Draft) -> Value:
    """A position for each category that is not dropped; rare ones may share one."""
    frame = draft.apart(value)
    blocks = [_block(step, index, frame, draft) for index in range(frame.width)]
    if np.dtype(step.dtype) == np.float32:
        blocks = [Dense(block.number, block.width, True, names=block.names, finite=True) for block in blocks]
    elif np.dtype(step.dtype).kind not in "fiub":
        raise NotLowered("OneHotEncoder gives no numbers.")
    joined = draft.join(blocks)
    assert isinstance(joined, Dense)
    return Dense(joined.number, joined.width, joined.single, bool(step.sparse_output), joined.names, True)


def _block(step: Any, index: int, frame: Frame, draft: Draft) -> Dense:
    """Lower one column: where each category goes, and where what is missing and what is unknown go."""
    categories = step.categories_[index].tolist()
    places = _places(step, index, len(categories))
    keys, missing = known(categories, places, frame.kinds[index])
    unknown = _unknown(step, index, places)
    name, width = frame.names[index], int(step._n_features_outs[index])  # noqa: SLF001 - as transform reads it
    node = OneHot(
        (frame.numbers[index],), tuple(keys), tuple(keys.values()), width, unknown if missing is None else missing, unknown, name
    )
    return Dense(draft.add(node), width, names=(name,) * width, finite=True)


def _places(step: Any, index: int, count: int) -> list[int]:
    """Return the position of each category: rare ones grouped, the dropped one NOTHING."""
    places = _grouped(step, index, count)
    dropped = step._drop_idx_after_grouping  # noqa: SLF001 - as transform reads it
    if dropped is None or dropped[index] is None:
        return places
    gap = int(dropped[index])
    return [NOTHING if place == gap else place - (place > gap) for place in places]


def _grouped(step: Any, index: int, count: int) -> list[int]:
    mapping = step._default_to_infrequent_mappings[index] if step._infrequent_enabled else None  # noqa: SLF001 - as transform reads it
    return list(range(count)) if mapping is None else [int(place) for place in mapping]


def _unknown(step: Any, index: int, places: list[int]) -> int:
    if step.handle_unknown == "error":
        return REFUSE
    rare = step._infrequent_indices[index] if step._infrequent_enabled else None  # noqa: SLF001 - as transform reads it
    if rare is None or step.handle_unknown == "ignore":
        return NOTHING
    return places[int(rare[0])]


@transform(f"{_ENCODERS}.OrdinalEncoder")
def ordinal(step: Any, value: Value, draft: Draft) -> Value:
    """The number of each category."""
    frame = draft.apart(value)
    if np.dtype(step.dtype).kind not in "fiu":
        raise NotLowered("OrdinalEncoder gives no numbers.")
    joined = draft.join([_number(step, index, frame, draft) for index in range(frame.width)])
    assert isinstance(joined, Dense)
    return joined


def _number(step: Any, index: int, frame: Frame, draft: Draft) -> Dense:
    categories = step.categories_[index].tolist()
    numbers: list[float] = [float(place) for place in _ordinal_places(step, index, len(categories))]
    if index in step._missing_indices:  # noqa: SLF001 - as transform reads it
        numbers[step._missing_indices[index]] = float(step.encoded_missing_value)  # noqa: SLF001
    keys, missing = known(categories, numbers, frame.kinds[index])
    unknown = float(step.unknown_value) if step.handle_unknown == "use_encoded_value" else None
    name = frame.names[index]
    numbers_given = (*keys.values(), unknown if missing is None else missing, unknown)
    finite = not any(number is not None and math.isnan(number) for number in numbers_given)
    node = Ordinal((frame.numbers[index],), tuple(keys), tuple(keys.values()), numbers_given[-2], unknown, name)
    return Dense(draft.add(node), 1, np.dtype(step.dtype) == np.float32, names=(name,), finite=finite)


def _ordinal_places(step: Any, index: int, count: int) -> list[int]:
    """Return the numbers before the missing category gets its own; rare ones are grouped, the missing one is not."""
    gap = step._missing_indices.get(index)  # noqa: SLF001 - as transform reads it
    places = _grouped(step, index, count)
    if gap is not None and len(places) < count:
        places.insert(gap, gap)
    return places


@transform("sklearn.preprocessing._target_encoder.TargetEncoder")
def target(step: Any, value: Value, draft: Draft) -> Value:
    """What the target was on average for each category; one position for each of more than two classes."""
    frame = draft.apart(value)
    means = np.ravel(step.target_mean_).tolist()
    parts: list[Value] = []
    for index, encoding in enumerate(step.encodings_):
        column, mean = index // len(means), means[index % len(means)]
        keys, missing = known(step.categories_[column].tolist(), encoding.tolist(), frame.kinds[column])
        name = frame.names[column]
        node = Ordinal(
            (frame.numbers[column],), tuple(keys), tuple(keys.values()), mean if missing is None else missing, mean, name
        )
        parts.append(Dense(draft.add(node), 1, names=(name,), finite=True))
    return draft.join(parts)


def known(categories: Sequence[Any], entries: Sequence[Any], kind: str) -> tuple[dict[Scalar, Any], Any]:
    """Return the entry of each category, and that of the missing one, None when no category is missing.

    Raises:
        NotLowered: a category is of a kind that no program holds, or too large to be compared exactly.
    """
    keys: dict[Scalar, Any] = {}
    missing = None
    for category, entry in zip(categories, entries, strict=True):
        if category is None or category != category:  # noqa: PLR0124 - NaN
            missing = entry
        elif not isinstance(category, str | int | float | bool):
            raise NotLowered(f"A category is a {type(category).__name__}.")
        elif not isinstance(category, str) and not math.isinf(category) and abs(category) > _EXACT and kind != "float64":
            raise NotLowered("A category is an integer beyond 2^53.")
        else:
            keys[category] = entry
    if any(isinstance(key, str) for key in keys) != (kind == "str") and keys:
        raise NotLowered("The categories of a column are of another kind than its signature.")
    return keys, missing
