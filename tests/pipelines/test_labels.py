"""Labels from files: every form, once, and what is no label is kept with its reason."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest

from samovar import settings as settings_module
from samovar.errors import DataError, NotFound, UsageError
from samovar.pipelines.labels import load
from samovar.store import labels, quarantine
from samovar.store.database import open_database


@pytest.fixture
def database(tmp_path):
    opened = open_database(settings_module.load(home=tmp_path / "home", _env_file=None))
    yield opened
    opened.close()


def stored(database, project="shop"):
    with database.read() as connection:
        return labels.of(connection, project)


def kept(database, batch):
    with database.read() as connection:
        return [(item.row_index, item.field, item.reason) for item in quarantine.list_(connection, "shop", batch)]


ROWS = [
    {"key": "p1", "label": "1", "observed_at": "2026-11-01T12:00:00"},
    {"key": "p2", "label": "0", "observed_at": "2026-11-01"},
    {"key": "p3", "label": "1"},
]


def write(folder, form):
    file = folder / f"labels.{form}"
    if form == "csv":
        pl.DataFrame(ROWS).write_csv(file)
    elif form == "parquet":
        pl.DataFrame(ROWS).write_parquet(file)
    else:
        file.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    return file


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_every_form_is_read_and_once_more_changes_nothing(database, tmp_path, form):
    file = write(tmp_path, form)
    first = load(database, "shop", file)
    assert (first["status"], first["added"], first["rejected"]) == ("done", 3, 0)
    assert stored(database) == {"p1": "1", "p2": "0", "p3": "1"}
    again = load(database, "shop", file)
    assert (again["status"], again["added"], again["known"], again["rejected"]) == ("unchanged", 0, 3, 0)


def test_a_column_without_a_name_is_no_matter(database, tmp_path):
    file = tmp_path / "indexed.csv"
    file.write_text(",key,label\n0,p1,1\n1,p2,0\n")
    assert load(database, "shop", file)["added"] == 2


def test_bad_lines_are_kept_with_their_reason_and_hold_up_no_other(database, tmp_path):
    file = tmp_path / "labels.jsonl"
    bad = ['{"key": "a"}', '{"label": 1}', "no json", '{"key": "b", "label": 1, "observed_at": "yesterday"}', "[1]"]
    file.write_text("\n".join([*bad, '{"key": "c", "label": true}', '{"key": "c", "label": false}']))
    seen = []
    done = load(database, "shop", file, progress=seen.append)
    assert (done["added"], done["rejected"], seen) == (1, 6, [7])
    assert stored(database) == {"c": "True"}
    assert [field for _, field, _ in kept(database, done["batch"])] == ["label", "key", "", "observed_at", "", "label"]
    assert load(database, "shop", file)["rejected"] == 6
    assert len(kept(database, done["batch"])) == 6


def test_the_first_label_stays_and_another_one_is_a_contradiction(database, tmp_path):
    (tmp_path / "one.csv").write_text("key,label\nx,1\n")
    (tmp_path / "two.csv").write_text("key,label,extra\nx,0,\ny,1,z,too long\nz,1,\n")
    load(database, "shop", tmp_path / "one.csv")
    done = load(database, "shop", tmp_path / "two.csv")
    assert (done["added"], done["rejected"]) == (1, 2)
    assert stored(database) == {"x": "1", "z": "1"}


def test_what_cannot_be_read_says_what_would_do(database, tmp_path):
    with pytest.raises(NotFound):
        load(database, "shop", tmp_path / "none.csv")
    (tmp_path / "labels.xlsx").write_text("")
    with pytest.raises(UsageError, match="parquet"):
        load(database, "shop", tmp_path / "labels.xlsx")
    (tmp_path / "labels.csv").write_text("id,label\n1,2\n")
    with pytest.raises(DataError, match="column key"):
        load(database, "shop", tmp_path / "labels.csv")
    (tmp_path / "labels.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="Parquet"):
        load(database, "shop", tmp_path / "labels.parquet")


def test_times_are_utc_unless_they_say_otherwise(database, tmp_path):
    (tmp_path / "labels.csv").write_text("key,label,observed_at\na,1,2026-11-01T12:00:00+02:00\nb,1,2026-11-01T12:00:00\n")
    load(database, "shop", tmp_path / "labels.csv")
    with database.read() as connection:
        seen = dict(connection.exec_driver_sql("select key, observed_at from labels").all())
    assert {key: dt.datetime.fromisoformat(when).hour for key, when in seen.items()} == {"a": 10, "b": 12}
