"""What is written to the prediction log is there, whole, private and within its limits."""

from __future__ import annotations

import math
import os
import stat
import threading

import msgspec
import numpy as np
import pytest
from spooling import ID, files, job, keys, row, spool, write

from samovar.scoring.engine import Call
from samovar.serving.jobs import Job
from samovar.serving.metrics import Metrics
from samovar.serving.protocols.answers import Predictions, Scored
from samovar.serving.spool import folder as folder_
from samovar.serving.spool import reader
from samovar.serving.spool.privacy import KEY_FILE, Hasher, read_key
from samovar.serving.spool.reader import Reading
from samovar.serving.spool.records import LoggedField
from samovar.serving.turn import NotLogged


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "endpoint"


@pytest.fixture
def metrics():
    return Metrics({"model": "payments"}, [], {"version": "3"}, [])


def counted(metrics, name):
    """Every value of a metric, by its labels."""
    lines = (line.rsplit(" ", 1) for line in metrics.render().decode().splitlines() if line.startswith(name))
    return {labels.split('reason="')[-1].rstrip('"}') if "reason" in labels else "": float(value) for labels, value in lines}


def read(folder):
    return [found for path in files(folder) for found in Reading(path)]


# --- what is written -------------------------------------------------------------------------------------------------------


def test_a_row_comes_back_as_it_was_answered(folder):
    opened = spool(folder)
    opened.row(ID, "/predict", row())
    opened.flush()
    (found,) = read(folder)
    assert (found.request_id, found.route, found.index) == (ID.decode(), "/predict", 0)
    assert (found.key, found.values) == ("t-0", {"amount": 12.5, "channel": "web"})
    assert (found.label, found.probabilities) == (1, [0.2, 0.8])
    assert found.at > 1.7e15


def test_a_file_says_whose_answers_it_holds(folder):
    write(spool(folder), 0, 1)
    (path,) = files(folder)
    header = Reading(path).header
    assert (header.model, header.alias, header.version, header.project) == ("payments", "Production", 3, "fraud")
    assert (header.schema, header.classes, header.role) == ("d" * 64, (0, 1), "champion")
    assert header.segment == path.name.split(".")[0]


def test_many_rows_come_back_one_by_one(folder):
    opened = spool(folder)
    opened.job(ID, "/batch_predict", *job(3))
    opened.row(b"other", "/predict", row(7))
    opened.flush()
    found = read(folder)
    assert [(one.request_id, one.index, one.key) for one in found if one.route == "/batch_predict"] == [
        (ID.decode(), index, f"t-{index}") for index in range(3)
    ]
    assert [one.values["amount"] for one in found if one.request_id == "other"] == [19.5]
    assert all(one.probabilities == [0.2, 0.8] for one in found)


def test_a_turn_is_one_write(folder, monkeypatch):
    """However many requests a turn answers, the log costs one system call."""
    opened = spool(folder)
    write(opened, 0, 1)
    calls = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda *arguments: calls.append(1) or real(*arguments))
    for number in range(64):
        opened.row(ID, "/predict", row(number))
    opened.flush()
    assert len(calls) == 1
    assert len(keys(folder)) == 65


def test_a_turn_without_requests_makes_no_file(folder):
    opened = spool(folder)
    opened.flush()
    opened.tick()
    opened.close()
    assert list(folder.iterdir()) == []


ODD = [
    math.nan,
    math.inf,
    -0.0,
    2**64,
    -(2**63) - 1,
    "\ud800 half",
    "naïve ☕ \0",
    None,
    True,
    b"\x00\xff",
    np.float32(0.5),
    np.int64(7),
    np.array([1, 2]),
    [1, {"a": (2, None)}],
    {1: "int key"},
    object(),
]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_an_odd_value_loses_neither_its_row_nor_its_neighbours(folder, value):
    """Whatever was answered is logged; what cannot be written is written as something near it."""
    opened = spool(folder)
    opened.row(ID, "/predict", row(1))
    opened.row(ID, "/predict", row(2, values=(value, "web"), label=value))
    opened.row(ID, "/predict", row(3))
    opened.flush()
    found = read(folder)
    assert [one.key for one in found] == ["t-1", "t-2", "t-3"]
    if isinstance(value, int | float) and abs(value) < 2**63:
        assert found[1].values["amount"] == value


