"""Whatever is moved, broken or killed, in any order: what runs becomes what the registry says, and what answered keeps answering.

The first machine runs the whole control core (planner, retries, vanishing, rejections, two controllers with one lease) in virtual
time over a runtime in memory; the second walks at random over a real agent with real workers.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from samovar.autoserve.controller import Controller
from samovar.autoserve.lease import Standing
from samovar.autoserve.plan import Key
from samovar.autoserve.protocol import EndpointState
from samovar.errors import Conflict, ModelError, RegistryUnavailable, Untrusted
from samovar.scoring.plan import FORMAT

KEYS = [Key("a", "Production"), Key("a", "Candidate"), Key("b", "Production")]
UNBUILDABLE, UNTRUSTED, CRASHING = 4, 5, 6
GOOD = (1, 2, 3)
keys, versions, controllers = st.sampled_from(KEYS), st.integers(1, 6), st.integers(0, 1)


class Host:
    """Endpoints in memory, and the youngest epoch heard. It does as an agent does."""

    def __init__(self):
        self.states = {}
        self.good = {}
        self.highest = 0

    def load(self, key, version):
        old = self.states.get(key) or EndpointState(*key, 8100)
        self.states[key] = msgspec.structs.replace(old, loading=version, failed=None, crashed=False, reason="")

    def arrive(self, key):
        """The version on its way answers its example, and then crashes or does not."""
        old = self.states[key]
        if old.loading is None:
            return
        if old.loading != CRASHING:
            self.good[key] = old.loading
        now = msgspec.structs.replace(old, loading=None, serving=old.loading, up=True, format=FORMAT)
        self.states[key] = self._crash(key, now) if old.loading == CRASHING else now

    def _crash(self, key, state):
        why = {"failed": CRASHING, "crashed": True, "failures": state.failures + 1, "reason": "It crashed 3 times in a row."}
        back = self.good.get(key)
        return msgspec.structs.replace(state, serving=back or CRASHING, up=back is not None, **why)

    def tumble(self, key):
        """A version that nothing stands behind goes on crashing."""
        if self.states[key].serving == CRASHING:
            self.states[key] = self._crash(key, self.states[key])


class Line:
    """One controller's line to the host."""

    def __init__(self, host):
        self.host, self.epoch = host, 0

    def _order(self):
        if self.epoch < self.host.highest:
            raise Conflict("A controller with a younger lease gives the orders here.")
        self.host.highest = self.epoch

    def endpoints(self):
        self.host.highest = max(self.host.highest, self.epoch)
        return dict(self.host.states)

    def bring(self, key, version, *, wished, again):
        if version == UNBUILDABLE:
            raise ModelError("It has no head.")
        if version == UNTRUSTED:
            raise Untrusted("It may run code.")
        if wished():
            self._order()
            self.host.load(key, version)

    def tune(self, key, tuning):
        self._order()
        self.host.states[key] = msgspec.structs.replace(self.host.states[key], tuning=tuning)

    def cancel(self, key):
        self._order()
        self.host.states[key] = msgspec.structs.replace(self.host.states[key], loading=None)

    def stop(self, key):
        self._order()
        self.host.states.pop(key, None)
        self.host.good.pop(key, None)


class Belief:
    """What one controller believes of the lease; it may be late, as one that was frozen is."""

    def __init__(self):
        self.epoch = 0

    def standing(self):
        return Standing(self.epoch, "" if self.epoch else "Another holds the lease.")

    def refused(self):
        self.epoch = 0


class Silence:
    """No database."""

    def event(self, *_, **__):
        pass

    observe = flush = event

    def trusted(self, *_):
        return False


class Inline:
    """Builds without threads: each is done when the machine says so."""

    def __init__(self, build):
        self.build, self.wanted = build, {}

    def submit(self, key, version):
        self.wanted[key] = version

    def cancel(self, key):
        self.wanted.pop(key, None)

    def clear(self):
        self.wanted.clear()

    def wished(self, key, version):
        return self.wanted.get(key) == version

    def wishes(self):
        return dict(self.wanted)

    def work(self):
        for key, version in list(self.wanted.items()):
            self.build(key, version)
            self.wanted.pop(key, None)


