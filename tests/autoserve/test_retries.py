"""Failures are tried again, ever less often, and forgotten when they no longer matter."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from samovar.autoserve.backoff import Backoff
from samovar.autoserve.plan import Key
from samovar.autoserve.retries import Retries

KEY = Key("m", "Production")


@given(st.integers(0, 10_000), st.floats(0.001, 10), st.floats(10, 1000))
def test_delays_grow_and_stay_bounded(failures, first, longest):
    schedule = Backoff(first, longest)
    assert schedule.delay(failures) <= schedule.delay(failures + 1) <= longest
    assert schedule.delay(0) == 0


def test_a_failed_version_is_not_tried_at_every_poll():
    """Ten minutes of one poll a second try a broken version about ten times, not six hundred."""
    now = [0.0]
    retries = Retries(lambda: now[0])
    attempts = 0
    for second in range(600):
        now[0] = float(second)
        if (KEY, 1) not in retries.blocked():
            attempts += 1
            retries.note(KEY, 1, "broken")
    assert 5 <= attempts <= 12
    assert retries.failure(KEY, 1).reason == "broken"


def test_an_untrusted_version_waits_for_a_person_not_for_a_clock():
    now = [0.0]
    retries = Retries(lambda: now[0])
    retries.note(KEY, 1, "untrusted", untrusted=True)
    now[0] = 1e9
    assert (KEY, 1) in retries.blocked()
    retries.forgive(*retries.untrusted()[0])
    assert retries.blocked() == frozenset()


def test_setting_the_alias_anew_is_a_fresh_attempt():
    retries = Retries(lambda: 0.0)
    retries.note(KEY, 1, "broken")
    retries.keep_only({KEY: 2})
    retries.keep_only({KEY: 1})
    assert retries.blocked() == frozenset()
