"""Fields that Samovar computes from texts: one definition for contracts, frames and requests."""

from typing import Annotated

import polars as pl
import pytest

import samovar as sv
from samovar import texts
from samovar.contracts import document
from samovar.contracts.check import check
from samovar.contracts.decode import RowDecoder
from samovar.contracts.signature import to_columns
from samovar.contracts.spec import ModelContract, ResponseSpec
from samovar.errors import ContractError, RequestError


class Review(sv.Contract):
    body: sv.Text
    title: sv.Text | None = None
    text_len: Annotated[float, sv.Computed("text_len", of=("body",))]
    words: Annotated[float, sv.Computed("word_count", of=("body", "title"))]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text_len", "Grüße 🙂", 7),
        ("word_count", " two\u2003words\n", 2),
        ("exclamation_count", "No! No!!", 3),
        ("question_count", "Eh?", 1),
        ("caps_ratio", "AbCd 12!", 0.5),
        ("caps_ratio", "ÄBc漢", 0.5),
        ("avg_word_length", "one three", 4),
    ],
)
def test_a_number_is_what_its_text_says(name, text, value):
    assert texts.NUMBERS[name](text) == value


@pytest.mark.parametrize("name", texts.NUMBERS)
@pytest.mark.parametrize("nothing", ["", " \t", None, float("nan")])
def test_nothing_said_is_zero(name, nothing):
    assert texts.number(name, [nothing]) == 0


def test_a_frames_computed_columns_are_made_or_put_right_and_what_was_wrong_is_counted():
    frame = pl.DataFrame({"body": ["one two", "three", None], "title": ["a", None, "b"], "text_len": [7.0, 99.0, None], "label": 1})
    found = check(frame, Review.spec, target="label")
    assert found.accepted["text_len"].to_list() == [7.0, 5.0]
    assert found.accepted["words"].to_list() == [3.0, 1.0]
    assert found.mismatches == {"text_len": 1}
    assert found.bad_rows == 1  # the text itself is missing


def test_a_request_may_leave_them_out_or_send_numbers_but_nothing_else():
    decoder = RowDecoder(Review.spec)
    assert decoder.values(b'{"body": "x"}') == ("x", None, None, None)
    assert decoder.values(b'{"body": "x", "words": 5.0}')[3] == 5.0
    with pytest.raises(RequestError) as refused:
        decoder.values(b'{"body": "x", "words": "many"}')
    assert refused.value.path == "words"


def test_they_travel_in_the_contract_and_are_optional_in_the_signature():
    contract = ModelContract(Review.spec, ResponseSpec("Answer", ()))
    assert document.load(document.dump(contract)).contract.computed == Review.spec.computed
    assert [column["required"] for column in to_columns(Review.spec)] == [True, False, False, False]
    schema = document.row_schema(Review.spec)
    assert schema["required"] == ["body"]
    assert "Computed from body and title" in schema["properties"]["words"]["description"]


@pytest.mark.parametrize(
    ("kind", "mark", "said"),
    [
        (float, sv.Computed("sentiment", of=("body",)), "nothing called 'sentiment'"),
        (float, sv.Computed("text_len", of=("nobody",)), "needs text fields"),
        (float, sv.Computed("text_len", of=()), "needs text fields"),
        (int, sv.Computed("text_len", of=("body",)), "is a float"),
    ],
)
def test_a_computed_field_that_cannot_be_is_refused_at_once(kind, mark, said):
    with pytest.raises(ContractError, match=said):
        type("Wrong", (sv.Contract,), {"__annotations__": {"body": sv.Text, "number": Annotated[kind, mark]}})