class Control(RuleBasedStateMachine):
    """Two controllers, one host, one registry."""

    Registry = None

    def __init__(self):
        super().__init__()
        self.registry, self.host = self.Registry(), Host()
        self.now, self.epoch = 0.0, 0
        self.served, self.gone = set(), set()
        self.made = [self.controller(), self.controller()]
        self.take_over(0)

    def controller(self):
        belief, line = Belief(), Line(self.host)
        made = Controller(self.registry, line, Silence(), lease=belief, clock=lambda: self.now)
        made._builds = Inline(made._build)
        return made, belief

    # --- what people, and fate, do

    @rule(key=keys, version=versions)
    def move(self, key, version):
        self.registry.born.setdefault(key.model, key.model)
        if (key.model, version) not in self.registry.deleted:
            self.registry.now = self.registry.now | {key: version}

    @rule(key=keys)
    def delete_alias(self, key):
        self.registry.now = {known: at for known, at in self.registry.now.items() if known != key}

    @precondition(lambda self: any(version in GOOD for version in self.registry.now.values()))
    @rule(data=st.data())
    def delete_version(self, data):
        key = data.draw(st.sampled_from(sorted(self.registry.now)))
        self.registry.delete_version(key.model, self.registry.now[key])

    @rule(down=st.booleans())
    def registry_is(self, *, down):
        self.registry.down = down

    @rule(seconds=st.sampled_from([1.0, 30.0, 400.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(number=controllers)
    def take_over(self, number):
        """The other one does not hear of it yet."""
        self.epoch += 1
        self.made[number][1].epoch = self.epoch

    @rule(number=controllers)
    def hear(self, number):
        belief = self.made[number][1]
        belief.epoch = belief.epoch if belief.epoch == self.epoch else 0

    @rule(number=controllers)
    def controller_is_killed(self, number):
        self.made[number] = self.controller()

    @rule(number=controllers)
    def controller_is_restarted_and_leads(self, number):
        self.controller_is_killed(number)
        self.take_over(number)

    @rule(number=controllers)
    def round(self, number):
        self.made[number][0].step()

    @rule()
    def all_goes_well(self):
        """A round of whoever leads, and all that comes of it."""
        for controller, belief in self.made:
            if belief.epoch == self.epoch:
                controller.step()
                controller._builds.work()
        self.aliases_are_watched()
        self.what_answered_keeps_answering()
        for key in KEYS:
            self.worker_is_ready(key)

    @rule(key=keys, version=st.sampled_from(GOOD))
    def move_and_see(self, key, version):
        self.move(key, version)
        self.all_goes_well()

    @rule(number=controllers)
    def builds_end(self, number):
        self.made[number][0]._builds.work()

    @rule(key=keys)
    def worker_is_ready(self, key):
        if key in self.host.states:
            self.host.arrive(key)

    @rule(key=keys)
    def worker_crashes(self, key):
        if key in self.host.states:
            self.host.tumble(key)

    @rule(key=keys)
    def loading_is_lost(self, key):
        """The agent was killed while a version was loading."""
        if key in self.host.states:
            self.host.states[key] = msgspec.structs.replace(self.host.states[key], loading=None)

    @rule()
    def host_is_lost(self):
        """A new one has nothing in memory."""
        self.host.states.clear()
        self.host.good.clear()
        self.served.clear()

    @rule(data=st.data())
    def a_person_clears_the_rejections(self, data):
        model = data.draw(st.sampled_from(["a", "b"]))
        self.registry.tags[model] = {tag: text for tag, text in self.registry.tags[model].items() if "rejected" not in tag}

    # --- what always holds

    @invariant()
    def aliases_are_watched(self):
        """An alias that was away at any time may end its endpoint, also when it is back by then."""
        self.gone |= self.served - self.registry.now.keys()

    @invariant()
    def what_answered_keeps_answering(self):
        """Until its alias is gone, some version that works answers."""
        for key in [key for key in self.served if key not in self.host.states]:
            assert key in self.gone, f"{key} was ended though its alias never went"
            self.served.discard(key)
            self.gone.discard(key)
        for key, state in self.host.states.items():
            if key in self.served:
                assert state.serving in (*GOOD,), f"{key} serves {state.serving}"
            elif state.serving in GOOD and state.up:
                self.served.add(key)

    # --- how it ends

    def teardown(self):
        self.registry.down = False
        self.hear(0)
        self.hear(1)
        if not any(belief.epoch for _, belief in self.made):
            self.controller_is_restarted_and_leads(0)
        (leader,) = [made for made, belief in self.made if belief.epoch]
        for _ in range(14):
            leader.step()
            leader._builds.work()
            for key in KEYS:
                self.worker_is_ready(key)
            leader.confirm()
            self.now += 400
        self.converged()

    def converged(self):
        assert set(self.host.states) <= set(self.registry.now)
        for key, version in self.registry.now.items():
            state = self.host.states.get(key)
            text = self.registry.tags[key.model].get(f"samovar.rejected.{version}", "")
            if version in GOOD and not text:
                assert state is not None, f"{key} wants {version}: nothing is there"
                assert (state.serving, state.loading) == (version, None), f"{key} wants {version}: {state}"
        assert not any(
            text for tags in self.registry.tags.values() for tag, text in tags.items() if tag[-1] in "123" and "rej" in tag
        )


def run(new_registry, *, examples=80, shrink=True):
    made = type("Machine", (Control,), {"Registry": staticmethod(new_registry)})
    run_state_machine_as_test(
        made,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
            report_multiple_bugs=False,
        ),
    )


def test_any_sequence_converges_and_what_answered_keeps_answering(new_registry):
    run(new_registry)


def sabotaged_planner(monkeypatch):
    """A version on its way is cancelled in every round."""
    from samovar.autoserve import controller as module
    from samovar.autoserve.plan import Cancel, plan

    def cancels(desired, actual, **more):
        return tuple(Cancel(action.key) if action.key in actual else action for action in plan(desired, actual, **more))

    monkeypatch.setattr(module, "plan", cancels)


def sabotaged_swap(monkeypatch):
    """The old version goes before the new one answers."""

    def load(self, key, version):
        self.states[key] = EndpointState(*key, 8100, loading=version)

    monkeypatch.setattr(Host, "load", load)


def sabotaged_memory(monkeypatch):
    """A failed version is never tried again."""
    from samovar.autoserve import retries
    from samovar.autoserve.backoff import Backoff

    monkeypatch.setattr(retries, "BACKOFF", Backoff(first=1e9, longest=1e9))
    monkeypatch.setattr(Line, "bring", lambda *_, **__: (_ for _ in ()).throw(RegistryUnavailable("The store is away.")))


@pytest.mark.parametrize("sabotage", [sabotaged_planner, sabotaged_swap, sabotaged_memory])
def test_the_machine_finds_a_mechanism_that_is_switched_off(new_registry, monkeypatch, sabotage):
    sabotage(monkeypatch)
    with pytest.raises((AssertionError, ExceptionGroup)):
        run(new_registry, examples=400, shrink=False)


# --- the same over real processes -----------------------------------------------------------------------------------------------

BEHAVIOUR = {4: {"broken": ""}, 5: {"crashes": ""}}


class Walk:
    """One random walk; every step is something that happens to a stack."""

    def __init__(self, world, get, seed):
        self.world, self.get, self.dice = world, get, random.Random(seed)
        self.world.delivery.behaviour = BEHAVIOUR
        self.world.delivery.errors = {3: ModelError("It has no head.")}
        self.keys = [Key("m", "Production"), Key("m", "Candidate"), Key("n", "Production")]
        self.good = (1, 2, 6)
        self.served = {}

    def move(self):
        self.world.registry.now = self.world.registry.now | {self.dice.choice(self.keys): self.dice.randint(1, 6)}

    def controller(self):
        self.world.start()

    def agent(self):
        self.world.agent.kill()
        self.world.agent.start()

    def worker(self):
        states = [state for state in self.world.agent.link.endpoints().values() if state.pid]
        if states:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.dice.choice(states).pid, signal.SIGKILL)

    def registry(self):
        self.world.registry.down = not self.world.registry.down

    def time(self):
        self.world.clock += self.dice.choice([1, 5, 70])

    def step(self):
        does = self.dice.choices(
            [self.move, self.controller, self.agent, self.worker, self.registry, self.time], [6, 1, 1, 2, 1, 3]
        )[0]
        does()
        for _ in range(self.dice.randint(0, 3)):
            self.world.controller.step()
        self.check()

    def check(self):
        """What once answered answers, if not now then as soon as a worker is back."""
        for key, state in self.world.agent.link.endpoints().items():
            if state.up and state.serving in self.good:
                self.served[key] = state.port
        for key, port in self.served.items():
            self.world.eventually(lambda port=port: self.answers(port), 20, f"{key} answers")

    def answers(self, port):
        with contextlib.suppress(OSError, ValueError):
            return self.get(port)
        return None

    def end(self):
        self.world.registry.down = False
        self.world.eventually(self.settled, 60, "the registry's wish")
        self.check()

    def settled(self):
        self.world.clock += 100
        self.world.controller.step()
        found = {(status.model, status.alias): status for status in self.world.controller.statuses()}
        return all(
            found[key].serving == version and found[key].condition == "Ready"
            for key, version in self.world.registry.now.items()
            if version in self.good
        )


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_walk_over_real_processes_converges(world, get, seed):
    walk = Walk(world, get, seed)
    walk.world.registry.now = dict.fromkeys(walk.keys, 1)
    for key in walk.keys:
        world.ready(1, key)
    for _ in range(25):
        walk.step()
    walk.end()
