"""Parts of a request, whatever its columns are made of."""

from __future__ import annotations

import numpy as np

from samovar.serving.jobs import Job
from samovar.serving.traffic import frames
from samovar.serving.traffic.parted import part_of


def test_columns_that_are_arrays_are_parted_into_builtin_values():
    """Large tables of numbers come as arrays, and a part of one travels like any other."""
    job = Job([np.arange(6.0), list("abcdef")], 6, None, None, keys=list(range(6)))
    part = part_of(job, [1, 4], None).job
    assert (part.columns, part.keys, part.places, part.rows) == ([[1.0, 4.0], ["b", "e"]], [1, 4], [1, 4], 2)
    assert all(type(value) is float for value in part.columns[0])
    found = []
    frames.Reader(found.append).feed(bytes(frames.encode(frames.Ask(1, "columns", part.columns, {}))))
    assert found == [frames.Ask(1, "columns", [[1.0, 4.0], ["b", "e"]], {})]


def test_a_stream_is_cut_into_messages_wherever_it_breaks():
    """A message may come in a hundred pieces, or a hundred messages in one."""
    sent = [frames.Ask(number, "columns", [[float(number)]], {}) for number in range(20)]
    stream = b"".join(bytes(frames.encode(message)) for message in sent)
    for size in (1, 7, len(stream)):
        found = []
        reader = frames.Reader(found.append)
        for start in range(0, len(stream), size):
            reader.feed(stream[start : start + size])
        assert found == sent
