"""Ingest: rows are checked, described, stored once; bad ones are kept with their reasons."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

import polars as pl
import pytest

import samovar as sv
from samovar import settings as settings_module
from samovar.errors import DataError
from samovar.pipelines.context import open_context
from samovar.pipelines.ingest import REFUSED_ITEMS, ingest
from samovar.store import datasets, quarantine, runs


@pytest.fixture
def ctx(tmp_path):
    with open_context(settings_module.load(home=tmp_path / "state", _env_file=None)) as context:
        yield context


class Payment(sv.Contract):
    """A payment."""

    payment_id: sv.Key[str]
    amount: Annotated[float, sv.Range(gt=0)]
    plan: Literal["basic", "pro"]
    age: Annotated[int, sv.Range(ge=18)] | None = None


def rows(count=200, **columns):
    given = {
        "payment_id": [f"p{number}" for number in range(count)],
        "amount": [1.0 + number % 50 for number in range(count)],
        "plan": ["basic", "pro"] * (count // 2),
        "age": [18 + number % 60 for number in range(count)],
        "paid": [number % 2 for number in range(count)],
    }
    return pl.DataFrame(given | columns)


def project(frame, **changes):
    given = {"contract": Payment, "target": "paid", "metric": "roc_auc", "gate": sv.Gate(minimum=0.5), "name": "pay"}
    source = frame if callable(frame) else lambda window: frame
    return sv.project(**{"candidates": [sv.kinds.logreg()], **given} | changes)(source)


def all_datasets(ctx):
    with ctx.db.read() as connection:
        return datasets.list_(connection, "pay")


def all_quarantined(ctx):
    with ctx.db.read() as connection:
        return quarantine.list_(connection, "pay")


def kinds_of(result):
    return [(anomaly["kind"], anomaly["field"]) for anomaly in result["anomalies"]]


# --- what is stored --------------------------------------------------------------------------------------------------------


def test_clean_rows_become_a_dataset(ctx):
    result = ingest(ctx, project(rows()))
    assert (result["status"], result["rows"], result["rejected"], result["anomalies"]) == ("done", 200, 0, [])
    (stored,) = all_datasets(ctx)
    assert (stored.digest, stored.url, stored.origin) == (result["dataset"], result["url"], "source")
    assert ctx.lake.read(stored.url).equals(rows())


def test_a_lazy_source_and_columns_that_nobody_declared_are_fine(ctx):
    result = ingest(ctx, project(rows().with_columns(extra=pl.lit(1)).lazy()))
    assert ctx.lake.read(result["url"]).columns == rows().columns


def test_the_source_is_asked_for_the_window(ctx):
    asked = []
    window = sv.Window(start=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    ingest(ctx, project(lambda given: asked.append(given) or rows()), window)
    assert asked == [window]


def test_a_bad_row_is_kept_with_its_reason_and_harms_no_other(ctx):
    frame = rows(amount=[-5.0, float("inf"), *([2.0] * 198)], plan=["gold", *(["pro"] * 199)])
    result = ingest(ctx, project(frame))
    assert (result["rows"], result["rejected"]) == (198, 2)
    found = [(item.row_index, item.field, item.row["payment_id"]) for item in all_quarantined(ctx)]
    assert found == [(0, "amount", "p0"), (0, "plan", "p0"), (1, "amount", "p1")]
    assert [item.row["amount"] for item in all_quarantined(ctx)] == [-5.0, -5.0, "inf"]
    assert sum(result["reasons"].values()) == 3
    assert ctx.lake.read(result["url"])["payment_id"].to_list() == [f"p{number}" for number in range(2, 200)]


def test_ingesting_again_changes_nothing(ctx):
    frame = rows(plan=["gold", *(["pro"] * 199)])
    first, second = (ingest(ctx, project(frame)) for _ in range(2))
    assert second == first | {"status": "unchanged"}
    assert len(all_datasets(ctx)) == len(all_quarantined(ctx)) == 1


def test_a_deleted_snapshot_is_put_back(ctx, tmp_path):
    result = ingest(ctx, project(rows()))
    (tmp_path / "state" / "lake" / "pay" / f"{result['dataset']}.parquet").unlink()
    assert ingest(ctx, project(rows()))["status"] == "unchanged"
    assert ctx.lake.read(result["url"]).equals(rows())


def test_new_rows_are_a_new_dataset(ctx):
    digests = [ingest(ctx, project(rows(count)))["dataset"] for count in (200, 180)]
    assert [stored.digest for stored in all_datasets(ctx)] == digests


def test_a_new_metric_asks_for_no_new_data_and_a_new_contract_does(ctx):
    ingest(ctx, project(rows()))
    assert ingest(ctx, project(rows(), metric="accuracy"))["status"] == "unchanged"

    class Stricter(sv.Contract):
        """A payment."""

        payment_id: sv.Key[str]
        amount: Annotated[float, sv.Range(gt=0, le=49)]
        plan: Literal["basic", "pro"]

    assert ingest(ctx, project(rows(), contract=Stricter))["rejected"] == 4  # those of 50.0


# --- what is refused -------------------------------------------------------------------------------------------------------


def refused(ctx, given, match):
    with pytest.raises(DataError, match=match) as caught:
        ingest(ctx, given)
    assert "\n" not in str(caught.value)
    assert caught.value.remedy
    assert all_datasets(ctx) == []
    assert not (ctx.settings.state / "lake").exists()


def test_an_empty_dataset_is_refused(ctx):
    refused(ctx, project(rows().clear()), "gave no rows")


def test_a_missing_column_is_refused_by_its_name(ctx):
    refused(ctx, project(rows().drop("plan")), "'plan'")


def test_a_missing_target_is_refused_by_its_name(ctx):
    refused(ctx, project(rows().drop("paid")), "'paid'")


def test_a_column_of_the_wrong_type_is_refused(ctx):
    refused(ctx, project(rows(amount=["much"] * 200)), r"200 of 200 rows .* amount")


def test_a_source_that_fails_is_one_clear_line(ctx):
    def broken(window):
        raise ConnectionError("no route\nto host")

    refused(ctx, project(broken), "source of project pay failed: ConnectionError: no route.")


def test_a_source_that_returns_no_frame_is_refused(ctx):
    refused(ctx, project([1, 2, 3]), "returned a list")


def test_too_many_bad_rows_refuse_the_dataset_and_are_kept(ctx):
    frame = rows(plan=["gold"] * 30 + ["pro"] * 170)
    refused(ctx, project(frame), r"30 of 200 rows of project pay break the contract \(at most 10% may\): plan")
    assert len(all_quarantined(ctx)) == 30
    with ctx.db.read() as connection:
        assert [run.status for run in runs.list_(connection, "pay")] == ["failed"]
    assert ingest(ctx, project(frame, quality=sv.Quality(max_bad_share=0.15)))["rejected"] == 30


def test_a_refused_dataset_leaves_no_flood_in_quarantine(ctx):
    refused(ctx, project(rows(2 * REFUSED_ITEMS, plan=["gold"] * 2 * REFUSED_ITEMS)), "2000 of 2000")
    assert len(all_quarantined(ctx)) == REFUSED_ITEMS


# --- what is odd -----------------------------------------------------------------------------------------------------------


def test_the_same_distribution_again_is_not_odd(ctx):
    ingest(ctx, project(rows()))
    assert kinds_of(ingest(ctx, project(rows().reverse()))) == []


def test_a_change_of_volume_is_reported(ctx):
    ingest(ctx, project(rows()))
    result = ingest(ctx, project(rows().head(80)))
    assert ("volume", "") in kinds_of(result)
    assert result["anomalies"][0]["value"] == pytest.approx(-0.6)


def test_many_missing_values_are_reported(ctx):
    result = ingest(ctx, project(rows(age=[None] * 50 + [30] * 150)))
    assert kinds_of(result) == [("nulls", "age")]


def test_repeated_keys_are_reported(ctx):
    result = ingest(ctx, project(rows(payment_id=["same"] * 10 + [f"p{number}" for number in range(190)])))
    assert kinds_of(result) == [("duplicates", "payment_id")]


def test_repeated_rows_are_reported_where_there_is_no_key(ctx):
    class Keyless(sv.Contract):
        """A payment."""

        amount: float

    frame = rows(amount=[float(number) for number in range(200)])
    assert kinds_of(ingest(ctx, project(frame, contract=Keyless))) == []
    assert kinds_of(ingest(ctx, project(pl.concat([frame, frame.head(10)]), contract=Keyless))) == [("duplicates", "")]


def test_a_shift_from_the_dataset_before_is_reported_by_column(ctx):
    ingest(ctx, project(rows()))
    shifted = rows().with_columns(pl.col("amount") + 30, paid=pl.lit(1))
    result = ingest(ctx, project(shifted))
    assert kinds_of(result) == [("shift", "amount"), ("shift", "paid")]
    (_, stored) = all_datasets(ctx)
    assert stored.report["shift"]["amount"] > 0.1
    assert stored.report["shift"]["plan"] < 0.1


def test_a_dataset_under_another_contract_is_no_yardstick(ctx):
    """Its columns may not even be the same."""

    class Other(sv.Contract):
        """A payment."""

        age: int

    ingest(ctx, project(rows(), contract=Other))
    assert kinds_of(ingest(ctx, project(rows().with_columns(pl.col("amount") + 30)))) == []


def test_anomalies_are_measured_against_real_rows_not_injected_ones(ctx):
    first = ingest(ctx, project(rows()))
    snapshot = ctx.lake.put("pay", rows().with_columns(pl.col("amount") + 30))
    with ctx.db.begin() as connection:
        known = datasets.get(connection, "pay", first["dataset"])
        injected = datasets.Dataset(
            project="pay", digest=snapshot.digest, contract=known.contract, url=snapshot.url, rows=200, origin="injected"
        )
        datasets.add(connection, injected)
    assert kinds_of(ingest(ctx, project(rows().reverse()))) == []


def test_a_lost_snapshot_costs_the_comparison_and_not_the_new_rows(ctx):
    """Somebody deleted yesterday's file: today's rows are stored all the same, and say that nothing was compared."""
    from pathlib import Path

    ingest(ctx, project(rows()))
    Path(all_datasets(ctx)[0].url).unlink()
    done = ingest(ctx, project(rows(amount=[900.0] * 200)))
    assert (done["status"], done["rows"]) == ("done", 200)
    assert len(all_datasets(ctx)) == 2
