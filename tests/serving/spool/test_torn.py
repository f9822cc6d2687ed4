"""Where a file of the prediction log ends, its rows end: cut or spoiled at any byte, all whole turns before it are read."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spooling import ID, files, job, row, spool

from samovar.serving.spool import reader
from samovar.serving.spool.reader import NotASegment, Reading

TURNS = (1, 3, 1, 2)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A file of four turns: its bytes, where the header and each turn ends, and the keys of each turn."""
    folder = tmp_path_factory.mktemp("recorded") / "endpoint"
    opened = spool(folder)
    ends, keys, number = [], [], 0
    for turn, count in enumerate(TURNS):
        for _ in range(count):
            opened.row(ID, "/predict", row(number))
            number += 1
        if turn == 2:
            opened.job(ID, "/batch_predict", *job(4, start=number))
            number += 4
        opened.flush()
        ends.append(files(folder)[0].stat().st_size)
        keys.append(number)
    (path,) = files(folder)
    list(found := Reading(path))
    return path.read_bytes(), ends, keys, found.header


def rows_before(recorded, byte):
    """How many rows are whole in the first ``byte`` bytes."""
    _, ends, keys, _ = recorded
    return max((count for end, count in zip(ends, keys, strict=True) if end <= byte), default=0)


def check(path, recorded, whole):
    """Exactly the rows before ``whole`` are read, and the rest is said to be torn."""
    reading = Reading(path)
    found = [one.key for one in reading]
    assert len(found) == rows_before(recorded, whole)
    assert sorted(found, key=lambda key: int(key[2:])) == [f"t-{number}" for number in range(len(found))]
    assert reading.torn == path.stat().st_size - reading.end
    return reading


def test_cut_at_every_byte(recorded, tmp_path):
    """A process that is killed while it writes leaves the beginning of its last turn."""
    data, ends, _, _ = recorded
    path = tmp_path / "cut.sealed"
    header_end = None
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        try:
            reading = check(path, recorded, length)
        except NotASegment:
            assert header_end is None, "a file with a whole header is readable"
            continue
        header_end = header_end or length
        assert (reading.torn == 0) == (length in (header_end, *ends))
    assert header_end is not None
    assert header_end < ends[0]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tail=st.binary(min_size=1, max_size=64), keep=st.integers(0, 3))
def test_garbage_after_a_turn_ends_the_file(recorded, tmp_path, tail, keep):
    """Blocks of a file system that crashed hold anything, also zeros."""
    data, ends, _, _ = recorded
    path = tmp_path / "tail.sealed"
    path.write_bytes(data[: ends[keep]] + tail)
    reading = check(path, recorded, ends[keep])
    assert (reading.end, reading.torn) == (ends[keep], len(tail))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_spoiled_byte_ends_the_file_before_its_turn(recorded, tmp_path, data):
    """No row is made up: a turn with a wrong byte is not read, nor what follows it."""
    whole, *_ = recorded
    place = data.draw(st.integers(_header_end(recorded), len(whole) - 1))
    changed = bytearray(whole)
    changed[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path / "spoiled.sealed"
    path.write_bytes(changed)
    reading = Reading(path)
    found = [one.key for one in reading]
    assert len(found) == rows_before(recorded, place)
    assert reading.torn > 0


def _header_end(recorded):
    data, *_ = recorded
    return len(reader.MAGIC) + 8 + int.from_bytes(data[8:12], "little")


# --- real deaths -----------------------------------------------------------------------------------------------------------

WRITER = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from spooling import ID, row, spool
opened = spool(Path(sys.argv[1]), segment_bytes=int(sys.argv[3]))
number = 0
while True:
    for _ in range(1 + number % 5):
        opened.row(ID, "/predict", row(number))
        number += 1
    {before}
    opened.flush()
    os.write(1, b"%d\\n" % number)  # the answers leave
"""


def killed(folder, *, segment_bytes=10**6, before="pass", answers=200):
    """Run a writer, kill it when it has answered some, and return how many it had answered."""
    code = WRITER.replace("{before}", before)
    command = [sys.executable, "-c", code, str(folder), str(Path(__file__).parent), str(segment_bytes)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        said = [line for line, _ in zip(process.stdout, range(answers), strict=False)]
        process.kill()
        said += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return int(said[-1])


@pytest.mark.parametrize("segment_bytes", [10**6, 2000], ids=["one file", "many files"])
def test_whatever_was_answered_survives_the_death_of_its_process(tmp_path, segment_bytes):
    """Killed at any moment: every row whose answer left is in the log, once, and nothing else but the turn under way."""
    answered = killed(tmp_path / "endpoint", segment_bytes=segment_bytes)
    complete = reader.complete(tmp_path / "endpoint")
    keys = [found.key for path in complete for found in Reading(path)]
    assert keys == [f"t-{number}" for number in range(len(keys))]
    assert answered <= len(keys) <= answered + 5
    assert not list((tmp_path / "endpoint").glob("*.open"))


def test_the_test_of_death_notices_a_log_that_writes_later(tmp_path):
    """Sabotage: a log that keeps turns in memory loses them, and the test above would see it."""
    buffered = "held = opened.__dict__.setdefault('held', []); opened.flush = lambda: None"
    answered = killed(tmp_path / "endpoint", before=buffered)
    folder = tmp_path / "endpoint"
    assert answered > sum(1 for path in reader.complete(folder) for _ in Reading(path))


def test_a_dead_writers_file_is_completed_by_the_next_reader(tmp_path):
    """The lock of a dead process is free, whatever its number is used for now."""
    killed(tmp_path / "endpoint", answers=5)
    (left,) = (tmp_path / "endpoint").glob("*.open")
    rows = sum(1 for _ in Reading(left))
    os.truncate(left, left.stat().st_size - 3)
    (complete,) = reader.complete(tmp_path / "endpoint")
    reading = Reading(complete)
    assert rows - 5 <= sum(1 for _ in reading) < rows
    assert reading.torn > 0
    assert reader.complete(tmp_path / "endpoint") == [complete]
