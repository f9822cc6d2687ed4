"""Answers by the names of a model's outputs, in the two shapes of mlflow: a record for each row, or a list for each output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from samovar.scoring.plan import ScorerPlan
    from samovar.scoring.program import Answer, Output

    Namer = Callable[[Sequence[Any], Sequence[Any] | None], Any]
    """From n labels and n lists of probabilities, as builtin data, to what MLflow has under ``predictions``."""


def namer(plan: ScorerPlan) -> Namer | None:
    """Return what puts names to a plan's answers; None for a plan whose answers have none."""
    answer = None if plan.program is None else plan.program.answer
    if answer is None or not answer.outputs:
        return None
    return _records(answer) if plan.signature else _lists(answer)


def _records(answer: Answer) -> Namer:
    names = [output.name for output in answer.outputs]
    readers = [_reader(output, answer) for output in answer.outputs]

    def name(labels: Sequence[Any], shares: Sequence[Any] | None) -> list[dict[str, Any]]:
        columns = [read(labels, shares) for read in readers]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]

    return name


def _lists(answer: Answer) -> Namer:
    readers = {output.name: (_reader(output, answer), output.flat or output.holds != "label") for output in answer.outputs}

    def name(labels: Sequence[Any], shares: Sequence[Any] | None) -> dict[str, list[Any]]:
        found = {}
        for key, (read, whole) in readers.items():
            values = read(labels, shares)
            found[key] = values if whole or (values and isinstance(values[0], list)) else [[value] for value in values]
        return found

    return name


def _reader(output: Output, answer: Answer) -> Callable[[Sequence[Any], Sequence[Any] | None], list[Any]]:
    keys = [str(label) for label in answer.classes]
    match output.holds:
        case "label":
            return lambda labels, _shares: list(labels)
        case "shares":
            return lambda _labels, shares: list(shares or ())
        case "map":
            return lambda _labels, shares: [dict(zip(keys, row, strict=True)) for row in shares or ()]
