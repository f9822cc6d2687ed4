"""Aliases say which version, tags say how; a tag that cannot be read is named and harms nothing."""

from __future__ import annotations

import pytest

from samovar.autoserve import wishes
from samovar.autoserve.plan import Key
from samovar.autoserve.tuning import Tuning
from samovar.registry.client import Model


def read(**tags):
    aliases = {"Production": 3, "Challenger": 4, "Candidate": 5}
    return wishes.read([Model("m", aliases, 5, tags={name.replace("__", "."): value for name, value in tags.items()})])


def test_every_alias_is_a_wish():
    found = read()
    assert {key: wish.version for key, wish in found.items()} == {
        Key("m", "Production"): 3,
        Key("m", "Challenger"): 4,
        Key("m", "Candidate"): 5,
    }


def test_tags_speak_of_production_unless_they_name_an_alias():
    found = read(samovar__split="Challenger=10", samovar__shadow="Candidate", samovar__workers__Candidate="2")
    assert found[Key("m", "Production")].tuning == Tuning(split=(("Challenger", 10),), shadow=("Candidate",))
    assert found[Key("m", "Candidate")].tuning == Tuning(workers=2)
    assert found[Key("m", "Challenger")].tuning == Tuning()


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("split", "Challenger"),
        ("split", "Challenger=ten"),
        ("split", "Challenger=60,Candidate=60"),
        ("split", "Production=5"),
        ("split", "Nobody=5"),
        ("shadow", "Nobody"),
        ("workers", "0"),
        ("memory_mb", "nan"),
        ("cpus", "-1"),
    ],
)
def test_a_tag_that_cannot_be_read_is_named_and_left_out(field, said):
    wish = read(**{f"samovar__{field}": said, "samovar__shadow__Challenger": "Candidate"})[Key("m", "Production")]
    assert wish.tuning == Tuning()
    (problem,) = wish.problems
    assert problem.startswith(f"Tag samovar.{field}: ")
    assert said not in problem.removeprefix(f"Tag samovar.{field}: ").split(" ")


def test_a_version_of_five_thousand_digits_is_none():
    """One tag of one model may not stop the reading of all the others."""
    wish = read(**{"samovar__last_good.Production": "9" * 5000})[Key("m", "Production")]
    assert wish.last_good is None


def test_a_split_is_written_as_it_is_read():
    text = wishes.split_text({"Challenger": 10, "Candidate": 5})
    assert read(samovar__split=text)[Key("m", "Production")].tuning.split == (("Candidate", 5), ("Challenger", 10))
