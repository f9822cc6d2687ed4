"""How `samovar events` is asked for a time."""

from __future__ import annotations

import datetime as dt

import pytest

from samovar.cli.events import moment
from samovar.errors import UsageError

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", NOW - dt.timedelta(seconds=90)),
        ("2h", NOW - dt.timedelta(hours=2)),
        (" 3d ", NOW - dt.timedelta(days=3)),
        ("2026-11-20", dt.datetime(2026, 11, 20, tzinfo=dt.UTC)),
        ("2026-11-21T13:00:00+02:00", NOW - dt.timedelta(hours=1)),
    ],
)
def test_a_time_or_how_long_ago(text, meant):
    assert moment(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "yesterday", "5", "-3d", "999999999d"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="--since is no time"):
        moment(text, NOW)
