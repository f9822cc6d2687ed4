"""The engine of a lowered model: numpy and plain Python; no scikit-learn, no pandas, no mlflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import ModelError
from samovar.scoring.engine import Scores

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.contracts.spec import Scalar
    from samovar.scoring.plan import ScorerPlan
    from samovar.scoring.program import Answer, Program

_SMALL = 4  # up to so many rows are faster one by one than through numpy


class Runner:
    """Runs a program.

    Raises:
        ValueError: the program contradicts itself.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        kernels = [node.open() for node in program.nodes]
        self._batch = [(kernel.batch, node.inputs) for kernel, node in zip(kernels, program.nodes, strict=True)]
        self._row = [(kernel.row, node.inputs) for kernel, node in zip(kernels, program.nodes, strict=True)]
        self._singles = [index for index, column in enumerate(program.columns) if column.kind == "float32"]
        self._label = _row_label(program.answer)
        for index, node in enumerate(program.nodes, start=len(program.columns)):
            if not all(0 <= number < index for number in node.inputs):
                raise ValueError("a node of the program reads what is not there yet")

    def row(self, values: Sequence[Any]) -> tuple[Any, list[float] | None]:
        """Score one row: values in the order of the columns, null as None. Returns the label and the probabilities."""
        values = list(values)
        for index in self._singles:
            if values[index] is not None:
                values[index] = float(np.float32(values[index]))
        for kernel, inputs in self._row:
            values.append(kernel(*[values[number] for number in inputs]))
        answer = self.program.answer
        shares = None if answer.probabilities is None else values[answer.probabilities]
        return self._label(values[answer.label]), shares

    def batch(self, columns: Sequence[Any]) -> Scores:
        """Score n rows: columns (lists or arrays of n values) in the program's order."""
        values = list(columns)
        for index in self._singles:
            values[index] = np.asarray(values[index], dtype=np.float32)
        for kernel, inputs in self._batch:
            values.append(kernel(*[values[number] for number in inputs]))
        answer = self.program.answer
        shares = None if answer.probabilities is None else values[answer.probabilities]
        return Scores(_batch_labels(answer, values[answer.label]), shares)


def _row_label(answer: Answer) -> Callable[[Any], Any]:
    classes = answer.classes
    match answer.rule:
        case "argmax":
            return lambda scores: classes[scores.index(max(scores))]
        case "sign":
            return lambda scores: classes[1] if scores[0] > 0 else classes[0]
        case "value":
            return lambda scores: scores[0] if len(scores) == 1 else scores


def _batch_labels(answer: Answer, scores: np.ndarray) -> Sequence[Any] | np.ndarray:
    match answer.rule:
        case "argmax":
            return [answer.classes[index] for index in scores.argmax(axis=1).tolist()]
        case "sign":
            return [answer.classes[index] for index in (scores[:, 0] > 0).tolist()]
        case "value":
            return scores[:, 0] if scores.shape[1] == 1 else scores


class CompiledEngine:
    """Answers with a lowered model."""

    def __init__(self, plan: ScorerPlan, runner: Runner) -> None:
        self._plan = plan
        self._runner = runner
        self._names = [column.name for column in runner.program.columns]
        self._whole = plan.predict_fn == "predict_proba"

    @property
    def classes(self) -> tuple[Scalar, ...]:
        """Class labels in the order of the probability columns; empty when the model gives none."""
        answer = self._runner.program.answer
        return answer.classes if answer.probabilities is not None else ()

    @property
    def inline(self) -> bool:
        """Always: a row takes microseconds."""
        return True

    def predict(self, columns: Sequence[Sequence[Any]], params: Mapping[str, Any] | None = None) -> Sequence[Any]:  # noqa: ARG002
        """See `samovar.scoring.engine.Engine`."""
        scores = self.columns(columns)
        answers: Any = scores.probabilities if self._whole else scores.labels
        return answers.tolist() if isinstance(answers, np.ndarray) else answers  # type: ignore[no-any-return]

    def score(self, rows: Any, params: Mapping[str, Any] | None = None) -> Scores:  # noqa: ARG002 - scikit-learn takes none
        """See `samovar.scoring.engine.Engine`."""
        present = rows.keys() if isinstance(rows, dict) else set(rows.columns)
        count = len(next(iter(rows.values()))) if isinstance(rows, dict) else len(rows)
        return self.columns([_plain(rows[name]) if name in present else [None] * count for name in self._names])

    def columns(self, columns: Sequence[Any]) -> Scores:
        """Score columns in the signature's order."""
        count = len(columns[0])
        if count > _SMALL:
            return self._runner.batch(columns)
        answers = [self._runner.row(values) for values in zip(*columns, strict=True)]
        shares = None if self.classes == () else np.array([row for _, row in answers])
        return Scores([label for label, _ in answers], shares)

    def row(self, values: Sequence[Any]) -> tuple[Any, list[float] | None]:
        """Score one row of the signature's columns: the label and the probabilities."""
        return self._runner.row(values)


def _plain(column: Any) -> Any:
    if isinstance(column, list | tuple):
        return column
    values = column.to_list() if hasattr(column, "to_list") else column.tolist()
    return [None if value is None or value != value else value for value in values]  # noqa: PLR0124 - NaN


def open_plan(plan: ScorerPlan) -> CompiledEngine:
    """Open the plan's program.

    Raises:
        ModelError: the plan holds no program that this Samovar can run.
    """
    if plan.program is None:
        raise ModelError("The plan says compiled and holds no program.", remedy="Build the version again.")
    try:
        return CompiledEngine(plan, Runner(plan.program))
    except ValueError as error:
        raise ModelError(f"The plan's program cannot run: {error}.", remedy="Build the version again.") from error
