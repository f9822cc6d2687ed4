"""The HTTP path against a coverage-guided fuzzer, and the fuzzer against bugs that are put there for it."""

import subprocess
import sys
from pathlib import Path

import pytest

STREAMS = 2000
"""What every run of the tests tries at least; ``python tests/serving/fuzz_http.py -runs=1000000`` tries more."""


def fuzz(folder, *options):
    command = [sys.executable, str(Path(__file__).with_name("fuzz_http.py")), *options]
    command += ["-seed=1", "-max_len=200", "-len_control=0", f"-artifact_prefix={folder}/"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)


def test_nothing_is_found(tmp_path):
    """Whatever is sent, however it is cut, both ways of answering say the same, in whole answers, and leave nothing behind."""
    done = fuzz(tmp_path, f"-runs={STREAMS}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"Done {STREAMS} runs" in done.stderr


@pytest.mark.parametrize("bug", ["a_lost_byte", "a_blind_eye", "a_loose_end", "an_eager_refusal"])
def test_a_planted_bug_is_found(tmp_path, bug):
    """Bodies in two pieces, compression, pipelining, the order of answers."""
    done = fuzz(tmp_path, "--plant", bug, f"-runs={10 * STREAMS}")
    assert done.returncode != 0
    assert "AssertionError" in done.stdout
