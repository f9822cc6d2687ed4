"""One suite for the lake, run on a folder and on an S3 server; and what is true of one of them alone."""

from __future__ import annotations

import datetime as dt
import signal
import socket
import subprocess
import sys
import time

import polars as pl
import pytest

from samovar import settings as settings_module
from samovar.errors import DataError, NotFound, SettingsError, StoreUnavailable
from samovar.store import content, files
from samovar.store.lake import _to_parquet, open_lake


class Place:
    """A place for a lake, and how to look at it and damage it from outside."""

    def __init__(self, url, client=None):
        self.url, self.client = url, client

    def names(self):
        if self.client is None:
            return sorted(str(path.relative_to(self.url)) for path in self.url.rglob("*") if path.is_file())
        found = self.client.list_objects_v2(Bucket="lake", Prefix=f"{self.prefix}/").get("Contents", [])
        return sorted(one["Key"].removeprefix(f"{self.prefix}/") for one in found)

    @property
    def prefix(self):
        return str(self.url).removeprefix("s3://lake/")

    def overwrite(self, name, data):
        if self.client is None:
            (self.url / name).write_bytes(data)
        else:
            self.client.put_object(Bucket="lake", Key=f"{self.prefix}/{name}", Body=data)

    def changed(self, name):
        if self.client is None:
            return (self.url / name).stat().st_mtime_ns
        return self.client.head_object(Bucket="lake", Key=f"{self.prefix}/{name}")["LastModified"]


@pytest.fixture(params=["folder", "s3"])
def place(request, tmp_path, clean):
    if request.param == "folder":
        return Place(tmp_path / "lake")
    client = request.getfixturevalue("s3")
    return Place(f"s3://lake/{tmp_path.name}", client)


@pytest.fixture
def lake(place, tmp_path):
    return open_lake(settings_module.load(home=tmp_path / "state", lake_url=str(place.url), _env_file=None))


ROWS = pl.DataFrame(
    {
        "id": ["a", "é☕", None],
        "amount": [1.5, float("nan"), None],
        "hour": [1, None, 23],
        "flag": [True, None, False],
        "at": [dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None, dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)],
    },
    schema={"id": pl.String, "amount": pl.Float64, "hour": pl.Int64, "flag": pl.Boolean, "at": pl.Datetime("us", "UTC")},
)


# --- the suite -------------------------------------------------------------------------------------------------------------


def test_a_snapshot_comes_back_as_it_was_put(lake):
    snapshot = lake.put("iris", ROWS)
    found = lake.read(snapshot.url)
    assert found.equals(ROWS)
    assert found.schema == ROWS.schema
    assert (snapshot.rows, snapshot.digest) == (3, content.digest(ROWS))


def test_putting_the_same_rows_again_writes_nothing(lake, place):
    first = lake.put("iris", ROWS)
    names = place.names()
    before = place.changed(names[0])
    assert lake.put("iris", ROWS) == first
    assert place.names() == names == [f"iris/{first.digest}.parquet"]
    assert place.changed(names[0]) == before


def test_other_rows_are_another_snapshot(lake, place):
    urls = {lake.put("iris", ROWS.head(count)).url for count in (1, 2, 3)}
    assert len(urls) == len(place.names()) == 3


def test_a_snapshot_that_is_not_there_is_not_found(lake):
    with pytest.raises(NotFound, match="samovar ingest"):
        lake.read(f"{lake.root}/iris/{'0' * 64}.parquet")


def test_a_snapshot_of_another_lake_is_not_found(lake):
    with pytest.raises(NotFound, match="not in this lake"):
        lake.read("s3://elsewhere/iris/0.parquet")


@pytest.mark.parametrize("damage", [b"", b"PAR1 and no more"])
def test_a_damaged_snapshot_is_refused(lake, place, damage):
    snapshot = lake.put("iris", ROWS)
    place.overwrite(place.names()[0], damage)
    with pytest.raises(DataError, match="not what was stored"):
        lake.read(snapshot.url)


def test_a_snapshot_exchanged_for_another_is_refused(lake, place):
    """A valid Parquet file with other rows must not pass for the dataset that a model was trained on."""
    snapshot = lake.put("iris", ROWS)
    frame = ROWS.with_columns(hour=pl.lit(5, dtype=pl.Int64))
    place.overwrite(f"iris/{snapshot.digest}.parquet", _to_parquet(frame))
    with pytest.raises(DataError, match="not what was stored"):
        lake.read(snapshot.url)


def test_a_lake_knows_which_of_its_snapshots_are_gone(lake):
    snapshot = lake.put("iris", ROWS)
    assert not lake.lacks(snapshot.url)
    assert lake.lacks(f"{lake.root}/iris/{'0' * 64}.parquet")
    assert not lake.lacks("s3://elsewhere/iris/0.parquet")


