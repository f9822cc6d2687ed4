"""The engine of a lowered model: numpy and plain Python; no scikit-learn, no pandas, no mlflow."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from samovar.errors import ModelError
from samovar.scoring import columns as taken
from samovar.scoring.engine import Scores
from samovar.scoring.engines.outputs import namer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.contracts.spec import Scalar
    from samovar.scoring.plan import ScorerPlan
    from samovar.scoring.program import Answer, Program

_FEW = 8  # classes, up to which columns are faster than rows
_CELLS = 1 << 20  # values of a batch; a program's nodes hold some copies of them at a time
_LEAST = 256  # rows of a batch, however wide
_SMALL = 4  # up to so many rows are faster one by one than through numpy


class Runner:
    """Runs a program.

    Attributes:
        program: what it runs.
        row: scores one row: from values in the order of the columns, null as None, to the label and the probabilities (or None).

    Raises:
        ValueError: the program contradicts itself.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        kernels = [node.open() for node in program.nodes]
        self._batch = [(kernel.batch, node.inputs) for kernel, node in zip(kernels, program.nodes, strict=True)]
        self._singles = [index for index, column in enumerate(program.columns) if column.kind == "float32"]
        for index, node in enumerate(program.nodes, start=len(program.columns)):
            if not all(0 <= number < index for number in node.inputs):
                raise ValueError("a node of the program reads what is not there yet")
        last = len(program.columns) + len(program.nodes)
        if not all(0 <= number < last for number in (program.answer.label, program.answer.probabilities or 0)):
            raise ValueError("the program answers with what is not there")
        self.row = _straight(program, [kernel.row for kernel in kernels])

    def batch(self, columns: Sequence[Any]) -> Scores:
        """Score n rows: columns (lists or arrays of n values) in the program's order."""
        count, step = len(columns[0]), max(_LEAST, _CELLS // max(1, len(columns)))
        if count > step:  # what nodes make on the way must not fill the memory
            return _together([self.batch([part[at : at + step] for part in columns]) for at in range(0, count, step)])
        values = self._run(columns)
        answer = self.program.answer
        shares = None if answer.probabilities is None else values[answer.probabilities]
        labels = _batch_labels(answer, values[answer.label])
        return Scores(labels, shares, builtin=isinstance(labels, list))

    def value(self, columns: Sequence[Any], number: int) -> Any:
        """Return one value of the program for n rows: what a node computes."""
        return self._run(columns)[number]

    def _run(self, columns: Sequence[Any]) -> list[Any]:
        values = list(columns)
        for index in self._singles:
            values[index] = np.asarray(values[index], dtype=np.float32)
        for kernel, inputs in self._batch:
            values.append(kernel(*[values[number] for number in inputs]))
        return values


def _together(scores: Sequence[Scores]) -> Scores:
    labels, shares = [one.labels for one in scores], [one.probabilities for one in scores if one.probabilities is not None]
    joined = np.concatenate(labels) if isinstance(labels[0], np.ndarray) else [*chain.from_iterable(labels)]
    return Scores(joined, np.concatenate(shares) if shares else None, builtin=isinstance(joined, list))


def _straight(program: Program, kernels: Sequence[Callable[..., Any]]) -> Callable[[Sequence[Any]], tuple[Any, Any]]:
    """Return the row path as one function, node after node, without a loop over them.

    Its source is made of numbers and the words below: no text of a plan comes into it.
    """
    columns, answer = range(len(program.columns)), program.answer
    names: dict[str, Any] = {f"k{index}": kernel for index, kernel in enumerate(kernels)}
    names |= {"classes": answer.classes, "value": _value, "single": _single}
    lines = [f"({''.join(f'v{index}, ' for index in columns)}) = values"]
    lines += [f"v{index} = single(v{index})" for index, column in enumerate(program.columns) if column.kind == "float32"]
    for index, node in enumerate(program.nodes):
        lines.append(f"v{len(columns) + index} = k{index}({', '.join(f'v{int(number)}' for number in node.inputs)})")
    shares = None if answer.probabilities is None else f"v{int(answer.probabilities)}"
    lines.append(f"return {_LABELS[answer.rule].format(f'v{int(answer.label)}')}, {shares}")
    exec(compile("def row(values):\n    " + "\n    ".join(lines), "<program>", "exec"), names)  # noqa: S102 - see above
    return names["row"]  # type: ignore[no-any-return]


_LABELS = {
    "argmax": "classes[{0}.index(max({0}))]",
    "sign": "classes[1] if {0}[0] > 0 else classes[0]",
    "value": "value({0})",
}


def _single(value: float | None) -> float | None:
    return None if value is None else float(np.float32(value))


def _value(scores: Sequence[float]) -> Any:
    return scores[0] if len(scores) == 1 else scores


def _batch_labels(answer: Answer, scores: np.ndarray) -> Sequence[Any] | np.ndarray:
    match answer.rule:
        case "argmax":
            return _taken(answer, _greatest(scores))
        case "sign":
            return _taken(answer, (scores[:, 0] > 0).astype(np.intp))
        case "value":
            return scores[:, 0] if scores.shape[1] == 1 else scores


def _taken(answer: Answer, places: np.ndarray) -> list[Any]:
    classes = np.empty(len(answer.classes), dtype=object)
    classes[:] = answer.classes
    return classes[places].tolist()  # type: ignore[no-any-return]


def _greatest(scores: np.ndarray) -> np.ndarray:
    """Return the place of each row's greatest score, the first of equals; column by column where numpy is slow along rows."""
    if not 1 < scores.shape[1] <= _FEW or np.isnan(scores).any():
        return np.asarray(scores.argmax(axis=1))
    first, *others = scores.T
    top, places = first.copy(), np.zeros(len(scores), dtype=np.intp)
    for place, column in enumerate(others, start=1):
        greater = column > top
        places[greater] = place
        np.maximum(top, column, out=top)
    return places


class CompiledEngine:
    """Answers with a lowered model."""

    def __init__(self, plan: ScorerPlan, runner: Runner) -> None:
        self._plan = plan
        self._runner = runner
        self._names = [column.name for column in runner.program.columns]
        self._whole = plan.predict_fn == "predict_proba"
        self._namer = namer(plan)
        self.row = runner.row  # without a call in between
        self.joint = any(node.joint for node in runner.program.nodes)
        """Whether rows are much faster scored together by `rows` than one by one."""

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
        if self._namer is not None:
            shares = scores.probabilities
            return self._namer(_builtin(scores.labels), None if shares is None else shares.tolist())  # type: ignore[no-any-return]
        answers: Any = scores.probabilities if self._whole else scores.labels
        return _builtin(answers)  # type: ignore[no-any-return]

    def score(self, rows: Any, params: Mapping[str, Any] | None = None) -> Scores:  # noqa: ARG002 - scikit-learn takes none
        """See `samovar.scoring.engine.Engine`."""
        return self.columns(taken.named(rows, self._names))

    def columns(self, columns: Sequence[Any]) -> Scores:
        """Score columns in the signature's order."""
        count = len(columns[0])
        if count > _SMALL:
            return self._runner.batch(columns)
        answers = [self._runner.row(values) for values in zip(*columns, strict=True)]
        shares = None if self.classes == () else np.array([row for _, row in answers])
        return Scores([label for label, _ in answers], shares)

    def rows(self, rows: Sequence[Sequence[Any]]) -> list[tuple[Any, Any]]:
        """Score n rows, each as `row` does."""
        if len(rows) <= _SMALL:
            return [*map(self.row, rows)]
        scores = self._runner.batch([*zip(*rows, strict=True)])
        labels: Any = scores.labels.tolist() if isinstance(scores.labels, np.ndarray) else scores.labels
        shares = [None] * len(rows) if scores.probabilities is None else scores.probabilities.tolist()
        return [*zip(labels, shares, strict=True)]


def _builtin(answers: Any) -> Any:
    return answers.tolist() if isinstance(answers, np.ndarray) else answers


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
