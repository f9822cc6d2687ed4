"""The plan leads any world to the registry's wish, and never takes a working endpoint down on the way."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from samovar.autoserve.plan import Actual, Cancel, Key, Start, Stop, Swap, Tune, plan
from samovar.autoserve.tuning import PLAIN, Tuning

keys = st.sampled_from([Key(model, alias) for model in "ab" for alias in ("Production", "Candidate")])
versions = st.integers(1, 4)
worlds = st.dictionaries(keys, versions)
tunings = st.sampled_from([PLAIN, Tuning(shadow=("Candidate",)), Tuning(workers=2)])
actuals = st.dictionaries(keys, st.builds(Actual, serving=st.none() | versions, loading=st.none() | versions, tuning=tunings))
blocks = st.frozensets(st.tuples(keys, versions))


def after(actual, action):
    """The world in which an action has been carried out with success."""
    match action:
        case Start(key, version) | Swap(key, version):
            return actual | {key: Actual(serving=version, tuning=actual.get(key, Actual()).tuning)}
        case Cancel(key):
            return actual | {key: Actual(serving=actual[key].serving, tuning=actual[key].tuning)}
        case Tune(key, tuning):
            return actual | {key: msgspec.structs.replace(actual[key], tuning=tuning)}
        case Stop(key):
            return {known: state for known, state in actual.items() if known != key}


@given(worlds, actuals, st.dictionaries(keys, tunings))
def test_a_finite_number_of_rounds_reaches_the_wish(desired, actual, wished):
    """Whatever runs at first, everything that is loading ends and every action succeeds: the world is as desired."""
    for _ in range(3):
        for action in plan(desired, actual, stoppable=actual, tunings=wished):
            actual = after(actual, action)
        actual = {key: Actual(serving=state.loading or state.serving, tuning=state.tuning) for key, state in actual.items()}
    assert {key: state.serving for key, state in actual.items()} == desired
    assert {key: state.tuning for key, state in actual.items()} == {key: wished.get(key, PLAIN) for key in desired}
    assert plan(desired, actual, stoppable=actual, tunings=wished) == ()


@given(worlds, actuals, blocks)
def test_each_endpoint_gets_at_most_one_action_about_its_version(desired, actual, blocked):
    actions = plan(desired, actual, stoppable=actual, blocked=blocked)
    for kind in (True, False):
        touched = [action.key for action in actions if isinstance(action, Tune) is kind]
        assert len(touched) == len(set(touched))


@given(worlds, actuals, blocks)
def test_what_is_blocked_is_not_tried(desired, actual, blocked):
    actions = plan(desired, actual, stoppable=actual, blocked=blocked)
    assert not {(action.key, action.version) for action in actions if isinstance(action, Start | Swap)} & blocked


@given(worlds, actuals, blocks)
def test_nothing_stops_that_is_desired_or_was_not_released(desired, actual, blocked):
    assert not any(isinstance(action, Stop) for action in plan(desired, actual, blocked=blocked))
    stopped = {action.key for action in plan(desired, actual, stoppable=actual, blocked=blocked) if isinstance(action, Stop)}
    assert stopped == set(actual) - set(desired)


@given(worlds, actuals)
def test_what_is_on_its_way_is_left_to_arrive(desired, actual):
    """A slow build is not started again at every poll."""
    for action in plan(desired, actual, stoppable=actual):
        if isinstance(action, Start | Swap):
            assert actual.get(action.key, Actual()).loading != action.version


class Convergence(RuleBasedStateMachine):
    """Aliases move, builds end well or badly, in any order; polls happen in between."""

    def __init__(self):
        super().__init__()
        self.desired = {}
        self.actual = {}
        self.ever_served = set()

    @rule(key=keys, version=versions)
    def move(self, key, version):
        self.desired[key] = version

    @rule(key=keys)
    def delete(self, key):
        self.desired.pop(key, None)

    @rule()
    def poll(self):
        for action in plan(self.desired, self.actual, stoppable=self.actual):
            match action:
                case Start(key, version) | Swap(key, version):
                    self.actual[key] = Actual(self.actual.get(key, Actual()).serving, version)
                case Cancel(key):
                    self.actual[key] = Actual(self.actual[key].serving)
                case Stop(key):
                    del self.actual[key]
                    self.ever_served.discard(key)

    @rule(key=keys, succeeds=st.booleans())
    def arrive(self, key, succeeds):
        state = self.actual.get(key)
        if state is not None and state.loading is not None:
            self.actual[key] = Actual(state.loading if succeeds else state.serving)
            if succeeds:
                self.ever_served.add(key)

    @invariant()
    def once_served_always_served(self):
        """Until its alias is deleted, an endpoint that answered keeps answering."""
        assert all(self.actual[key].serving is not None for key in self.ever_served)

    def teardown(self):
        for _ in range(3):
            self.poll()
            for key in list(self.actual):
                self.arrive(key=key, succeeds=True)
        assert {key: state.serving for key, state in self.actual.items()} == self.desired


TestConvergence = Convergence.TestCase
