"""What a contract expects of a value, in words; every refusal of Samovar speaks these and never the value itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from samovar.contracts.spec import FieldSpec

_NOUNS = {
    "int": "an integer",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "datetime": "an ISO 8601 time",
}

_SHOWN_CHOICES = 20


def expected(field: FieldSpec) -> str:
    """Say what ``field`` accepts: ``an integer from 0 to 23``, ``one of "basic", "plus"``, ``a number > 0 or null``."""
    words = f"{_NOUNS[field.dtype]}{_bounds(field)}" if field.choices is None else f"one of {_choices(field.choices)}"
    if field.max_length is not None:
        words += f" of at most {field.max_length} characters"
    return f"{words} or null" if field.may_be_null else words


def _choices(choices: tuple[object, ...]) -> str:
    shown = [f'"{choice}"' if isinstance(choice, str) else str(choice).lower() for choice in choices[:_SHOWN_CHOICES]]
    return ", ".join(shown) + (f" and {len(choices) - _SHOWN_CHOICES} more" if len(choices) > _SHOWN_CHOICES else "")


def _bounds(field: FieldSpec) -> str:
    if field.ge is not None and field.le is not None and field.gt is None and field.lt is None:
        return f" from {field.ge:g} to {field.le:g}"
    signs = ((">=", field.ge), (">", field.gt), ("<=", field.le), ("<", field.lt))
    found = [f"{sign} {bound:g}" for sign, bound in signs if bound is not None]
    return f" {' and '.join(found)}" if found else ""
