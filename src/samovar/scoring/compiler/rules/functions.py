"""FunctionTransformer: nothing, or one function of each number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.registry import transform

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value


@transform("sklearn.preprocessing._function_transformer.FunctionTransformer")
def function(step: Any, value: Value, draft: Draft) -> Value:
    """Identity only: a function of the user's is code, which no program holds."""
    if step.func is not None:
        raise NotLowered("FunctionTransformer calls a function of its own.")
    return draft.checked(value) if step.validate else value
