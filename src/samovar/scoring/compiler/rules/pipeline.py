"""Steps that hold steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from samovar.scoring.compiler.registry import lower_predict, lower_transform, predict, transform

if TYPE_CHECKING:
    from samovar.scoring.compiler.values import Draft, Value


@transform("sklearn.pipeline.Pipeline")
def transforms(step: Any, value: Value, draft: Draft) -> Value:
    """Lower a pipeline of transformers."""
    for _, inner in step.steps:
        value = value if inner in (None, "passthrough") else lower_transform(inner, value, draft)
    return value


@predict("sklearn.pipeline.Pipeline")
def predicts(step: Any, value: Value, draft: Draft) -> None:
    """Lower a pipeline that ends with a predictor."""
    for _, inner in step.steps[:-1]:
        value = value if inner in (None, "passthrough") else lower_transform(inner, value, draft)
    lower_predict(step.steps[-1][1], value, draft)
