"""What is held for each version of another alias does not grow with their number."""

from __future__ import annotations

import pytest

from samovar.serving.metrics import Metrics
from samovar.serving.traffic import counts
from samovar.serving.traffic.lost import Lost
from samovar.serving.traffic.recent import Recent
from samovar.serving.turn import NotLogged


def test_the_two_newest_are_kept_and_older_ones_are_let_go():
    """Two, because answers of both come in turn while one takes over from the other."""
    dropped = []
    recent = Recent(dropped.append)
    for version in (1, 2, 1, 2, 3, 2):
        assert recent.of("Challenger", version, lambda version=version: f"v{version}") == f"v{version}"
    recent.of("Candidate", 9, lambda: "v9")
    assert (dropped, list(recent)) == (["v1"], ["v2", "v3", "v9"])
    recent.forget(lambda one: one == "v3")
    assert (dropped, list(recent)) == (["v1", "v3"], ["v2", "v9"])


@pytest.mark.parametrize("shared", [True, False])
def test_numbers_of_old_versions_are_let_go_and_still_counted(tmp_path, shared):
    """A version that comes back goes on where it was."""
    metrics = Metrics({"model": "m", "alias": "Production"}, [], {"version": "1"}, [], str(tmp_path) if shared else "")
    own = counts.Counts(metrics, "Production", 1)
    compared = Recent(lambda one: metrics.retire(one.values))
    for version in (*range(2, 12), 2):
        own.arm("Challenger", version, "Challenger=50", sticky=True).count(3, version)
        compared.of("Production", version, lambda version=version: counts.Compared(metrics, "Production", version, 1, "S")).rows(5)
    text = metrics.render().decode()
    for version in range(2, 12):
        times = 2 if version == 2 else 1
        (rows,) = [line for line in text.splitlines() if line.startswith(counts.SPLIT_ROWS) and f'version="{version}"' in line]
        assert float(rows.rsplit(" ", 1)[1]) == 3 * times
        (seen,) = [line for line in text.splitlines() if line.startswith(counts.SHADOWED) and f'champion="{version}"' in line]
        assert float(seen.rsplit(" ", 1)[1]) == 5 * times
    if shared:
        assert len(metrics._more) == 4
        assert len(list(tmp_path.glob("*.slot"))) == 5
    metrics.close()


@pytest.mark.parametrize("refuse", [True, False])
def test_what_a_log_that_cannot_be_opened_loses_is_counted_or_refused(refuse):
    """As with one that can be opened and not written."""
    metrics = Metrics({"model": "m", "alias": "Production"}, [], {}, [])
    lost = Lost(metrics.spool, refuse=refuse)
    lost.flush()
    lost.job(b"a", "predict", None, None)
    assert not lost.empty
    if refuse:
        with pytest.raises(NotLogged):
            lost.flush()
    else:
        lost.flush()
        assert 'samovar_spool_dropped_total{model="m",alias="Production",version="",reason="error"} 1' in metrics.render().decode()
    assert lost.empty
    lost.flush()