# --- a folder --------------------------------------------------------------------------------------------------------------


def test_the_default_lake_is_inside_the_state_folder(tmp_path, clean):
    lake = open_lake(settings_module.load(home=tmp_path / "state", _env_file=None))
    assert lake.put("iris", ROWS).url.startswith(str(tmp_path / "state" / "lake" / "iris"))


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path, clean):
    (tmp_path / "file").write_text("")
    lake = open_lake(settings_module.load(home=tmp_path, lake_url=str(tmp_path / "file" / "lake"), _env_file=None))
    with pytest.raises(StoreUnavailable, match="SAMOVAR_LAKE_URL"):
        lake.put("iris", ROWS)


@pytest.mark.parametrize("url", ["gs://bucket/x", "s3://", "http://host/x"])
def test_a_url_of_another_kind_is_refused(tmp_path, clean, url):
    with pytest.raises(SettingsError, match="SAMOVAR_LAKE_URL"):
        open_lake(settings_module.load(home=tmp_path, lake_url=url, _env_file=None))


# --- S3 --------------------------------------------------------------------------------------------------------------------


def test_a_wrong_secret_is_one_clear_line_that_does_not_show_it(tmp_path, s3, clean):
    clean.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-hunter2")
    lake = open_lake(settings_module.load(home=tmp_path, lake_url="s3://lake/x", _env_file=None))
    with pytest.raises(StoreUnavailable, match="SAMOVAR_LAKE_URL") as caught:
        lake.put("iris", ROWS)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there_is_one_clear_line_in_seconds(tmp_path, s3, clean):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        clean.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
    lake = open_lake(settings_module.load(home=tmp_path, lake_url="s3://lake/x", _env_file=None))
    began = time.monotonic()
    with pytest.raises(StoreUnavailable, match="SAMOVAR_LAKE_URL") as caught:
        lake.put("iris", ROWS)
    assert time.monotonic() - began < 20
    assert "\n" not in str(caught.value)


# --- digests ---------------------------------------------------------------------------------------------------------------


def test_the_digest_is_of_the_content_not_of_how_it_lies_in_memory():
    chunked = pl.concat([ROWS.head(1), ROWS.tail(2)], rechunk=False)
    sliced = pl.concat([ROWS, ROWS]).slice(3, 3)
    assert {content.digest(chunked), content.digest(sliced)} == {content.digest(ROWS)}


@pytest.mark.parametrize(
    "other",
    [
        ROWS.reverse(),
        ROWS.rename({"id": "key"}),
        ROWS.select(reversed(ROWS.columns)),
        ROWS.with_columns(pl.col("hour").cast(pl.Int32)),
        ROWS.with_columns(pl.col("hour").fill_null(0)),
        ROWS.with_columns(pl.col("amount").fill_nan(None)),
        ROWS.with_columns(pl.col("id").fill_null("")),
        ROWS.with_columns(pl.col("flag").fill_null(value=False)),
        ROWS.with_columns(pl.col("at").dt.offset_by("1us")),
        ROWS.head(2),
        ROWS.clear(),
    ],
)
def test_any_other_content_has_another_digest(other):
    assert content.digest(other) != content.digest(ROWS)


def test_moving_a_character_from_one_cell_to_the_next_changes_the_digest():
    first, second = pl.DataFrame({"x": ["ab", "c"]}), pl.DataFrame({"x": ["a", "bc"]})
    assert content.digest(first) != content.digest(second)


def test_raw_rows_of_any_type_have_a_digest():
    """What a source gives need not fit the contract yet."""
    raw = pl.DataFrame({"list": [[1, 2], None], "day": [dt.date(2026, 1, 1), None], "u": pl.Series([2**63, 1], dtype=pl.UInt64)})
    raw = raw.with_columns(kind=pl.Series(["a", None], dtype=pl.Categorical))
    assert content.digest(raw) == content.digest(raw.clone())
    assert content.digest(raw) != content.digest(raw.with_columns(u=pl.col("u") - 1))


# --- files -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["os.fsync", "pathlib.Path.replace"])
def test_a_kill_while_writing_leaves_the_old_file(tmp_path, point):
    target = tmp_path / "state.json"
    files.atomic_write(target, b"old")
    code = f"""
import os, pathlib, signal, sys
from samovar.store.files import atomic_write
{point} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
atomic_write(pathlib.Path(sys.argv[1]), b"new" * 100_000)
"""
    killed = subprocess.run([sys.executable, "-c", code, str(target)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    files.atomic_write(target, b"new")
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]  # nor does what the kill left behind stay


def test_a_write_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.atomic_write(tmp_path / "folder", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
