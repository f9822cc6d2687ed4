"""The builder's last step: a scikit-learn model's plan becomes a compiled one, if the lowered model agrees with the native one."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from samovar import logs
from samovar.profiles import FILE_NAME
from samovar.scoring import invocations
from samovar.scoring.compiler import NotLowered, compile_model
from samovar.scoring.compiler.fuse import fuse
from samovar.scoring.compiler.lower import columns_of
from samovar.scoring.engines.compiled import CompiledEngine, Runner
from samovar.scoring.exactness import Disagrees, check
from samovar.scoring.exactness.pools import pools
from samovar.scoring.exactness.rows import Drawer, seen
from samovar.scoring.forms.kinds import inputs_of, is_texts, kind_of
from samovar.scoring.ops import Trees

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from samovar.scoring.engines.pyfunc import PyfuncEngine
    from samovar.scoring.engines.sklearn import SklearnEngine
    from samovar.scoring.exactness import Agreement
    from samovar.scoring.plan import ScorerPlan
    from samovar.scoring.program import Column, Program

log = logs.get_logger(__name__)

Native: TypeAlias = "SklearnEngine | PyfuncEngine"

_METHODS = ("predict", "predict_proba")
_EXAMPLES = 64  # rows of the input example that are compared


def lower(plan: ScorerPlan, engine: Native, files: Mapping[str, bytes]) -> tuple[ScorerPlan, CompiledEngine | None]:
    """Return the plan with a program in the place of the model's files, and the engine that runs it.

    A model that is not lowered keeps its plan, with a note that says why, and has no such engine.
    """
    try:
        runner, agreement = lowered(plan, engine, files)
    except (NotLowered, Disagrees) as error:
        return msgspec.structs.replace(plan, notes=f"Not compiled: {error}"), None
    except Exception as error:  # a compiler that fails costs speed, never an endpoint
        log.exception("the compiler failed", model=plan.model, version=plan.version)
        return msgspec.structs.replace(plan, notes=f"Not compiled: the compiler failed ({type(error).__name__})."), None
    program = runner.program
    answered = agreement.rows - agreement.refused
    words = f"Compiled to {len(program.nodes)} operations; gave the model's own answers on {answered} rows."
    done = msgspec.structs.replace(
        plan, engine="compiled", files={}, model_file="", program=program, ties=agreement.ties, notes=words
    )
    return done, CompiledEngine(done, runner)


def lowered(plan: ScorerPlan, engine: Native, files: Mapping[str, bytes]) -> tuple[Runner, Agreement]:
    """Lower a model and compare the two.

    Raises:
        NotLowered: a step has no rule.
        Disagrees: the answers differ.
    """
    if plan.predict_fn not in _METHODS:
        raise NotLowered(f"The model is asked by {plan.predict_fn}.")
    if plan.engine == "pyfunc" and plan.params:
        raise NotLowered("The signature has params, which may change what the model computes.")
    columns = columns_of(plan.signature, plan.tensor)
    program = compile_model(engine.model, columns, series=is_texts(plan.tensor))
    if plan.engine == "pyfunc":
        program = _labels_only(program)
    elif bool(engine.classes) != (program.answer.probabilities is not None):
        raise NotLowered("The model and its rule do not agree on whether it gives probabilities.")
    try:
        runner = Runner(program)
    except ValueError as error:
        raise NotLowered(f"The program cannot run: {error}.") from error
    return runner, check(runner, engine.columns, _drawer(plan, engine, program, files))


def _labels_only(program: Program) -> Program:
    """Return what a pyfunc answers: labels, whatever else the model could give."""
    return fuse(msgspec.structs.replace(program, answer=msgspec.structs.replace(program.answer, probabilities=None)))


def _drawer(plan: ScorerPlan, engine: Native, program: Program, files: Mapping[str, bytes]) -> Drawer:
    # The same rows each time a version is built: seeded by the model itself.
    generator = random.Random(plan.digest)  # noqa: S311 - which rows are tried is no secret
    optional = {index for index, column in enumerate(inputs_of(plan)) if kind_of(column).null}
    return Drawer(
        program.columns,
        example_rows(plan, program.columns),
        pools(engine.model, generator, _thresholds(program)),
        seen(files.get(FILE_NAME)),
        generator,
        frozenset(optional),
    )


def _thresholds(program: Program) -> list[float]:
    """Return what the program's trees compare with, whichever library grew them."""
    found = [node.nodes.threshold.open() for node in program.nodes if isinstance(node, Trees)]
    return [float(value) for array in found for value in array.ravel() if math.isfinite(value)]


def example_rows(plan: ScorerPlan, columns: Sequence[Column]) -> list[list[Any]]:
    """Return rows of the input example in the order of the columns; empty when it has none of that shape."""
    names = [column.name for column in columns]
    if plan.probe:
        call = invocations.parse_json(plan.probe)
        found = _table(call.form, call.data, names)
        if found:
            return found[:_EXAMPLES]
    return [[row.get(name) for name in names] for row in plan.example if row.keys() >= set(names)]


def _table(form: str, data: Any, names: list[str]) -> list[list[Any]]:
    if form == "dataframe_split":
        rows = data.get("data") if [str(name) for name in data.get("columns", ())] == names else None
    elif isinstance(data, list) and data and isinstance(data[0], str) and len(names) == 1:
        rows = [[text] for text in data]
    else:
        rows = data
    good = isinstance(rows, list) and all(isinstance(row, list) and len(row) == len(names) for row in rows)
    return [row for row in rows if not any(isinstance(cell, list | dict) for cell in row)] if good else []  # type: ignore[union-attr]
