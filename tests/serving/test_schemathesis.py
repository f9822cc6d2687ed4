"""An endpoint attacked by its own OpenAPI: what schemathesis makes of it, good and bad, is answered as it says."""

import subprocess
import sys

import pytest

EXAMPLES = 25
"""Random requests for each operation, beside those that cover each constraint of the specification: some 600 in all."""


@pytest.fixture
def attack(tmp_path):
    return lambda port, *options: run(port, tmp_path, options)


def run(port, folder, options):
    """Run schemathesis as its documentation shows it."""
    url = f"http://127.0.0.1:{port}/openapi.json"
    program = [sys.executable, "-m", "schemathesis.cli", "run", url, "--no-color", "--seed", "1", "--max-examples", str(EXAMPLES)]
    phases = ["--phases", "examples,coverage,fuzzing"]
    return subprocess.run([*program, *phases, *options], capture_output=True, text=True, check=False, cwd=folder)


def test_every_operation_answers_as_documented(payments_endpoint, attack):
    """No failure of the server, no status, type or shape that is not documented; what is documented as wrong is refused."""
    done = attack(payments_endpoint.port, "--exclude-checks", "positive_data_acceptance")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " generated, " in done.stdout


def test_typed_rows_that_keep_the_schema_are_answered(payments_endpoint, attack):
    """The contract's JSON Schema says all: whatever keeps it gets an answer."""
    done = attack(payments_endpoint.port, "--include-path-regex", "predict")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_answer_is_found(serve, plans, monkeypatch, attack):
    """The attack finds an endpoint that writes a number as text."""
    from samovar.serving.protocols.verdict import Writer

    right = Writer.one
    wrong = lambda self, *row: (right(self, *row)[0].replace(b'"confidence":', b'"confidence":"high","x":'), None)  # noqa: E731
    monkeypatch.setattr(Writer, "one", wrong)
    done = attack(serve(plans["payments"]).port, "--include-path", "/predict")
    assert done.returncode == 1
    assert "response schema" in done.stdout.lower()
