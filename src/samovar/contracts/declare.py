"""Contracts as users write them: annotated classes that become specs.

::

    class Customer(Contract):
        customer_id: Key[str]
        tenure_months: Annotated[int, Range(ge=0, le=1200)]
        plan: Literal["basic", "plus", "pro"]
        note: Text | None = None
"""

from __future__ import annotations

import datetime as dt
import types
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from samovar.contracts.spec import AnswerField, AnswerSource, ContractSpec, Dtype, FieldSpec, LogPolicy, ResponseSpec
from samovar.errors import ContractError
from samovar.texts import NUMBERS

T = TypeVar("T")

_DTYPES: dict[type, Dtype] = {int: "int", float: "float", str: "str", bool: "bool", dt.datetime: "datetime"}


class KeyMark:
    """Marks the field that names the row; the model never sees it."""


class EntityMark(KeyMark):
    """Marks a key that names who or what the row is about: all rows of one entity go to the same version in a split."""


class TextMark:
    """Marks free text."""


Key = Annotated[T, KeyMark()]
Entity = Annotated[T, EntityMark()]
Text = Annotated[str, TextMark()]


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number; ``ge``/``le`` inclusive, ``gt``/``lt`` exclusive."""

    ge: float | None = None
    le: float | None = None
    gt: float | None = None
    lt: float | None = None


@dataclass(frozen=True, slots=True)
class MaxLength:
    """Longest allowed text, in characters."""

    value: int


@dataclass(frozen=True, slots=True)
class Log:
    """What the prediction log stores of a field."""

    policy: LogPolicy


@dataclass(frozen=True, slots=True)
class Doc:
    """One line for people, shown in schemas."""

    text: str


@dataclass(frozen=True, slots=True)
class Computed:
    """A number that Samovar computes from text fields, by a name of ``samovar.texts.NUMBERS``.

    A request may leave it out, or send it; the computed one counts, and a difference is counted, never refused.
    """

    number: str
    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Where an answer field comes from; see ``AnswerSource``."""

    source: AnswerSource
    of: str = ""


class Contract:
    """Base of row contracts: subclass it and annotate the fields, in the order of the columns."""

    spec: ClassVar[ContractSpec]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Build ``cls.spec`` once; raises ContractError where an annotation says nothing a contract understands."""
        super().__init_subclass__(**kwargs)
        hints = get_type_hints(cls, include_extras=True)
        fields = tuple(_field(cls, name, hint) for name, hint in hints.items() if get_origin(hint) is not ClassVar)
        keys = [field.name for field in fields if field.role == "key"]
        if len(keys) > 1:
            raise ContractError(f"Contract {cls.__name__} has {len(keys)} keys ({', '.join(keys)}).", remedy="Keep one Key field.")
        if not any(field.role != "key" for field in fields):
            raise ContractError(
                f"Contract {cls.__name__} has no features.", remedy="Annotate at least one field that is not the key."
            )
        _check_computed(cls, fields)
        cls.spec = ContractSpec(name=cls.__name__, fields=fields, description=_first_line(cls))


class Response:
    """Base of answer contracts; each field is ``Annotated[type, Answer(...)]``."""

    spec: ClassVar[ResponseSpec]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Build ``cls.spec`` once; raises ContractError for a field without a source."""
        super().__init_subclass__(**kwargs)
        hints = get_type_hints(cls, include_extras=True)
        fields = tuple(_answer(cls, name, hint) for name, hint in hints.items() if get_origin(hint) is not ClassVar)
        cls.spec = ResponseSpec(name=cls.__name__, fields=fields, description=_first_line(cls))


def _first_line(cls: type) -> str:
    return (cls.__doc__ or "").strip().split("\n", 1)[0]


