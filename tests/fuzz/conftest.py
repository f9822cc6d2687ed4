"""Coverage-guided fuzzing: a target is a program that reads bytes; libFuzzer, through atheris, looks for those that break it."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Hunt:
    """What a run of the fuzzer found.

    Attributes:
        executions: how many inputs were tried.
        found: whether one broke the target.
        text: what the fuzzer said.
    """

    executions: int
    found: bool
    text: str


@pytest.fixture
def fuzz(tmp_path):
    """Return a function that runs a target of this folder on inputs grown from seeds; the same seed tries the same inputs."""

    def run(target, seeds, words=(), *, executions, options=()):
        corpus = tmp_path / "corpus"
        corpus.mkdir(exist_ok=True)
        for index, seed in enumerate(seeds):
            (corpus / f"{index:03}").write_bytes(seed)
        dictionary = tmp_path / "words"
        dictionary.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words))
        program = [sys.executable, str(Path(__file__).parent / target), *options, str(corpus), f"-dict={dictionary}"]
        limits = [f"-atheris_runs={executions}", f"-runs={executions}", "-seed=1", "-max_len=4096", f"-artifact_prefix={tmp_path}/"]
        done = subprocess.run([*program, *limits], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=110)
        tried = [
            int(count) for count in re.findall(r"^#(\d+)|Done (\d+) in", done.stderr, re.MULTILINE) for count in count if count
        ]
        return Hunt(max(tried, default=0), done.returncode != 0, done.stdout + done.stderr)

    return run
