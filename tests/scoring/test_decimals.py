"""Short decimal numbers read all at once: to the bit what is read one by one, or not at all."""

import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samovar.scoring.forms import decimals

READ = msgspec.json.Decoder(list[list[float]])


def bits(values):
    return struct.pack(f"{len(values)}d", *values)


def text(rows):
    return "],[".join(",".join(row) for row in rows).encode()


def same(sent, width):
    """Read a text in both ways; tells whether the quick one took it."""
    found = decimals.columns(sent, width)
    if found is None:
        return False
    rows = READ.decode(b"[[%b]]" % sent)
    assert {len(row) for row in rows} == {width}
    assert [bits(column) for column in found] == [bits(column) for column in zip(*rows, strict=True)]
    return True


DIGITS = st.text("0123456789", min_size=1, max_size=8)
WHOLE = st.just("0") | DIGITS.map(lambda digits: digits.lstrip("0") or "0")


@st.composite
def numbers(draw):
    """Draw any number of up to eight characters that JSON can write without an exponent, and its sign."""
    whole = draw(WHOLE)
    rest = decimals.LONGEST - len(whole) - 1
    part = "." + draw(st.text("0123456789", min_size=1, max_size=rest)) if rest > 0 and draw(st.booleans()) else ""
    number = draw(st.sampled_from(["", "-"])) + whole + part
    return number if number != "-0" else "0"


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_short_numbers_are_read_to_the_bit(data):
    """All of them are taken, whatever they are and wherever in a word they begin."""
    width = data.draw(st.integers(2, 5))
    row = st.lists(numbers(), min_size=width, max_size=width)
    assert same(text(data.draw(st.lists(row, min_size=1, max_size=20))), width)


@pytest.mark.parametrize("places", range(1, 8))
def test_every_scale_is_rounded_once(places):
    """Over block borders, with as many digits as fit, and without a sign."""
    random = np.random.default_rng(places)
    drawn = random.integers(0, 10 ** (7 - places), 30_000), random.integers(0, 10**places, 30_000)
    row = [f"{whole}.{part:0{places}}"[:8] for whole, part in zip(*map(np.ndarray.tolist, drawn), strict=True)]
    assert same(text([row[at : at + 3] for at in range(0, len(row), 3)]), 3)


OTHERS = {
    "nine characters": "123456789",
    "nine with a point": "1234567.8",
    "an exponent": "1e5",
    "a large exponent": "1E5",
    "a minus zero": "-0",
    "two points": "1.2.3",
    "a point first": ".5",
    "a point first, negative": "-.5",
    "a point last": "5.",
    "a point alone": ".",
    "a minus alone": "-",
    "two minuses": "--1",
    "a minus inside": "1-1",
    "a plus": "+1",
    "a zero first": "05",
    "a zero first, negative": "-05.5",
    "two zeros": "00",
    "nothing": "",
    "a space": "1 ",
    "a line": "1\n",
    "a null": "null",
    "a text": '"1"',
    "a bracket": "[1",
    "a bracket behind": "1]",
    "not a number": "NaN",
    "no byte of a text": "1\0",
    "no byte alone": "\0",
    "a colon": "1:",
    "a slash": "1/2",
    "a half": "½",
    "a full-width digit": "１",
}


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_what_is_no_short_number_is_not_read(other, place):
    """Wherever it stands, beside numbers that are."""
    row = ["1.5", "2", "-3.25", "0", "12345678", "-0.0"]
    row[place] = other
    assert decimals.columns(text([row[:3], row[3:]]), 3) is None
    assert decimals.columns(text([row[:2], row[2:4], row[4:]]), 2) is None


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_change_is_misread(data):
    """Bytes of any kind are put anywhere: both ways read the same, or the quick one nothing."""
    width = data.draw(st.integers(2, 4))
    row = st.lists(numbers(), min_size=width, max_size=width)
    sent = bytearray(text(data.draw(st.lists(row, min_size=1, max_size=6))))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(sent)))
        piece = st.binary(max_size=3) | st.sampled_from([b".", b"-", b"0", b",", b"],[", b"]", b"[", b"e1", b" "])
        sent[place : place + data.draw(st.integers(0, 3))] = data.draw(piece)
    same(bytes(sent), width)


@given(st.binary(max_size=64), st.integers(2, 4))
def test_no_bytes_are_misread(sent, width):
    same(sent, width)
