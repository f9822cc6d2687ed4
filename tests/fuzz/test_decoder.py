"""What reads requests, under a coverage-guided fuzzer."""

import json

import pytest

EXECUTIONS = 50_000
"""Inputs tried in every run of the suite; none may break the readers."""

NAMES = [f"{kind}{need}" for kind in ("do", "fl", "lo", "in", "bo", "st", "da", "bi") for need in "10"]
ROW = [1.5, None, 2, 0.5, 3, None, -4, 5, True, None, "SECRET", None, "2026-01-01T00:00:00Z", None, "YQ==", None]
RECORD = dict(zip(NAMES, ROW, strict=True))
TYPED = {"id": "SECRET", "n": 3, "x": 0.5, "c": "a", "t": "2026-01-01T00:00:00+02:00", "b": True}


def tensor(name, value):
    datatype = {bool: "BOOL", int: "INT64", float: "FP64", str: "BYTES"}[type(value)]
    return {"name": name, "shape": [1], "datatype": datatype, "data": [value]}


def seeds():
    """A good body for each reader and form."""
    forms = [
        {"dataframe_split": {"columns": NAMES, "data": [ROW]}, "params": {"SECRET": 1}},
        {"dataframe_split": {"columns": NAMES[::-1], "data": [ROW[::-1], ROW[::-1]], "index": [0, 1]}},
        {"dataframe_records": [RECORD, RECORD]},
        {"instances": [RECORD | {"SECRET": [1]}]},
        {"inputs": {name: [value] for name, value in RECORD.items()}},
        {"inputs": RECORD},
    ]
    yield from (b"\x00" + json.dumps(form).encode() for form in forms)
    yield from (b"\x01" + json.dumps({form: [[1, 2.5]]}).encode() for form in ("inputs", "instances"))
    yield from (b"\x02" + json.dumps({form: ["SECRET", None]}).encode() for form in ("inputs", "instances"))
    yield b"\x03" + f"{','.join(NAMES)}\n{','.join('' if value is None else str(value) for value in ROW)}\n".encode()
    yield b"\x04" + json.dumps(TYPED).encode()
    yield b"\x05" + json.dumps([TYPED, TYPED]).encode()
    yield b"\x05" + json.dumps({"rows": [TYPED]}).encode()
    inputs = [tensor(name, value) for name, value in RECORD.items() if value is not None]
    yield b"\x06\n" + json.dumps({"id": "1", "inputs": inputs, "outputs": [{"name": "SECRET"}]}).encode()
    blob = {"name": "do1", "shape": [1], "datatype": "FP64", "parameters": {"binary_data_size": 8}}
    head = json.dumps({"inputs": [blob, *inputs[1:]]}).encode()
    yield b"\x06" + str(len(head)).encode() + b"\n" + head + b"12345678"


FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs", "params", "columns", "data", "index")
TEXTS = ("null", "true", "NaN", "-Infinity", "1e400", "1.0", '"SECRET"', '"2026-01-01"', '"YQ=="', "[]", "{}", "\\ud800")
WORDS = [text.encode() for text in TEXTS] + [f'"{name}":'.encode() for name in (*FORMS, "shape", "datatype", "binary_data_size")]
WORDS += [str(edge).encode() for edge in (2**31, 2**53 + 1, 2**63, 10**30)] + [b"\xff", b"\xef\xbb\xbf", b"\x00", b"\r\n"]


def test_the_readers_hold_against_the_fuzzer(fuzz):
    """At least ``EXECUTIONS`` inputs: none crashes a reader, is read in two ways, is let through wrongly or is repeated."""
    hunt = fuzz("decoder_target.py", seeds(), WORDS, executions=EXECUTIONS)
    assert not hunt.found, hunt.text
    assert hunt.executions >= EXECUTIONS


@pytest.mark.parametrize("bug", ["bounds", "echo", "crash", "null"])
def test_the_fuzzer_finds_a_planted_bug(fuzz, bug):
    """An integer of 64 bits and one, a repeated value, a table without rows, a gap that becomes zero."""
    hunt = fuzz("decoder_target.py", seeds(), WORDS, executions=EXECUTIONS, options=[f"--plant={bug}"])
    assert hunt.found, hunt.text
    assert "Uncaught Python exception" in hunt.text
