"""Rules by the exact class they lower."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.values import Draft, Frame, Sparse, Value

Transform = Callable[[Any, Value, Draft], Value]
"""Lowers a fitted transformer: reads a value, returns what ``transform`` makes of it."""

Predict = Callable[[Any, Value, Draft], None]
"""Lowers a fitted predictor: reads a value and sets ``draft.answer``."""

Operator = Callable[[Any, Any], None]
"""Lowers one operator of a graph: reads its inputs and sets its outputs, see `samovar.scoring.compiler.rules.onnx`."""

_TRANSFORMS: dict[str, Transform] = {}
_SPARSE: dict[str, Transform] = {}
_PREDICTS: dict[str, Predict] = {}
_OPERATORS: dict[str, Operator] = {}

_Rule = TypeVar("_Rule", bound=Callable[..., Any])


def transform(*classes: str) -> Callable[[_Rule], _Rule]:
    """Register a rule for transformers, named ``module.Class`` as ``type(x).__module__`` gives it."""
    return _register(_TRANSFORMS, classes)


def sparse_transform(*classes: str) -> Callable[[_Rule], _Rule]:
    """Register a rule for transformers that are given sparse rows, which comes before the other one."""
    return _register(_SPARSE, classes)


def predict(*classes: str) -> Callable[[_Rule], _Rule]:
    """Register a rule for predictors."""
    return _register(_PREDICTS, classes)


def operator(*kinds: str) -> Callable[[_Rule], _Rule]:
    """Register a rule for ONNX's operators, named with their domain as `samovar.scoring.onnxfile.Node.kind` has it."""
    return _register(_OPERATORS, kinds)


def _register(table: dict[str, Any], classes: tuple[str, ...]) -> Callable[[_Rule], _Rule]:
    def keep(rule: _Rule) -> _Rule:
        for name in classes:
            assert name not in table, name
            table[name] = rule
        return rule

    return keep


def lower_transform(step: Any, value: Value, draft: Draft) -> Value:
    """Apply the rule of a transformer; raises NotLowered when there is none."""
    sparse = isinstance(value, Sparse) and _name(step) in _SPARSE
    rule: Transform = _rule(_SPARSE if sparse else _TRANSFORMS, step)
    _fits(step, value)
    return rule(step, value, draft)


def lower_predict(step: Any, value: Value, draft: Draft) -> None:
    """Apply the rule of a predictor; raises NotLowered when there is none."""
    rule: Predict = _rule(_PREDICTS, step)
    _fits(step, value)
    rule(step, value, draft)


def lower_operator(node: Any, flow: Any) -> None:
    """Apply the rule of an operator; raises NotLowered when there is none."""
    if node.kind not in _OPERATORS:
        raise NotLowered(f"There is no rule for the operator {node.kind}.")
    _OPERATORS[node.kind](node, flow)


def _rule(table: dict[str, Any], step: Any) -> Any:
    try:
        return table[_name(step)]
    except KeyError:
        raise NotLowered(f"There is no rule for {type(step).__name__}.") from None


def _fits(step: Any, value: Value) -> None:
    """Refuse what the step itself would refuse for any row: other columns than it was fitted on."""
    if _name(step) in _ROUTERS:
        return
    wanted = getattr(step, "n_features_in_", None)
    if wanted is not None and wanted != value.width:
        raise NotLowered(f"{type(step).__name__} was fitted on {wanted} columns and would be given {value.width}.")
    names = getattr(step, "feature_names_in_", None)
    if names is None or not isinstance(value, Frame) or not all(value.names):
        return
    # LightGBM keeps its columns' names without spaces, and goes by their order.
    given = tuple(name.replace(" ", "_") for name in value.names) if _name(step).startswith("lightgbm.") else value.names
    if tuple(names) != given:
        raise NotLowered(f"{type(step).__name__} was fitted on other column names, or in another order, than the signature's.")


_ROUTERS = frozenset(
    {"sklearn.pipeline.Pipeline", "sklearn.pipeline.FeatureUnion", "sklearn.compose._column_transformer.ColumnTransformer"}
)
"""Steps that hand the columns on to others, by name or whole."""


def _name(step: Any) -> str:
    return f"{type(step).__module__}.{type(step).__qualname__}"
