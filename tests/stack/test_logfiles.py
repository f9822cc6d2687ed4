"""Logs are read together and followed, also when a file is set aside."""

from __future__ import annotations

import pytest

from samovar.errors import NotFound
from samovar.stack import logfiles
from samovar.stack.logfiles import LogLine


def test_the_last_lines_of_each_log_come(tmp_path):
    (tmp_path / "a.log").write_text("1\n2\n3\n")
    (tmp_path / "b.log").write_text("4\n")
    found = list(logfiles.read(tmp_path, None, follow=False, lines=2))
    assert found == [LogLine("a", "2"), LogLine("a", "3"), LogLine("b", "4")]


def test_an_unknown_service_is_named_with_the_known_ones(tmp_path):
    (tmp_path / "a.log").write_text("1\n")
    with pytest.raises(NotFound, match="logs of: a"):
        logfiles.read(tmp_path, "nope", follow=False, lines=2)


def test_following_yields_new_whole_lines_also_of_a_new_file(tmp_path):
    """The supervisor renames a large log and begins another under the same name."""
    log = tmp_path / "a.log"
    log.write_text("1\n")
    lines = logfiles.read(tmp_path, "a", follow=True, lines=5)
    assert next(lines).text == "1"
    with log.open("a") as file:
        file.write("2\nhal")
    assert next(lines).text == "2"
    with log.open("a") as file:
        file.write("f\n")
    assert next(lines).text == "half"
    log.rename(tmp_path / "a.log.1")
    log.write_text("3\n")
    assert next(lines).text == "3"
