"""Heads that are remembered say what they would say if they were parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from samovar.serving.config import EndpointConfig
from samovar.serving.heads import Heads
from samovar.serving.jobs import Route
from samovar.serving.keys import Keys


class Handler:
    accepted = ("application/json",)
    together = None


PLAIN = b"POST /predict HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n"
ROUTES = {path: Route(path, path, Handler()) for path in ("/predict", "/other")}

LINES = [
    b"content-type: application/json",
    b"content-type: text/plain",
    b"content-length: 5",
    b"Content-Length: 6",
    b"content-length: 70",
    b"content-length:7",
    b"content-length: 8 ",
    b"content-length : 9",
    b"content-length: 0",
    b"content-length: +1",
    b"content-length: 99999999999",
    b"content-length: 5\r\n 6",
    b"x-request-id: one",
    b"X-Request-ID: two",
    b"x-request-id: not sane",
    b"x-request-id: <script>",
    b"traceparent: 00-ab-cd-01",
    b"tracestate: a=b",
    b"x: content-length: 4",
    b"host: x",
    b"connection: close",
    b"expect: 100-continue",
    b"transfer-encoding: chunked",
    b"upgrade: h2c",
    b" folded",
    b"x-\x80: y",
]
head = st.builds(
    lambda line, lines: b"\r\n".join([line, *lines]) + b"\r\n\r\n",
    st.sampled_from([b"POST /predict HTTP/1.1", b"POST /other HTTP/1.1", b"GET /predict HTTP/1.1", b"POST /predict HTTP/1.0"]),
    st.lists(st.sampled_from(LINES), max_size=7),
)
plain = st.builds(
    lambda length, more: b"\r\n".join([b"POST /predict HTTP/1.1", b"content-type: application/json", length, *more]) + b"\r\n\r\n",
    st.sampled_from([line for line in LINES if line.lower().startswith(b"content-length")]),
    st.lists(st.sampled_from(LINES), max_size=3),
)


def reader():
    return Heads(ROUTES, EndpointConfig("m", "a"), Keys(()))


def said(head):
    return None if head is None else (head.route.path, head.length, head.media, head.request_id, head.headers)


@given(st.lists(st.one_of(head, plain), min_size=1, max_size=12))
def test_what_is_remembered_is_what_would_be_parsed(heads):
    """In whatever order heads come, each says what it says to a reader that has seen no other."""
    seasoned = reader()
    for data in heads + heads:
        assert said(seasoned.read(data)) == said(reader().read(data))


def test_the_property_sees_a_reader_that_cuts_too_much():
    """The sabotage: were types of bodies cut out as well, a head would be taken for another."""
    seasoned = reader()
    assert seasoned.read(PLAIN)
    (known,) = seasoned._patterns
    seasoned._patterns[known.replace(b"application/json", b"text/plain")] = seasoned._patterns[known]
    other = PLAIN.replace(b"application/json", b"text/plain")
    assert said(seasoned.read(other)) != said(reader().read(other))


def test_heads_that_differ_in_what_varies_are_parsed_once(monkeypatch):
    """Lengths and ids are new with each request; nothing else is."""
    heads, parsed = reader(), []
    plainly = heads._plain
    monkeypatch.setattr(heads, "_plain", lambda data: (parsed.append(data), plainly(data))[1])
    for number in range(1, 50):
        data = b"POST /predict HTTP/1.1\r\ncontent-type: application/json\r\nX-Request-ID: id-%d\r\ncontent-length: %d\r\n\r\n"
        head = heads.read(data % (number, number))
        assert (head.length, head.request_id) == (number, b"id-%d" % number)
        assert head.headers[b"content-length"] == b"%d" % number
    assert len(parsed) == 1


def test_memory_is_bounded():
    """Whatever strangers send, little of it is kept."""
    heads = reader()
    for number in range(10_000):
        heads.read(b"POST /%d HTTP/1.1\r\ncontent-length: 5\r\n\r\n" % number)
        heads.read(b"POST /predict HTTP/1.1\r\ncontent-type: application/json\r\nx: %d\r\ncontent-length: 5\r\n\r\n" % number)
    assert len(heads._known) <= 4096
    assert len(heads._patterns) <= 4096
    assert heads.read(b"POST /predict HTTP/1.1\r\ncontent-type: application/json\r\nx: %b\r\n\r\n" % (b"y" * 2000)) is None
    assert max(map(len, heads._known)) <= 1024


@pytest.mark.parametrize(
    "line", [b"content-length: 5\r\ncontent-length: 5", b"content-length: 5\r\nx-request-id: a\r\nx-request-id: b"]
)
def test_a_line_given_twice_is_not_plain(line):
    heads = reader()
    assert heads.read(b"POST /predict HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: 5\r\n\r\n")
    assert heads.read(b"POST /predict HTTP/1.1\r\ncontent-type: application/json\r\n" + line + b"\r\n\r\n") is None
