"""The published simulator, written anew: its statistics, and windows that never look ahead."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

import numpy as np
import polars as pl
import pytest

import samovar as sv
from samovar.contracts.check import check
from samovar.projects import handbook_windows, handbook_world
from samovar.projects.fraud_handbook import fraud_handbook
from samovar.projects.handbook_windows import DAYS, DELAY, features
from samovar.projects.handbook_world import DAY, START, World, payments
from samovar.training.split import split

EPOCH = int(START.timestamp())
CUSTOMERS, TERMINALS = 1000, 2000


@pytest.fixture(scope="module")
def world():
    """A fifth of the published world."""
    return payments(World.of_size(CUSTOMERS), seed=3)


@pytest.fixture(scope="module")
def small():
    """A few weeks of a few people who pay at the same few terminals, fraud among them."""
    return payments(World(customers=40, terminals=150, days=60, taken_over=1, robbed=0.5), seed=5)


def slow(rows):
    """The windows by their definition, one payment after the other."""
    customers, terminals, found = defaultdict(list), defaultdict(list), []
    for row in rows.iter_rows(named=True):
        now = row["second"]
        customers[row["customer"]].append((now, row["amount"]))
        terminals[row["terminal"]].append((now, row["is_fraud"]))
        moment = START + dt.timedelta(seconds=now)
        line = {"weekend": moment.weekday() >= 5, "night": moment.hour < 7}
        for days in DAYS:
            own = [amount for then, amount in customers[row["customer"]] if now - days * DAY < then <= now]
            mean = sum(own) / len(own)
            line |= {f"customer_count_{days}d": len(own), f"customer_mean_{days}d": mean}
            line[f"customer_ratio_{days}d"] = row["amount"] / mean if mean else 1.0
            end = now - DELAY * DAY
            labels = [label for then, label in terminals[row["terminal"]] if end - days * DAY < then <= end]
            line |= {f"terminal_count_{days}d": len(labels), f"terminal_fraud_rate_{days}d": sum(labels) / max(1, len(labels))}
        found.append(line)
    return pl.DataFrame(found)


def windows(rows):
    known = features(rows, epoch=EPOCH)
    return known.select(name for name in known.columns if name not in rows.columns)


# Standard deviations of one world of published size: the customers' rates and amounts are drawn anew in each, and so are the
# terminals that are taken over. A world of a fifth has less of everything and a relative band of the square root of five.
BANDS = {
    "payments": (1_754_155, 14_500),
    "1": (973, 60),
    "2": (9_077, 240),
    "3": (4_631, 125),
    "mean": (53.63, 0.45),
    "std": (42.33, 0.4),
}


def test_a_fifth_of_the_world_has_a_fifth_of_the_published_payments_and_frauds(world):
    """Within four standard deviations of the difference between two worlds; the full size is measured in benchmarks."""
    share = CUSTOMERS / World().customers
    counts = dict(world["scenario"].value_counts().iter_rows())
    found = {"payments": world.height / share, "mean": world["amount"].mean(), "std": world["amount"].std()}
    found |= {str(kind): counts[kind] / share for kind in (1, 2, 3)}
    for name, (published, deviation) in BANDS.items():
        band = 4 * deviation * np.sqrt(1 + 1 / share)
        assert abs(found[name] - published) < band, name


def test_a_world_is_drawn_from_its_seed_alone():
    sized = World.of_size(50, days=20)
    assert payments(sized, seed=1).equals(payments(sized, seed=1))
    assert not payments(sized, seed=1).equals(payments(sized, seed=2))


def test_payments_come_in_order_from_terminals_near_their_customer(world):
    assert world["second"].is_sorted()
    assert world["second"].max() < 183 * DAY
    near = world.group_by("customer").agg(pl.col("terminal").n_unique())["terminal"]
    assert near.max() < 60  # of 2,000: about 16 lie within reach
    assert ((world["amount"] * 100 - (world["amount"] * 100).round()).abs() < 1e-6).all()


def test_each_scenario_is_what_its_rule_says(world):
    by_rule = dict(world.group_by("scenario").agg(pl.col("amount").min()).iter_rows())
    assert by_rule[1] > 220
    assert world.filter((pl.col("amount") > 220) & (pl.col("scenario") == 0)).is_empty()
    days = pl.col("second") // DAY
    taken = world.filter(pl.col("scenario") == 2).group_by("terminal").agg((days.max() - days.min()).alias("span"), pl.len())
    assert taken.filter(pl.col("span") < 28).height > 0.8 * taken.height  # the others were taken over twice
    robbed = world.filter(pl.col("scenario") == 3).group_by("customer").agg((days.max() - days.min()).alias("span"))
    assert robbed.filter(pl.col("span") < 14).height > 0.8 * robbed.height


def test_the_windows_are_those_of_the_definition(small):
    fast, plain = windows(small), slow(small)
    assert small["is_fraud"].sum() > 50
    assert fast["terminal_fraud_rate_7d"].max() > 0
    for name in plain.columns:
        assert np.allclose(fast[name].cast(pl.Float64), plain[name].cast(pl.Float64), rtol=1e-12, atol=1e-12), name


def test_payments_of_one_second_count_in_the_order_of_the_feed():
    same = {"second": [50, 50, 50], "customer": [1, 1, 2], "terminal": [0, 0, 0], "amount": [1.0, 3.0, 9.0], "is_fraud": [0, 0, 0]}
    found = features(pl.DataFrame(same), epoch=EPOCH)
    assert found["customer_count_1d"].to_list() == [1, 2, 1]
    assert found["customer_mean_7d"].to_list() == [1.0, 2.0, 9.0]


@pytest.mark.parametrize("day", [20, 41])
def test_the_future_changes_no_feature_of_the_past(small, day):
    """Other amounts, labels, customers and terminals, and other rows altogether: not one bit of an earlier window moves."""
    until = int((small["second"] < day * DAY).sum())
    plain = small.drop("scenario")
    later = plain[until:].sample(fraction=0.7, seed=1).sort("second")
    changed = later.with_columns(
        (pl.col("amount") * 7.13).round(2),
        (1 - pl.col("is_fraud")).alias("is_fraud"),
        (pl.col("customer") * 3) % 40,
        (pl.col("terminal") * 7) % 150,
    )
    before = windows(plain)[:until]
    assert windows(pl.concat([plain[:until], changed]))[:until].equals(before)
    assert windows(plain[:until]).equals(before)


def test_labels_younger_than_the_delay_change_nothing(small):
    """A payment's windows are the same whatever became of the payments of its last seven days."""
    now = small["second"].max()
    young = pl.col("second") > now - DELAY * DAY
    unknown = small.with_columns(pl.when(young).then(1 - pl.col("is_fraud")).otherwise(pl.col("is_fraud")).alias("is_fraud"))
    assert windows(unknown).equals(windows(small))
    older = small.with_columns(pl.when(young).then(pl.col("is_fraud")).otherwise(1 - pl.col("is_fraud")).alias("is_fraud"))
    assert not windows(older)[-1:].equals(windows(small)[-1:])  # and older ones do count


