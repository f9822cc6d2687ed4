"""From a fitted model and its signature to a program."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from samovar.scoring.compiler import rules  # noqa: F401 - registers them
from samovar.scoring.compiler.errors import NotLowered
from samovar.scoring.compiler.fuse import fuse
from samovar.scoring.compiler.registry import lower_predict
from samovar.scoring.compiler.values import Draft
from samovar.scoring.forms.kinds import is_texts
from samovar.scoring.program import Column, ColumnKind, Program

if TYPE_CHECKING:
    from samovar.scoring.plan import SignatureColumn, TensorInput

_KINDS: dict[str, ColumnKind] = {
    "double": "float64",
    "float": "float32",
    "long": "int64",
    "integer": "int32",
    "boolean": "bool",
    "string": "str",
}


def compile_model(model: Any, columns: tuple[Column, ...], *, series: bool = False) -> Program:
    """Lower a fitted model.

    Args:
        model: the estimator.
        columns: what it is given, in order.
        series: whether it is given its one column as such, and not a table.

    Raises:
        NotLowered: a step or a setting has no rule.
    """
    if not columns:
        raise NotLowered("The model was logged without a signature, so the types of its input are not known.")
    draft = Draft(columns)
    lower_predict(model, replace(draft.frame(), series=series), draft)
    if draft.answer is None:
        raise NotLowered(f"The rule of {type(model).__name__} gives no answer.")
    program = Program(columns, tuple(draft.nodes), draft.answer, "float32" if draft.single else "float64")
    return fuse(program)


def columns_of(signature: tuple[SignatureColumn, ...], tensor: TensorInput | None) -> tuple[Column, ...]:
    """Return the inputs that a signature describes; empty when it describes none.

    Raises:
        NotLowered: a column has a type that programs do not take, or the tensor is no matrix of numbers.
    """
    if is_texts(tensor):
        return (Column("", "str"),)
    if tensor is not None:
        if len(tensor.shape) != 2 or tensor.shape[1] < 1 or tensor.dtype not in get_args(ColumnKind):
            raise NotLowered(f"The input is a tensor of {tensor.dtype} with the shape {tensor.shape}.")
        return tuple(Column("", tensor.dtype) for _ in range(tensor.shape[1]))  # type: ignore[arg-type]
    for column in signature:
        if column.type not in _KINDS:
            raise NotLowered(f"The signature has a column of type {column.type}.")
    return tuple(Column(column.name, _KINDS[column.type]) for column in signature)
