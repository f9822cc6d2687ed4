"""Endpoint names are DNS labels, and no two aliases share one."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from samovar.autoserve.naming import endpoint_name

LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
names = st.text(min_size=1, max_size=200) | st.from_regex(r"[a-c-]{1,5}", fullmatch=True)
pairs = st.tuples(names, names)


def test_the_promised_names_are_clean():
    """The default aliases of a well named model need no hash."""
    assert endpoint_name("fraud", "Production") == "mlflow-serve-fraud-production"
    assert endpoint_name("kindle-sentiment", "Candidate") == "mlflow-serve-kindle-sentiment-candidate"


@given(pairs)
def test_every_name_is_a_dns_label(pair):
    assert LABEL.fullmatch(endpoint_name(*pair))


@given(pairs, pairs)
@example(("a-b", "c"), ("a", "b-c"))
@example(("m", "Production"), ("m", "production"))
@example(("Iris", "x"), ("iris", "x"))
@example(("x" * 100, "a"), ("x" * 100, "b"))
@example(("ä", "x"), ("ö", "x"))
def test_two_aliases_never_share_a_name(one, other):
    assert (endpoint_name(*one) == endpoint_name(*other)) == (one == other)


@given(pairs)
def test_a_hash_in_an_alias_is_no_way_to_another_ones_name(pair):
    """A plain name that ends like a hashed one would take its place."""
    name = endpoint_name(*pair)
    model, _, alias = name.removeprefix("mlflow-serve-").rpartition("-")
    if model and (model, alias) != pair:
        assert endpoint_name(model, alias) != name


@pytest.mark.parametrize("pair", [("a b", "x"), ("Uni", "x"), ("m" * 200, "x"), ("-", "-"), ("я", "я")])
def test_names_that_mlflow_takes_and_dns_does_not_get_a_hash(pair):
    assert re.search(r"-[0-9a-f]{8}$", endpoint_name(*pair))