@pytest.fixture(scope="module")
def rows():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FRAUD_HANDBOOK_CUSTOMERS", "300")
        return fraud_handbook.source(sv.Window())


def test_the_project_gives_rows_of_its_contract_with_complete_windows(rows):
    checked = check(rows, fraud_handbook.contract, target="is_fraud", time="event_time")
    assert checked.rejected == ()
    assert rows["event_time"].min() >= START + dt.timedelta(days=handbook_windows.WARM_UP)
    assert 0.004 < rows["is_fraud"].mean() < 0.02


def test_the_project_holds_rows_out_after_the_delay(rows):
    """What was not known when the held-out days began takes no part in training."""
    parts = split(rows, fraud_handbook, seed=1)
    gap = parts.held_out["event_time"].min() - parts.train["event_time"].max()
    assert dt.timedelta(days=DELAY) <= gap < dt.timedelta(days=DELAY + 1)


def test_a_size_that_is_no_number_says_so(monkeypatch):
    monkeypatch.setenv("FRAUD_HANDBOOK_CUSTOMERS", "many")
    with pytest.raises(ValueError, match="FRAUD_HANDBOOK_CUSTOMERS"):
        fraud_handbook.source(sv.Window())


def test_a_customer_without_a_terminal_near_by_makes_no_payment():
    assert handbook_world.payments(World(customers=30, terminals=1, days=5), seed=1)["terminal"].unique().to_list() in ([], [0])
