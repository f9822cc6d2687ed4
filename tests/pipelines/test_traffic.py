"""Sharing traffic is written into a real registry, checked before, and recorded with who did it."""

from __future__ import annotations

import pytest

from samovar.autoserve import wishes
from samovar.autoserve.plan import Key
from samovar.errors import NotFound, UsageError
from samovar.pipelines.traffic import parse_split, traffic
from samovar.store import events


@pytest.fixture(scope="module")
def world(make_loop):
    """A model of which Production and Candidate stand at two versions."""
    loop = make_loop("shared")
    with loop.context() as ctx:
        ctx.registry.set_alias("shared", "Candidate", 2)
        yield ctx


@pytest.fixture(autouse=True)
def _clean(world):
    yield
    traffic(world, "shared", clear=True)


def wish(ctx):
    return wishes.read([ctx.registry.model("shared")])[Key("shared", "Production")].tuning


def test_what_is_set_is_what_the_controller_reads(world):
    """Tags of the registered model, and nothing else."""
    done = traffic(world, "shared", split={"Candidate": 10}, shadow=["Candidate"])
    assert (done["status"], done["split"], done["shadow"]) == ("done", {"Candidate": 10}, ["Candidate"])
    assert wish(world).split == (("Candidate", 10),)
    assert wish(world).shadow == ("Candidate",)
    assert "copies" in done["warnings"][0]
    assert world.registry.model("shared").tags["samovar.split"] == "Candidate=10"


def test_one_is_changed_without_the_other(world):
    """A split that grows does not end a shadow."""
    traffic(world, "shared", split={"Candidate": 10}, shadow=["Candidate"])
    traffic(world, "shared", split={"Candidate": 20})
    assert (wish(world).split, wish(world).shadow) == ((("Candidate", 20),), ("Candidate",))
    traffic(world, "shared", split={"Candidate": 0})
    assert (wish(world).split, wish(world).shadow) == ((), ("Candidate",))


def test_clearing_leaves_no_tag(world):
    """The registry is as if nothing had been."""
    traffic(world, "shared", split={"Candidate": 10}, shadow=["Candidate"])
    traffic(world, "shared", clear=True)
    assert not [tag for tag in world.registry.model("shared").tags if tag.startswith("samovar.s")]


def test_asking_changes_nothing_and_a_change_is_recorded_with_who_made_it(world):
    """Twice the same is one event."""
    before = len(recorded(world))
    assert traffic(world, "shared")["status"] == "unchanged"
    assert traffic(world, "shared", split={"Candidate": 7})["status"] == "done"
    assert traffic(world, "shared", split={"Candidate": 7})["status"] == "unchanged"
    found = recorded(world)
    assert len(found) == before + 1
    assert found[0].detail["to"]["split"] == "Candidate=7"
    assert found[0].detail["actor"]


@pytest.mark.parametrize(
    ("told", "error"),
    [
        ({"split": {"Nobody": 10}}, NotFound),
        ({"shadow": ["Nobody"]}, NotFound),
        ({"split": {"Production": 10}}, UsageError),
        ({"shadow": ["Production"]}, UsageError),
        ({"split": {"Candidate": 101}}, UsageError),
        ({"split": {"Candidate": 10}, "alias": "Nobody"}, NotFound),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_written(world, told, error):
    """Before a controller could see it."""
    tags = world.registry.model("shared").tags
    with pytest.raises(error):
        traffic(world, "shared", **told)
    assert world.registry.model("shared").tags == tags


def test_a_split_is_read_as_people_write_it():
    assert parse_split(["A=10", "B=5,C=0"]) == {"A": 10, "B": 5, "C": 0}
    for text in ("A", "A=ten", "=5", "A=5,A=6", "A=101", "A=-1", "A=1.5"):
        with pytest.raises(UsageError):
            parse_split([text])


def recorded(ctx):
    with ctx.db.read() as connection:
        return [event for event in events.list_(connection, "shared") if event.kind == "traffic"]