def test_numpy_columns_are_written_as_they_are(folder):
    """Columns of a batch may be arrays."""
    opened = spool(folder)
    columns = [np.array([1.5, math.nan]), ["web", None]]
    opened.job(ID, "/invocations", Job(columns, 2, None, None), Scored([0, 1], None))
    opened.flush()
    found = read(folder)
    assert found[0].values == {"amount": 1.5, "channel": "web"}
    assert found[1].values == {"amount": None, "channel": None}
    assert [one.label for one in found] == [0, 1]


@pytest.mark.parametrize("shares", [None, np.array([[0.25, 0.75], [0.5, 0.5]]), np.array([[0.25, 0.75], [0.5, 0.5]], np.float32)])
def test_a_large_request_is_encoded_beside_the_loop_and_logged_in_its_turn(folder, shares):
    """Its frame is whole before the loop sees it; what was gathered in the same turn is written with it."""
    opened = spool(folder)
    request = Job([np.array([1.5, -math.inf]), ["web", "shop"]], 2, None, None, keys=["a", "b"])
    encoded = []
    thread = threading.Thread(target=lambda: encoded.append(opened.large(ID, "/invocations", request, Scored([0, 1], shares))))
    thread.start()
    thread.join()
    assert read(folder) == []
    opened.row(ID, "/predict", row(1))
    opened.put(encoded[0])
    opened.flush()
    opened.put(encoded[0])
    opened.put(encoded[0])
    opened.flush()
    found = read(folder)
    assert [one.key for one in found] == ["t-1"] + ["a", "b"] * 3
    assert found[2].values == {"amount": -math.inf, "channel": "shop"}
    assert found[2].probabilities == (None if shares is None else [0.5, 0.5])
    opened.close()
    assert [path.name.split(".")[1] for path in folder.iterdir()] == ["4"]


def test_a_large_request_that_cannot_be_told_is_counted(folder, metrics):
    """As a small one is."""
    opened = spool(folder, metrics=metrics)
    opened.put(opened.large(ID, "/invocations", Job(None, 2, None, None), Scored([0, 1], None)))
    opened.flush()
    assert read(folder) == []
    assert counted(metrics, "samovar_spool_dropped_total")["error"] == 1


def test_a_request_that_is_no_table_is_logged_by_its_answers(folder):
    """MLflow takes tensors and nested data; they have no named values."""
    opened = spool(folder)
    opened.job(ID, "/invocations", Job((), 2, None, None, call=Call("inputs", None)), Predictions([0.5, 0.7]))
    opened.job(ID, "/invocations", Job((), 1, None, None, call=Call("inputs", None)), Predictions({"whole": 1}))
    opened.job(ID, "/invocations", Job((), 2, None, None, call=Call("inputs", None)), Predictions([[0.1, 0.9], ["a", "b"]]))
    opened.flush()
    found = read(folder)
    assert [one.label for one in found] == [0.5, 0.7, None, None, None]
    assert [one.probabilities for one in found[3:]] == [[0.1, 0.9], ["a", "b"]]
    assert all(one.values is None for one in found)


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("width", [1, 3])
def test_rows_of_another_width_are_read_as_far_as_they_are_known(folder, rows, width):
    """A fault of a protocol must not make a file unreadable."""
    opened = spool(folder)
    opened.job(ID, "/predict", Job([[1.5] * rows] * width, rows, None, None), Scored([1] * rows, None))
    opened.row(ID, "/predict", row(1))
    opened.flush()
    assert [found.values["amount"] for found in read(folder)] == [12.5 + 1] * (rows == 2) + [1.5] * rows + [13.5] * (rows == 1)


def test_field_names_may_be_any_text(folder):
    """MLflow takes columns of any name."""
    opened = spool(folder, fields=(LoggedField("a b", "keep"), LoggedField("class", "keep")))
    opened.row(ID, "/predict", row())
    opened.flush()
    assert read(folder)[0].values == {"a b": 12.5, "class": "web"}


def test_answers_that_cannot_be_told_are_counted_and_harm_nobody(folder, metrics):
    """A fault of ours in the log takes no answer away."""

    class Broken(Scored):
        def all_logged(self):
            raise KeyError

    opened = spool(folder, metrics=metrics)
    write(opened, 0, 1)
    opened.job(ID, "/batch_predict", job(2)[0], Broken([], None))
    opened.flush()
    assert keys(folder) == ["t-0"]
    assert counted(metrics, "samovar_spool_dropped_total")["error"] == 1