def _unwrap(hint: Any) -> tuple[Any, list[Any], bool]:
    """Split a hint into its bare type, its annotations and whether null is allowed."""
    marks: list[Any] = []
    nullable = False
    while True:
        if get_origin(hint) is Annotated:
            hint, *extra = get_args(hint)
            marks += extra
        elif get_origin(hint) in (Union, types.UnionType) and type(None) in get_args(hint):
            rest = [arm for arm in get_args(hint) if arm is not type(None)]
            if len(rest) != 1:
                return hint, marks, True
            hint, nullable = rest[0], True
        else:
            return hint, marks, nullable


def _dtype(owner: type, name: str, bare: Any) -> tuple[Dtype, tuple[Any, ...] | None]:
    if get_origin(bare) is Literal:
        choices = get_args(bare)
        kinds = {type(choice) for choice in choices}
        if len(kinds) == 1 and (kind := kinds.pop()) in (int, str, bool):
            return _DTYPES[kind], choices
        raise ContractError(f"{owner.__name__}.{name}: a Literal must hold values of one type (int, str or bool).")
    if bare in _DTYPES:
        return _DTYPES[bare], None
    raise ContractError(
        f"{owner.__name__}.{name} has a type that contracts do not know.",
        remedy="Use int, float, str, bool, datetime, Literal[...], Key[...], Text, or one of them `| None`.",
    )


def _field(cls: type, name: str, hint: Any) -> FieldSpec:
    bare, marks, nullable = _unwrap(hint)
    dtype, choices = _dtype(cls, name, bare)
    options = _options(f"{cls.__name__}.{name}", dtype, marks)
    if hasattr(cls, name) and getattr(cls, name) is not None:
        raise ContractError(f"{cls.__name__}.{name}: the only default a contract knows is None (the field may be left out).")
    required = not hasattr(cls, name) and "computed" not in options
    return FieldSpec(name=name, dtype=dtype, nullable=nullable, required=required, choices=choices, **options)


def _options(where: str, dtype: Dtype, marks: list[Any]) -> dict[str, Any]:
    """Return what a field's annotations say of it."""
    options: dict[str, Any] = {}
    for mark in marks:
        match mark:
            case KeyMark():
                options |= {"role": "key", "entity": isinstance(mark, EntityMark)}
            case TextMark():
                options["role"] = "text"
            case Range(ge, le, gt, lt):
                if dtype not in ("int", "float"):
                    raise ContractError(f"{where}: Range goes with int or float.")
                options |= {"ge": ge, "le": le, "gt": gt, "lt": lt}
            case MaxLength(value):
                options["max_length"] = value
            case Log(policy):
                options["log"] = policy
            case Computed(number, of):
                options |= {"computed": number, "of": tuple(of)}
            case Doc(text):
                options["description"] = text
            case _:
                raise ContractError(f"{where}: unknown annotation {type(mark).__name__}.")
    return options


def _check_computed(cls: type, fields: tuple[FieldSpec, ...]) -> None:
    texts = {field.name for field in fields if field.dtype == "str" and field.role != "key"}
    for field in fields:
        if not field.computed:
            continue
        if field.dtype != "float" or any(bound is not None for bound in (field.ge, field.le, field.gt, field.lt)):
            raise ContractError(f"{cls.__name__}.{field.name}: a computed field is a float without a Range.")
        if field.computed not in NUMBERS:
            raise ContractError(
                f"{cls.__name__}.{field.name}: nothing called {field.computed!r} can be computed.",
                remedy=f"Known: {', '.join(NUMBERS)}.",
            )
        if not field.of or not texts.issuperset(field.of):
            raise ContractError(f"{cls.__name__}.{field.name}: Computed needs text fields of this contract to compute it of.")


def _answer(cls: type, name: str, hint: Any) -> AnswerField:
    bare, marks, _ = _unwrap(hint)
    dtype, _choices = _dtype(cls, name, bare)
    source = next((mark for mark in marks if isinstance(mark, Answer)), None)
    if source is None:
        raise ContractError(f"{cls.__name__}.{name} does not say where it comes from.", remedy='Annotate it with Answer("...").')
    text = next((mark.text for mark in marks if isinstance(mark, Doc)), "")
    return AnswerField(name=name, dtype=dtype, source=source.source, of=source.of, description=text)
