"""One death costs nothing, a crash loop calms down."""

from __future__ import annotations

from samovar.stack.backoff import LONGEST_SECONDS, STEADY_SECONDS, Backoff


def test_a_steady_program_is_started_again_at_once():
    backoff = Backoff()
    assert all(backoff.after(STEADY_SECONDS) < 0.5 for _ in range(50))


def test_four_quick_deaths_in_a_row_still_wait_less_than_a_second():
    """Somebody may kill a process again before it has settled."""
    backoff = Backoff()
    assert all(backoff.after(0.0) < 1.0 for _ in range(4))


def test_waits_grow_to_a_bound_and_shrink_again():
    backoff = Backoff()
    waits = [backoff.after(0.0) for _ in range(20)]
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_SECONDS
    assert backoff.after(STEADY_SECONDS) == waits[0]
