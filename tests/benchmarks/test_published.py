"""The figures that the README shows hold what is promised of endpoints."""

import json

import pytest

# How many times better than `mlflow models serve` an endpoint has to be.
REQUIRED = {
    "fraud_rps_per_cpu_s_c64": 100,
    "iris_rps_per_cpu_s_c64": 40,
    "sentiment_rps_per_cpu_s_c64": 100,
    "pyfunc_rps_per_cpu_s_c64": 25,
    "fraud_p50_c1": 30,
    "fraud_p99_c64": 50,
    "batch10k_rows_per_s": 3,
    "iris_batch10k_rows_per_s": 8,
    "sentiment_batch10k_rows_per_s": 2,
    "cold_start": 3,
    "pss": 3,
}


@pytest.fixture
def published(root):
    path = root / "docs/figures/serving.json"
    if not path.exists():
        pytest.skip("make bench has not published figures yet")
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("figure", sorted(REQUIRED))
def test_a_published_ratio_holds_its_promise(published, figure):
    assert published["ratios"][figure] >= REQUIRED[figure]


def test_published_figures_come_from_enough_runs_and_right_answers(published):
    assert published["runs"] >= 5
    assert published["failed"] == {}
    assert all(row["asked"] >= 600 and not row["wrong"] for row in published["answers"].values())
    assert all(row["good"] > 1000 and not row["good_failed"] for row in published["poison"].values())
    assert published["measured"]["samovar-pyfunc.fraud.overhead_us_c64"] <= 100


def test_the_pages_show_the_published_figures(root, published):
    """Whoever edits the table by hand, or forgets to write it again, is caught."""
    for name in ("README.md", "docs/BENCHMARKS.md"):
        text = (root / name).read_text(encoding="utf-8")
        assert f"{published['measured']['samovar.fraud.rps_per_cpu_s_c64']:,.0f}" in text
        assert published["date"] in text
