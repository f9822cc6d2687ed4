"""Injected drift keeps the contract and the labels, is found by monitoring, and is made once."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import polars as pl
import pytest

import samovar as sv
from samovar import settings as settings_module
from samovar.contracts.check import check
from samovar.contracts.spec import ContractSpec
from samovar.errors import NotFound, UsageError
from samovar.monitoring.drift import compare
from samovar.pipelines.context import open_context
from samovar.pipelines.ingest import ingest
from samovar.pipelines.inject import drift_inject
from samovar.profiles import profile
from samovar.store import datasets


@pytest.fixture
def ctx(tmp_path):
    with open_context(settings_module.load(home=tmp_path / "state", _env_file=None)) as context:
        yield context


def frames(ctx, shop, result):
    """The rows before and after."""
    with ctx.db.read() as connection:
        found = [datasets.get(connection, shop.name, result[name]) for name in ("parent", "dataset")]
    return [ctx.lake.read(one.url) for one in found]


@pytest.mark.parametrize("kind", ["shift", "scale", "swap", "missing"])
def test_every_kind_is_drift_and_not_dirt(ctx, shop, kind):
    """Rows keep the contract, their number, keys and labels; monitoring alarms about the fields that changed."""
    ingest(ctx, shop)
    result = drift_inject(ctx, shop, kind)
    before, after = frames(ctx, shop, result)
    assert check(after, shop.contract, target=shop.target).rejected == ()
    assert after.select("payment_id", "late").equals(before.select("payment_id", "late"))
    reference = profile.build(before, shop.contract)
    report = compare(reference, profile.count(reference, after), shop.drift)
    assert report.verdict == "alarm"
    assert {entry.name for entry in report.shifted} <= set(result["fields"])


def test_what_changes_is_what_the_kind_says(ctx, shop):
    """A shift moves numbers, a scale moves amounts but neither counts nor ages, a swap categories, missing what may be missing."""
    ingest(ctx, shop)
    fields = {kind: drift_inject(ctx, shop, kind)["fields"] for kind in ("shift", "scale", "swap", "missing")}
    assert fields == {
        "shift": ["amount", "age", "balance"],
        "scale": ["amount", "balance"],
        "swap": ["plan"],
        "missing": ["balance"],
    }


def test_the_injected_dataset_is_the_latest_and_knows_where_it_came_from(ctx, shop):
    first = ingest(ctx, shop)
    result = drift_inject(ctx, shop)
    with ctx.db.read() as connection:
        latest = datasets.latest(connection, shop.name)
    assert (latest.digest, latest.origin, latest.parent) == (result["dataset"], "injected", first["dataset"])
    assert latest.report == {"injected": "shift", "strength": 1.5, "seed": 0}


def test_injecting_twice_makes_one_dataset(ctx, shop):
    """The second time finds the first one's: drift is of the source's rows, not of drifted ones."""
    ingest(ctx, shop)
    first, second, other = drift_inject(ctx, shop), drift_inject(ctx, shop), drift_inject(ctx, shop, seed=1)
    assert (first["status"], second["status"]) == ("done", "unchanged")
    assert first["dataset"] == second["dataset"] != other["dataset"]
    with ctx.db.read() as connection:
        assert len(datasets.list_(connection, shop.name)) == 3


@pytest.mark.parametrize(("kind", "strength"), [("shift", 1e6), ("scale", 1e9), ("scale", 1e-9)])
def test_any_strength_stays_inside_the_contract(ctx, shop, kind, strength):
    """Values are kept inside the ranges, open ends included, and integers whole."""
    ingest(ctx, shop)
    _, after = frames(ctx, shop, drift_inject(ctx, shop, kind, strength))
    assert check(after, shop.contract, target=shop.target).rejected == ()
    assert after.schema["age"] == pl.Int64
    assert after["amount"].is_between(0, 1000, closed="right").all()


def test_a_swap_renames_categories_in_a_circle(ctx, shop):
    ingest(ctx, shop)
    before, after = frames(ctx, shop, drift_inject(ctx, shop, "swap"))
    assert after["plan"].to_list() == before["plan"].replace({"basic": "plus", "plus": "pro", "pro": "basic"}).to_list()
    half = frames(ctx, shop, drift_inject(ctx, shop, "swap", 0.5))[1]
    assert (half["plan"] != before["plan"]).mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("kind", "strength"), [("storm", None), ("shift", 0.0), ("scale", -1.0), ("swap", 1.5), ("missing", 2.0)])
def test_impossible_drift_is_refused(ctx, shop, kind, strength):
    ingest(ctx, shop)
    with pytest.raises(UsageError):
        drift_inject(ctx, shop, kind, strength)


def test_drift_that_the_contract_has_no_field_for_is_refused(ctx, shop):
    """No nullable field, nothing to lose; no category, nothing to swap."""
    numbers = ContractSpec("Numbers", tuple(field for field in shop.contract.fields if field.name in ("amount", "age")))
    plain = replace(shop, contract=numbers)
    ingest(ctx, plain)
    with pytest.raises(UsageError, match="no nullable feature"):
        drift_inject(ctx, plain, "missing")
    with pytest.raises(UsageError, match="no category"):
        drift_inject(ctx, plain, "swap")


def test_without_a_dataset_it_says_what_to_do(ctx, shop):
    with pytest.raises(NotFound, match="samovar ingest shop"):
        drift_inject(ctx, shop)


def test_a_literal_of_numbers_is_a_category(ctx):
    """Numbers that are names are swapped, never shifted."""

    class Row(sv.Contract):
        floor: Literal[1, 2]
        size: float

    frame = pl.DataFrame({"floor": [1, 2] * 30, "size": [float(n) for n in range(60)], "sold": [0, 1] * 30})
    declare = sv.project(
        contract=Row, target="sold", metric="accuracy", gate=sv.Gate(minimum=0.5), candidates=[sv.kinds.logreg()], name="flat"
    )
    flat = declare(lambda window: frame)
    ingest(ctx, flat)
    assert drift_inject(ctx, flat, "shift")["fields"] == ["size"]
    assert drift_inject(ctx, flat, "swap")["fields"] == ["floor"]
