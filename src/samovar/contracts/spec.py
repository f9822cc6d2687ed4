"""Contracts as plain data: what one row and one answer must look like.

Everything downstream (validation, signatures, decoders, drift) works on these specs. They travel as JSON inside the model
version (``data_contract/input_schema.json``), so that an endpoint needs no project code.
"""

from __future__ import annotations

from typing import Literal

import msgspec

Dtype = Literal["int", "float", "str", "bool", "datetime"]
"""Logical types: int64, float64, UTF-8 text, boolean, and UTC timestamps with microseconds."""

Role = Literal["key", "feature", "text"]
"""``key`` names the row (or its entity) and is never shown to the model; ``text`` is a feature of free text."""

LogPolicy = Literal["keep", "hash", "drop"]
"""What the prediction log stores of a field."""

Scalar = int | float | str | bool


class FieldSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One field of a row.

    Attributes:
        name: column name.
        dtype: logical type.
        role: what the field is for.
        nullable: whether null (or a missing value) is allowed.
        required: whether the field may be left out of a request; then it is null.
        ge: smallest allowed value, inclusive (numbers only).
        le: largest allowed value, inclusive (numbers only).
        gt: exclusive lower bound (numbers only).
        lt: exclusive upper bound (numbers only).
        choices: the closed set of allowed values; None leaves the set open.
        max_length: longest allowed text, in characters.
        log: what the prediction log stores of it.
        description: one line for people, shown in schemas.
        entity: whether the key names who or what a row is about, so that many rows share it; a transaction id does not.
        computed: name of the number (in `samovar.texts.NUMBERS`) that the field is; empty for a field that is given. What a
            request or a source says of a computed field is replaced by what the texts say.
        of: the text fields that it is computed from.
    """

    name: str
    dtype: Dtype
    role: Role = "feature"
    nullable: bool = False
    required: bool = True
    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None
    choices: tuple[Scalar, ...] | None = None
    max_length: int | None = None
    log: LogPolicy = "keep"
    description: str = ""
    entity: bool = False
    computed: str = ""
    of: tuple[str, ...] = ()

    @property
    def may_be_null(self) -> bool:
        """Whether a row without a value here is still a good row: it is allowed, or the field may be left out."""
        return self.nullable or not self.required


class ContractSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one row must look like."""

    name: str
    fields: tuple[FieldSpec, ...]
    description: str = ""

    @property
    def key(self) -> FieldSpec | None:
        """The key field, if the contract declares one."""
        return next((field for field in self.fields if field.role == "key"), None)

    @property
    def features(self) -> tuple[FieldSpec, ...]:
        """The fields that the model sees, in order."""
        return tuple(field for field in self.fields if field.role != "key")

    @property
    def computed(self) -> tuple[FieldSpec, ...]:
        """The fields that Samovar computes itself, in order."""
        return tuple(field for field in self.fields if field.computed)

    def field(self, name: str) -> FieldSpec:
        """Return the field called ``name``; raises KeyError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise KeyError(name)


AnswerSource = Literal["echo", "label", "decision", "probability", "confidence", "model_version", "prediction_time"]
"""Where an answer field comes from.

``echo`` copies the request field ``of``; ``label`` is the predicted class; ``decision`` is ``probability >= threshold`` as a
boolean; ``probability`` is the probability of class ``of`` (default: the positive class); ``confidence`` is the probability of
the answer given; ``model_version`` is the version's ``semver`` tag or ``v<number>``; ``prediction_time`` is UTC ISO 8601.
"""


class AnswerField(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One field of an answer."""

    name: str
    dtype: Dtype
    source: AnswerSource
    of: str = ""
    description: str = ""


class ResponseSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What one answer looks like."""

    name: str
    fields: tuple[AnswerField, ...]
    description: str = ""


class ModelContract(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All an endpoint must know of a model version beside the model itself.

    Attributes:
        contract: the row.
        response: the answer of ``/predict``.
        project: name of the project that trained the version, empty for a model logged elsewhere.
        target: name of the label column.
        classes: class labels in the order of the model's probability columns; empty when the model gives none.
        positive: the positive class of a binary model.
        threshold: decision threshold on the positive class's probability.
    """

    contract: ContractSpec
    response: ResponseSpec
    project: str = ""
    target: str = ""
    classes: tuple[Scalar, ...] = ()
    positive: Scalar | None = None
    threshold: float | None = None
