"""A program that answers differently from its model is found out, whatever it is that differs."""

from __future__ import annotations

import random

import msgspec
import numpy as np
import pytest

from samovar.errors import RequestError
from samovar.scoring.engine import Scores
from samovar.scoring.engines.compiled import Runner
from samovar.scoring.exactness import Disagrees, check
from samovar.scoring.exactness.compare import Compared, compare
from samovar.scoring.exactness.pools import pools
from samovar.scoring.exactness.rows import Drawer
from samovar.scoring.ops import Gather, Linear, Sigmoid
from samovar.scoring.ops.base import Array
from samovar.scoring.program import Answer, Column, Program

COLUMNS = (Column("a", "float64"), Column("b", "float64"))


def _program(weights=(1.0, -2.0), intercept=0.25):
    nodes = (Gather((0, 1)), Linear((2,), Array.of([list(weights)]), Array.of([intercept])), Sigmoid((3,)))
    return Program(COLUMNS, nodes, Answer(3, "sign", ("no", "yes"), 4))


def _native(columns):
    """The model itself: numpy, and no missing or infinite value is taken."""
    rows = np.array([[np.nan if value is None else value for value in column] for column in columns], dtype=float).T
    if not np.isfinite(rows).all():
        raise RequestError("The model takes no missing value here.", path="a")
    with np.errstate(over="ignore"):
        decision = rows @ np.array([1.0, -2.0]) + 0.25
        share = 1 / (1 + np.exp(-decision))
    return Scores(["yes" if value > 0 else "no" for value in decision], np.stack([1 - share, share], axis=1))


def _taking_all(columns):
    """The same model, of a kind that takes infinite and missing values as zero."""
    return _native([[value if value is not None and np.isfinite(value) else 0.0 for value in column] for column in columns])


def _drawer():
    generator = random.Random(0)
    return Drawer(COLUMNS, [[0.5, 0.1], [2.0, 3.0]], pools(None, generator), {}, generator, frozenset())


class _Careful:
    """Runs the program and refuses as the native model above does."""

    def __init__(self, program):
        self.program = program
        self._runner = Runner(program)
        self.value = self._runner.value

    def row(self, values):
        if not all(value is not None and np.isfinite(value) for value in values):
            raise RequestError("no")
        return self._runner.row(values)

    def batch(self, columns):
        if not all(np.isfinite(column).all() for column in columns):
            raise RequestError("no")
        return self._runner.batch(columns)


def test_the_same_answers_agree():
    found = check(_Careful(_program()), _native, _drawer())
    assert found.rows > 700
    assert found.refused >= 6
    assert (found.ties, found.worst < 1e-12) == (0, True)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(_program(weights=(1.0, -2.0000001)), id="a coefficient"),
        pytest.param(_program(intercept=0.2500001), id="the intercept"),
        pytest.param(msgspec.structs.replace(_program(), answer=Answer(3, "sign", ("yes", "no"), 4)), id="the classes"),
        pytest.param(msgspec.structs.replace(_program(), answer=Answer(4, "argmax", ("no", "yes"))), id="no probabilities"),
    ],
)
def test_a_program_with_one_thing_changed_is_found_out(changed):
    with pytest.raises(Disagrees):
        check(_Careful(changed), _native, _drawer())


def test_answering_what_the_model_refuses_is_found_out():
    with pytest.raises(Disagrees, match="refuses"):
        check(Runner(_program()), _native, _drawer())


def test_refusing_what_the_model_answers_is_found_out():
    with pytest.raises(Disagrees, match="itself answers"):
        check(_Careful(_program()), _taking_all, _drawer())


def test_a_model_that_takes_everything_is_asked_a_few_times_only():
    """A call of a native model costs milliseconds however many rows it has: two hundred versions are built in a minute."""
    calls = []

    def native(columns):
        calls.append(len(columns[0]))
        return _native([[0.0 if not np.isfinite(value) else value for value in column] for column in columns])

    class Taking(_Careful):
        def row(self, values):
            return self._runner.row([value if np.isfinite(value) else 0.0 for value in values])

        def batch(self, columns):
            return self._runner.batch([[value if np.isfinite(value) else 0.0 for value in column] for column in columns])

    found = check(Taking(_program()), native, _drawer())
    assert found.rows == sum(calls) > 700
    assert len(calls) <= 4


def test_rows_with_gaps_are_asked_among_themselves():
    """A gap makes pandas hold a whole column otherwise: rows beside it would not be asked as they are served."""
    drawer = _drawer()
    drawer.optional = frozenset({0, 1})
    mixed = []

    def native(columns):
        gaps = {None in row for row in zip(*columns, strict=True)}
        mixed.append(gaps == {True, False} and len(columns[0]) > 2)
        return _taking_all(columns)

    class Taking(_Careful):
        def row(self, values):
            return self._runner.row([value if value is not None and np.isfinite(value) else 0.0 for value in values])

        def batch(self, columns):
            return self._runner.batch(
                [[value if value is not None and np.isfinite(value) else 0.0 for value in column] for column in columns]
            )

    check(Taking(_program()), native, drawer)
    assert not any(mixed)


def test_a_difference_in_one_of_the_two_ways_to_run_is_found_out():
    """Rows alone and batches run different code: both are asked."""

    class Wrong(_Careful):
        def row(self, values):
            label, shares = super().row(values)
            return label, [share + 1e-6 for share in shares]

    with pytest.raises(Disagrees):
        check(Wrong(_program()), _native, _drawer())


def _scores(labels, shares):
    return Scores(labels, np.array(shares))


def test_labels_may_differ_at_a_tie_and_it_is_counted():
    half = _scores(["a"], [[0.5, 0.5]])
    assert compare(half, _scores(["b"], [[0.5 - 1e-13, 0.5 + 1e-13]]), "float64") == Compared(0, 1, pytest.approx(1e-13, rel=0.01))
    clear = _scores(["a"], [[0.6, 0.4]])
    assert compare(clear, _scores(["b"], [[0.6, 0.4]]), "float64").wrong == 1


def test_single_precision_allows_four_units_in_the_last_place():
    value = np.float32(0.3)
    unit = float(np.spacing(value))
    native = _scores([1], [[float(value)]])
    assert compare(native, _scores([1], [[float(value) + 4 * unit]]), "float32").wrong == 0
    assert compare(native, _scores([1], [[float(value) + 5 * unit]]), "float32").wrong == 1
    assert compare(native, _scores([1], [[float(value) + 4 * unit]]), "float64").wrong == 1


@pytest.mark.parametrize("ours", [np.nan, np.inf, 0.0])
def test_a_number_and_what_is_none_differ(ours):
    assert compare(Scores(np.array([1.0])), Scores(np.array([ours])), "float64").wrong == 1
    assert compare(Scores(np.array([ours])), Scores(np.array([ours])), "float64").wrong == 0


def test_a_label_of_another_type_is_another_label():
    assert compare(Scores([1, 0]), Scores([True, 0]), "float64").wrong == 1


def test_thresholds_and_their_neighbours_are_drawn():
    """A comparison in the wrong precision shows only there."""
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng(1)
    values = rng.normal(size=(200, 2))
    model = DecisionTreeClassifier(random_state=0).fit(values, values[:, 0] > 0.1)
    thresholds = model.tree_.threshold[model.tree_.children_left >= 0]
    drawn = set(pools(model, rng).numbers)
    for threshold in thresholds:
        assert {float(threshold), float(np.nextafter(threshold, np.inf)), float(np.float32(threshold))} <= drawn
