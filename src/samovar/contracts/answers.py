"""The answer of a classifier whose project declares none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.contracts.spec import AnswerField, Dtype, ResponseSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from samovar.contracts.spec import ContractSpec, Scalar

_BY_PYTHON: dict[type, Dtype] = {bool: "bool", int: "int", float: "float", str: "str"}


def default_response(contract: ContractSpec, classes: Sequence[Scalar]) -> ResponseSpec:
    """Return the answer that fits the model: the key, the prediction, how sure it is, and which version said it when.

    Args:
        contract: the row; its key, if any, is echoed.
        classes: class labels; with two of them the positive class's probability is answered too. Empty for a model without
            classes, whose prediction is a number.
    """
    taken = {"prediction", "probability", "confidence", "model_version", "prediction_time"}
    key = contract.key
    fields: list[AnswerField] = []
    if key is not None:
        name = f"request_{key.name}" if key.name in taken else key.name
        fields.append(AnswerField(name, key.dtype, "echo", of=key.name, description="The row's key, as it was sent."))
    fields.append(AnswerField("prediction", _label_dtype(classes), "label", description="The model's answer."))
    if len(classes) == 2:
        fields.append(AnswerField("probability", "float", "probability", description="Probability of the positive class."))
    if classes:
        fields.append(AnswerField("confidence", "float", "confidence", description="Probability of the answer given."))
    fields.append(AnswerField("model_version", "str", "model_version", description="The version that answered."))
    fields.append(AnswerField("prediction_time", "datetime", "prediction_time", description="When it answered, in UTC."))
    return ResponseSpec(name=f"{contract.name}Answer", fields=tuple(fields))


def _label_dtype(classes: Sequence[Scalar]) -> Dtype:
    return _BY_PYTHON.get(type(classes[0]), "str") if classes else "float"
