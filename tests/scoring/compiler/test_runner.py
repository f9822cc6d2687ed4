"""The runner, and the helper that holds programs to models."""

import msgspec
import pytest
from mixed_rows import NUMBERS, TEXTS, sales, two
from parity import compiled, parity
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from samovar.scoring.engines.compiled import Runner
from samovar.scoring.ops.base import Array

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def fitted():
    frame = sales(20)
    columns = make_column_transformer((StandardScaler(), NUMBERS), (OneHotEncoder(handle_unknown="ignore"), TEXTS))
    model = make_pipeline(columns, LogisticRegression(max_iter=50)).fit(frame, two(frame))
    return model, frame, compiled(model, frame)


def test_a_program_that_answers_a_little_differently_is_told(fitted):
    """The sabotage twin of every parity test: one weight that is off by a millionth."""
    model, frame, program = fitted
    card = program.nodes[0]
    parity(model, frame, program=program)
    off = replace(card, intercept=Array.of(card.intercept.open() + 1e-6))
    with pytest.raises(AssertionError):
        parity(model, frame, program=replace(program, nodes=(off, *program.nodes[1:])))


def test_a_program_that_lets_through_what_the_model_refuses_is_told(fitted):
    model, frame, program = fitted
    card = program.nodes[0]
    lax = replace(card, slopes=tuple(replace(slope, missing=0.0) for slope in card.slopes))
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        parity(model, frame.assign(amount=float("nan")), program=replace(program, nodes=(lax, *program.nodes[1:])))


def test_a_program_that_contradicts_itself_does_not_open(fitted):
    program = fitted[2]
    for broken in (
        replace(program, nodes=(replace(program.nodes[0], inputs=(99,)),)),
        replace(program, answer=replace(program.answer, label=99)),
        replace(program, answer=replace(program.answer, probabilities=99)),
    ):
        with pytest.raises(ValueError, match="not there"):
            Runner(broken)


def test_no_text_of_a_program_is_run(fitted):
    """The row path is written out as Python; names, keys and classes of a plan are data in it, whatever they say."""
    program = fitted[2]
    evil = 'x"); raise SystemExit("ran")\n#'
    card = program.nodes[0]
    slopes = tuple(replace(slope, name=evil) for slope in card.slopes)
    tables = tuple(replace(table, name=evil, keys=(evil, *table.keys[1:])) for table in card.tables)
    renamed = replace(
        program,
        columns=tuple(replace(column, name=evil) for column in program.columns),
        nodes=(replace(card, slopes=slopes, tables=tables), *program.nodes[1:]),
        answer=replace(program.answer, classes=(evil, 1)),
    )
    label, _ = Runner(renamed).row([1.0, 30, 2.0, True, evil, "x"])
    assert label in (evil, 1)