def test_a_row_that_cannot_be_hashed_is_counted_and_harms_nobody(folder, metrics):
    opened = spool(folder, metrics=metrics, fields=SECRET)
    opened.row(ID, "/predict", row(0))
    opened.row(ID, "/predict", row(1, values=(1.5,)))
    opened.flush()
    assert keys(folder) == ["t-0"]
    assert counted(metrics, "samovar_spool_dropped_total")["error"] == 1


# --- who may read it -------------------------------------------------------------------------------------------------------


def test_files_are_for_their_owner_only(folder):
    before = os.umask(0)
    try:
        write(spool(folder), 0, 1)
        read_key(folder.parent)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (path,) = files(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder.parent / KEY_FILE).stat().st_mode) == 0o600


def test_a_folder_that_others_could_read_is_closed(folder):
    folder.mkdir(mode=0o755, parents=True)
    write(spool(folder), 0, 1)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


SECRET = (LoggedField("amount", "drop"), LoggedField("channel", "hash"))


@pytest.mark.parametrize("rows", [1, 3], ids=["one", "many"])
def test_a_dropped_value_is_nowhere_and_a_hashed_one_only_as_its_hash(folder, rows):
    opened = spool(folder, fields=SECRET, key=LoggedField("transaction_id", "hash"))
    columns = [[987654.25] * rows, ["SECRET-CHANNEL"] * rows]
    answers = Scored([1] * rows, [[0.2, 0.8]] * rows)
    opened.job(ID, "/predict", Job(columns, rows, None, None, keys=["SECRET-KEY"] * rows), answers)
    opened.flush()
    (path,) = files(folder)
    data = path.read_bytes()
    assert b"SECRET" not in data
    assert msgspec.msgpack.encode(987654.25) not in data
    hasher = Hasher(b"k" * 32)
    for found in read(folder):
        assert found.values == {"channel": hasher("SECRET-CHANNEL").hex()}
        assert found.key == hasher("SECRET-KEY").hex()


def test_a_dropped_key_is_nowhere(folder):
    opened = spool(folder, key=LoggedField("transaction_id", "drop"))
    opened.row(ID, "/predict", row())
    opened.job(ID, "/batch_predict", *job(2))
    opened.flush()
    assert [found.key for found in read(folder)] == [None] * 3


def test_the_key_of_hashes_is_made_once_and_kept(tmp_path):
    """Hashes of today can be compared with those of yesterday, and of other endpoints of this machine."""
    first = read_key(tmp_path)
    assert read_key(tmp_path) == first
    assert len(first) == 32
    assert Hasher(first)("x") != Hasher(b"k" * 32)("x")
    assert Hasher(first)(5) == Hasher(first)("5")
    assert Hasher(first)(None) is None


def test_processes_that_start_together_share_one_key(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(lambda _: read_key(tmp_path), range(8)))) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


# --- files -----------------------------------------------------------------------------------------------------------------


def test_a_file_is_closed_at_its_size_and_the_next_begun(folder):
    opened = spool(folder, segment_bytes=2000)
    write(opened, 0, 100)
    opened.close()
    sealed = sorted(folder.glob("*.sealed"))
    assert len(sealed) > 3
    assert sorted(folder.iterdir()) == sealed
    assert keys(folder) == [f"t-{number}" for number in range(100)]
    assert sum(map(folder_.requests_of, sealed)) == 100
    assert all(path.stat().st_size < 2200 for path in sealed)


def test_a_file_is_closed_at_its_age(folder):
    opened = spool(folder, seal_seconds=0.0)
    write(opened, 0, 2)
    assert not list(folder.glob("*.sealed"))
    opened.tick()
    assert [folder_.requests_of(path) for path in folder.glob("*.sealed")] == [2]


def test_the_reader_follows_a_file_that_is_being_written(folder):
    """Rows that were added since are read from where the last reading ended."""
    opened = spool(folder)
    write(opened, 0, 2)
    reading = Reading(files(folder)[0])
    assert [found.key for found in reading] == ["t-0", "t-1"]
    assert list(reading) == []
    write(opened, 2, 2)
    assert [found.key for found in reading] == ["t-2", "t-3"]
    assert reading.torn == 0


def test_a_file_of_a_living_writer_is_left_alone(folder):
    opened = spool(folder)
    write(opened, 0, 1)
    assert reader.complete(folder) == []
    opened.close()
    assert len(reader.complete(folder)) == 1


