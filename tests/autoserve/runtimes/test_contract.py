"""The one contract of all runtimes. Each test runs against each runtime that can run here; see `harness`."""

from __future__ import annotations

import threading

import pytest
from samovar_harness import BETTER, BODY, BROKEN, GOOD, SLOW, Traffic

from samovar.autoserve.tuning import PLAIN, Tuning
from samovar.errors import Conflict, SamovarError

pytestmark = pytest.mark.timeout(300)  # the first test of a session also logs the versions

TUNED = Tuning(workers=2, memory_mb=900.0)


def yes():
    return True


def no():
    return False


@pytest.fixture
def bring(harness, eventually):
    """Bring a version and wait until it answers; returns the endpoint's state."""

    def bring(runtime, key, version, **options):
        runtime.bring(key, version, wished=yes, **options)
        return serving(harness, eventually, runtime, key, version)

    return bring


def serving(harness, eventually, runtime, key, version):
    seen = []

    def probe():
        state = runtime.endpoints().get(key)
        seen[:] = [state]
        return state is not None and state.up and (state.serving, state.loading) == (version, None) and state

    try:
        state = eventually(probe, harness.seconds, f"v{version} serves")
    except AssertionError as error:
        raise AssertionError(f"{error}; last seen {seen}") from None
    # For a moment both versions take new connections.
    eventually(lambda: harness.version(state) == version, 5, f"v{version} answers")
    return state


def test_nothing_is_known_of_an_endpoint_that_was_never_brought(runtime, key):
    """And what is asked of it does no harm."""
    assert key not in runtime.endpoints()
    runtime.tune(key, TUNED)
    runtime.cancel(key)
    runtime.stop(key)
    assert key not in runtime.endpoints()


def test_a_version_is_brought_and_answers(runtime, harness, key, bring):
    state = bring(runtime, key, GOOD)
    assert (state.model, state.alias, state.failed) == (key.model, key.alias, None)
    assert harness.ask(state, "/invocations", BODY) == (200, b'{"predictions":[0]}')


def test_bringing_it_again_changes_nothing(runtime, key, bring):
    before = bring(runtime, key, GOOD)
    assert bring(runtime, key, GOOD) == before


def test_a_swap_loses_no_request_of_who_follows_the_address(runtime, harness, key, bring, eventually):
    bring(runtime, key, GOOD)
    with Traffic(harness, harness.runtime(), key) as traffic:
        traffic.more(eventually)
        bring(runtime, key, BETTER)
        traffic.more(eventually, 50)
    assert traffic.failures == []


def test_a_version_nobody_wishes_for_any_more_is_dropped(runtime, harness, key, bring):
    before = bring(runtime, key, GOOD)
    runtime.bring(key, BETTER, wished=no)
    state = runtime.endpoints()[key]
    assert (state.serving, state.loading) == (GOOD, None)
    assert harness.ask(before)[0] == 200


def test_a_broken_version_keeps_the_last_good_and_says_why(runtime, harness, key, bring, eventually):
    bring(runtime, key, GOOD)
    said = failure_of(runtime, harness, key, BROKEN, eventually)
    assert "own input example" in said
    assert serving(harness, eventually, runtime, key, GOOD).serving == GOOD


def test_a_broken_first_version_serves_nothing_and_a_good_one_after_it_does(runtime, harness, key, bring, eventually):
    failure_of(runtime, harness, key, BROKEN, eventually)
    state = runtime.endpoints().get(key)
    assert state is None or (state.serving, state.up) == (None, False)
    assert bring(runtime, key, BETTER).serving == BETTER


def failure_of(runtime, harness, key, version, eventually):
    """Bring a version that fails; return why, whichever way the runtime says it."""
    try:
        runtime.bring(key, version, wished=yes)
    except SamovarError as error:
        return str(error)

    def failed():
        state = runtime.endpoints().get(key)
        return state is not None and state.failed == version and state

    return eventually(failed, harness.seconds, f"v{version} fails").reason


