"""The side that asks, without anybody who answers: whoever waits is told, once, whatever happens to the others."""

from __future__ import annotations

from types import SimpleNamespace

from samovar.serving.protocols.answers import Predictions
from samovar.serving.traffic import frames
from samovar.serving.traffic.host import Guest
from samovar.serving.traffic.line import Line, _Wire


class Loop:
    """A clock that stands where it is put."""

    def __init__(self):
        self.now = 0.0

    def time(self):
        return self.now

    def call_at(self, *_):
        return SimpleNamespace(cancel=lambda: None)


def line():
    found = object.__new__(Line)
    found.loop, found.seconds = Loop(), 1.0
    found._slow_until, found._pause, found._probing = 0.0, 0.5, False
    found.lost = lambda wire: None
    return found


def asked(own, count, told):
    """Ask so often; the second one fails when it is told."""

    def then(number, reply):
        told.append((number, reply))
        if number == 1:
            raise ZeroDivisionError

    wire = _Wire(own)
    wire._transport = SimpleNamespace(write=lambda data: None, close=lambda: None)
    for number in range(count):
        wire.ask("columns", [[1.0]], {}, lambda reply, _welcome, number=number: then(number, reply))
    return wire


def test_asks_that_expire_together_are_one_stall():
    """The pause after it doubles once; five that wait for one slow call do not make it eight seconds."""
    own, told = line(), []
    wire = asked(own, 5, told)
    own.loop.now = 2.0
    wire._expire()
    assert told == [(number, "slow") for number in range(5)]
    assert (own._slow_until, own._pause) == (2.5, 1.0)


def test_everybody_is_told_that_a_connection_is_lost():
    """Although one of them fails when it is told."""
    told = []
    asked(line(), 3, told).connection_lost(None)
    assert told == [(0, "down"), (1, "down"), (2, "down")]


def test_an_answer_that_cannot_be_used_does_not_end_the_connection():
    """The failure is not the peer's."""
    own, told = line(), []
    wire = asked(own, 3, told)
    wire._transport.abort = None  # would fail when called
    wire.data_received(b"".join(bytes(frames.encode(frames.Failed(number, "busy"))) for number in (1, 2, 3)))
    assert told == [(0, "busy"), (1, "busy"), (2, "busy")]


def test_a_model_that_answers_a_whole_request_with_something_else_answers_no_share():
    """A dict for all rows is no label of any; sent as one it would end the connection for everybody."""
    sent = []
    guest = Guest(SimpleNamespace())
    guest.send = sent.append
    guest._tell(frames.Ask(7, "predict", [[1.0]], {}), None, (b"", Predictions({"sum": 1.0})))
    assert sent == [frames.Failed(7, "failed")]
