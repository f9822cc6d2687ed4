"""What the benchmark says follows from what it measured."""

import pytest
from benchmarks.serving import bodies, checks, load, processes, publish, summary

SAMPLES = {
    "samovar.fraud.rps_per_cpu_s_c64": [30_000.0, 10_000.0, 20_000.0],
    "mlflow.fraud.rps_per_cpu_s_c64": [200.0, 100.0, 400.0],
    "samovar-pyfunc.fraud.rps_per_cpu_s_c64": [5_000.0],
    "samovar.fraud.p50_us_c1": [100.0, 80.0],
    "mlflow.fraud.p50_us_c1": [4_000.0, 5_000.0],
    "samovar.fraud.cold_start_s": [0.5],
    "mlflow.fraud.cold_start_s": [4.0],
    "samovar.iris.rps_per_cpu_s_c64": [40_000.0],
}


def test_throughput_is_better_when_larger_and_latency_when_smaller():
    ratios = summary.ratios(SAMPLES)
    assert ratios["fraud_rps_per_cpu_s_c64"] == 20_000 / 200
    assert ratios["fraud_p50_c1"] == 4_500 / 90
    assert ratios["cold_start"] == 8


def test_the_compiler_switched_off_is_compared_with_mlflow_on_the_same_model():
    assert summary.ratios(SAMPLES)["pyfunc_rps_per_cpu_s_c64"] == 5_000 / 200


def test_a_spread_compares_each_run_with_itself():
    assert summary.ratio_spreads(SAMPLES)["fraud_rps_per_cpu_s_c64"] == (50.0, 150.0)


def test_what_was_not_measured_has_no_ratio():
    """A missing competitor must not look like a tie."""
    assert "iris_rps_per_cpu_s_c64" not in summary.ratios(SAMPLES)
    assert summary.measured(SAMPLES)["iris_rps_per_cpu_s_c64"] == 40_000


def test_measured_figures_are_medians_under_both_names():
    found = summary.measured(SAMPLES)
    assert found["fraud_rps_per_cpu_s_c64"] == found["samovar.fraud.rps_per_cpu_s_c64"] == 20_000
    assert found["mlflow.fraud.rps_per_cpu_s_c64"] == 200


def test_both_orders_come_equally_often():
    assert [summary.forward(run) for run in range(8)] == [True, False, False, True, True, False, False, True]


def test_a_cell_divides_by_the_cpu_and_not_by_the_clock():
    cell = summary.Cell(requests=1_000, seconds=2.0, cpu=0.5)
    assert (cell.per_cpu_second, cell.per_second) == (2_000, 500)


def test_cpu_of_a_process_counts_children_that_ended():
    """``/proc/PID/stat`` of a process whose name holds brackets and spaces."""
    parent, seconds = processes.stat("7 (a (b) c) S 3 7 7 0 -1 4194560 1 2 3 4 100 50 30 20 20 0 1 0 5 6 7")
    assert (parent, seconds) == (3, 200 / 100)


def test_a_tree_holds_all_descendants_and_nobody_else():
    assert processes.tree([2, 99], {1: 0, 2: 1, 3: 2, 4: 3, 5: 1}) == {2, 3, 4}


def test_wrk_is_read_by_its_last_line():
    said = 'noise\n{"requests": 10, "microseconds": 2000000, "bytes": 9, "p50": 1.5, "p90": 2, "p99": 3, "max": 4, '
    seen = load.parse(said + '"status_errors": 2, "socket_errors": 1}\n')
    assert (seen.requests, seen.seconds, seen.p50, seen.failed) == (10, 2.0, 1.5, 3)


@pytest.mark.parametrize(
    ("expected", "answered", "equal"),
    [(1, 1, True), (1, 0, False), ("a", "a", True), (0.1, 0.1 + 1e-12, True), (0.1, 0.1001, False), (0.1, None, False)],
)
def test_answers_are_equal_within_the_tolerance(expected, answered, equal):
    assert checks.same(expected, answered) is equal


MODEL = bodies.Model("m", ["n", "t"], [[float(n), f"t{n}"] for n in range(12_000)], [0] * 12_000, [[1.0, 0.0]] * 12_000)


def test_large_requests_differ_and_hold_all_their_rows():
    found = bodies.batches(MODEL, lambda _model, rows: f"{rows[0][0]} {len(rows)}".encode(), 4)
    assert found == [(start, f"{start}.0 10000".encode()) for start in (0, 3_000, 6_000, 9_000)]


def test_no_poison_is_a_good_row():
    """Each of them breaks the signature or is no table at all."""
    found = bodies.poison(MODEL)
    assert len(set(found)) == len(found) == 4 + 3 * 2
    assert bodies.split(MODEL, MODEL.rows[:1]) not in found


def test_a_page_keeps_what_is_around_its_table():
    page = f"before\n{publish.BEGIN}\nold\n{publish.END}\nafter\n"
    assert publish.insert(page, "new\n") == f"before\n{publish.BEGIN}\nnew\n{publish.END}\nafter\n"
    with pytest.raises(ValueError, match="needs one line"):
        publish.insert("no markers", "new")


def test_the_pages_have_places_for_the_table(root):
    for name in ("README.md", "docs/BENCHMARKS.md"):
        publish.insert((root / name).read_text(encoding="utf-8"), "")


def test_the_pinned_files_name_no_address(root):
    """The same environments can be made behind any mirror."""
    files = sorted((root / "benchmarks/serving/envs").glob("*.txt"))
    assert [file.stem for file in files] == ["fastapi", "mlflow", "train"]
    for file in files:
        lines = file.read_text(encoding="utf-8").splitlines()
        assert all("==" in line and "://" not in line for line in lines), file.name