def test_a_version_on_its_way_is_cancelled(runtime, harness, key, bring, eventually):
    """What answered goes on."""
    bring(runtime, key, GOOD)
    wished = threading.Event()
    wished.set()
    trouble = []

    def load():
        try:
            runtime.bring(key, SLOW, wished=wished.is_set)
        except SamovarError as error:
            trouble.append(error)

    loading = threading.Thread(target=load)
    loading.start()
    try:
        eventually(lambda: runtime.endpoints()[key].loading == SLOW, harness.seconds, "it is loading")
        wished.clear()
        runtime.cancel(key)
    finally:
        loading.join(harness.seconds)
    assert not loading.is_alive()
    state = serving(harness, eventually, runtime, key, GOOD)
    runtime.cancel(key)
    assert runtime.endpoints()[key] == state


def test_a_stopped_endpoint_is_gone_and_can_come_back(runtime, harness, key, bring, eventually):
    bring(runtime, key, GOOD)
    runtime.stop(key)
    eventually(lambda: key not in runtime.endpoints(), harness.seconds, "it is gone")
    runtime.stop(key)
    assert bring(runtime, key, BETTER).serving == BETTER


def test_a_tuning_is_applied_reported_and_outlives_a_swap(runtime, harness, key, bring, eventually):
    assert bring(runtime, key, GOOD).tuning == PLAIN
    for _ in range(2):
        runtime.tune(key, TUNED)

    def tuned():
        state = runtime.endpoints()[key]
        return state.up and state.loading is None and state.tuning == TUNED and harness.workers(state) in (None, 2) and state

    eventually(tuned, harness.seconds, "it is tuned")
    bring(runtime, key, BETTER)
    eventually(tuned, harness.seconds, "it is still tuned")


def test_a_controller_with_an_older_lease_is_refused(harness, key, bring, eventually):
    """Whatever it asks; and the world stays as the younger one left it."""
    older, younger = harness.runtime(), harness.successor()
    bring(younger, key, GOOD)
    for order in (
        lambda: older.bring(key, BETTER, wished=yes),
        lambda: older.tune(key, TUNED),
        lambda: older.cancel(key),
        lambda: older.stop(key),
    ):
        with pytest.raises(Conflict):
            order()
    state = serving(harness, eventually, younger, key, GOOD)
    assert state.tuning == PLAIN
    assert bring(harness.successor(), key, BETTER).serving == BETTER


def test_a_new_controller_reads_the_world_and_goes_on(harness, key, bring, eventually):
    """Nothing that the old one knew is needed: which endpoints there are, what they serve, and how."""
    first = harness.runtime()
    bring(first, key, GOOD)
    before = first.endpoints()[key]
    second = harness.successor()
    assert second.endpoints()[key] == before
    assert bring(second, key, BETTER).serving == BETTER


def test_a_swap_whose_controller_died_is_finished_by_the_next(harness, key, bring, eventually):
    """The order was taken; nobody waits for it any more."""
    bring(harness.runtime(), key, GOOD)
    threading.Thread(target=harness.abandoned, args=(key, BETTER), daemon=True).start()
    watcher = harness.runtime()
    eventually(lambda: BETTER in (watcher.endpoints()[key].loading, watcher.endpoints()[key].serving), harness.seconds, "an order")
    heir = harness.successor()
    serving(harness, eventually, heir, key, BETTER)


def test_what_is_not_ours_is_left_alone(runtime, harness, key, eventually):
    """Not listed, not replaced, not stopped; the name being taken is said, not fought over."""
    there = harness.stranger(key)
    if there is None:
        pytest.skip("here nobody else can have an endpoint of ours")
    assert key not in runtime.endpoints()
    with pytest.raises(Conflict):
        runtime.bring(key, GOOD, wished=yes)
    runtime.stop(key)
    assert there()
    assert key not in runtime.endpoints()
