"""Whether a program answers what the model answers: batch, rows, labels, probabilities, refusals."""

from __future__ import annotations

import warnings

import msgspec
import numpy as np
import pandas as pd
import pytest

from samovar.errors import RequestError
from samovar.scoring.compiler import compile_model
from samovar.scoring.engines.compiled import Runner
from samovar.scoring.program import Column, Program

_KINDS = {"f8": "float64", "f4": "float32", "i8": "int64", "i4": "int32", "b1": "bool"}


def columns_of(data):
    """Return the input columns of a frame, or of an array."""
    if isinstance(data, np.ndarray):
        return tuple(Column("", _kind(data.dtype)) for _ in range(data.shape[1]))
    return tuple(Column(str(name), _kind(dtype)) for name, dtype in data.dtypes.items())


def _kind(dtype):
    return _KINDS.get(dtype.str[1:], "str") if isinstance(dtype, np.dtype) else "str"


def cells(data):
    """Return the columns of a frame or array as the serving side has them: lists, null as None."""
    frame = pd.DataFrame(data) if isinstance(data, np.ndarray) else data
    return [[None if pd.isna(cell) else cell for cell in frame.iloc[:, index].tolist()] for index in range(frame.shape[1])]


def compiled(model, data):
    """Compile a model for data like these; the program has travelled as a plan does."""
    program = compile_model(model, columns_of(data))
    return msgspec.msgpack.decode(msgspec.msgpack.encode(program), type=Program)


def parity(model, data, *, program=None):
    """Hold a compiled model to the native one on every row, alone and together; return the program.

    Args:
        model: fitted estimator.
        data: a frame, or an array for models fitted on arrays. Its types are those of the signature.
        program: the model's program, when it was compiled before.
    """
    program = program or compiled(model, data)
    runner, columns = Runner(program), cells(data)
    good = []
    for index, values in enumerate(zip(*columns, strict=True)):
        row = (
            data[index : index + 1] if isinstance(data, np.ndarray) else data.iloc[index : index + 1].copy()
        )  # laid out as one that came alone
        native = _native(model, row, program)
        if native is None:
            _refused(runner, values)
            continue
        good.append(index)
        label, shares = runner.row(values)
        _agree(native, [label], None if shares is None else [shares], program, f"row {index}: {values}")
    if good:
        rows = data[good] if isinstance(data, np.ndarray) else data.iloc[good]
        scores = runner.batch([[column[index] for index in good] for column in columns])
        _agree(_native(model, rows, program), scores.labels, scores.probabilities, program, "batch")
    if good and len(good) < len(columns[0]):
        with pytest.raises(RequestError):
            runner.batch(columns)
    return program


def _native(model, data, program):
    """Return labels and probabilities, None when the model refuses the data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            labels = model.predict(data)
            return labels, None if program.answer.probabilities is None else model.predict_proba(data)
        except ValueError:
            return None


def _refused(runner, values):
    texts = [value for value in values if isinstance(value, str) and len(value) > 3]
    for ask in (runner.row, lambda row: runner.batch([[value] for value in row])):
        with pytest.raises(RequestError) as caught:
            ask(values)
        assert not any(text in str(caught.value) for text in texts)


def _agree(native, labels, shares, program, where):
    theirs, expected = native
    if shares is not None:
        close(shares, expected, program, where)
    if program.answer.rule == "value":
        close(np.reshape(np.asarray(labels, dtype=float), np.shape(theirs)), theirs, program, where)
        return
    for index, (mine, other) in enumerate(zip(labels, theirs.tolist(), strict=True)):
        tie = shares is not None and np.ptp(np.sort(np.asarray(shares)[index])[-2:]) <= 1e-9
        assert type(mine) is type(other), where
        assert mine == other or tie, f"{where}: {mine!r} for {other!r}"


def close(mine, theirs, program, where=""):
    """Assert that numbers are equal within the tolerance of the program's precision."""
    mine, theirs = np.asarray(mine, dtype=np.float64), np.asarray(theirs)
    rtol, atol = (4 * 2.0**-23, 4 * 2.0**-23) if program.precision == "float32" else (1e-9, 1e-12)
    np.testing.assert_allclose(mine, theirs.astype(np.float64), rtol=rtol, atol=atol, err_msg=where)