def test_a_file_that_never_got_its_name_goes_away(folder):
    folder.mkdir()
    for name, age in (("old", 120), ("young", 0)):
        path = folder / f"{name}.new"
        path.touch()
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    reader.complete(folder)
    assert [path.name for path in folder.iterdir()] == ["young.new"]


@pytest.mark.parametrize("data", [b"", b"smvspool", b"x" * 100, b"smvspool" + bytes(100)], ids=["empty", "bare", "else", "zeros"])
def test_a_file_of_another_kind_is_refused(tmp_path, data):
    path = tmp_path / "x.sealed"
    path.write_bytes(data)
    with pytest.raises(reader.NotASegment):
        Reading(path)


# --- limits ----------------------------------------------------------------------------------------------------------------


def test_a_full_folder_answers_and_counts(folder, metrics):
    """By default an endpoint goes on without its log, and says how much is missing."""
    opened = spool(folder, metrics=metrics, total_bytes=3000)
    write(opened, 0, 100)
    kept = len(keys(folder))
    assert 10 < kept < 40
    assert counted(metrics, "samovar_spool_dropped_total") == {"full": 100 - kept, "error": 0, "expired": 0}
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3200


def test_a_full_folder_refuses_when_it_is_told_to(folder):
    opened = spool(folder, total_bytes=500, on_full="refuse")
    with pytest.raises(NotLogged):
        write(opened, 0, 100)
    kept = keys(folder)
    with pytest.raises(NotLogged):
        write(opened, 100, 1)
    assert keys(folder) == kept


def test_room_that_was_made_is_used(folder, metrics):
    """Somebody ships: the log goes on without a restart."""
    opened = spool(folder, metrics=metrics, segment_bytes=500, total_bytes=2000)
    write(opened, 0, 50)
    lost = counted(metrics, "samovar_spool_dropped_total")["full"]
    assert lost
    for path in folder.glob("*.sealed"):
        path.unlink()
    opened.tick()
    write(opened, 50, 1)
    assert keys(folder)[-1] == "t-50"
    assert counted(metrics, "samovar_spool_dropped_total")["full"] == lost


def test_what_nobody_ships_is_deleted_when_it_is_too_old(folder, metrics):
    """It holds people's data; what is lost is counted."""
    opened = spool(folder, metrics=metrics, segment_bytes=500, total_seconds=60)
    write(opened, 0, 20)
    old = sorted(folder.glob("*.sealed"))[:2]
    for path in old:
        os.utime(path, (0, 0))
    lost = sum(map(folder_.requests_of, old))
    opened.tick()
    assert not any(path.exists() for path in old)
    assert list(folder.glob("*.sealed"))
    assert counted(metrics, "samovar_spool_dropped_total")["expired"] == lost > 0


@pytest.mark.parametrize("on_full", ["answer", "refuse"])
def test_a_disk_that_fails_is_like_a_full_one(folder, metrics, monkeypatch, on_full):
    """Half a write is taken back, so that what comes later can be read."""
    opened = spool(folder, metrics=metrics, on_full=on_full)
    write(opened, 0, 2)
    real = os.write
    broken = []

    def half(file, data):
        if broken:
            raise OSError(28, "No space left on device")
        broken.append(1)
        return real(file, bytes(data)[:20])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", half)
        opened.row(ID, "/predict", row(2))
        if on_full == "refuse":
            with pytest.raises(NotLogged):
                opened.flush()
        else:
            opened.flush()
            assert counted(metrics, "samovar_spool_dropped_total")["error"] == 1
    write(opened, 3, 1)
    assert keys(folder) == ["t-0", "t-1", "t-3"]
    reading = Reading(files(folder)[0])
    list(reading)
    assert reading.torn == 0


def test_a_folder_that_is_deleted_is_made_again(folder, metrics):
    opened = spool(folder, metrics=metrics)
    write(opened, 0, 3)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    opened.tick()
    opened.tick()
    write(opened, 3, 1)
    assert keys(folder) == ["t-3"]
    assert counted(metrics, "samovar_spool_dropped_total")["error"] == 3


def test_bytes_are_counted(folder, metrics):
    opened = spool(folder, metrics=metrics, segment_bytes=500)
    write(opened, 0, 20)
    opened.close()
    opened._measure()
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert counted(metrics, "samovar_spool_bytes")[""] == size
    assert counted(metrics, "samovar_spool_written_bytes_total")[""] == size
