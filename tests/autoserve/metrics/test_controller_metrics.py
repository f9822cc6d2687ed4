"""What the controller counts: moves from being seen to being served, conditions, deliveries; as Prometheus' own parser reads it."""

from __future__ import annotations

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from samovar.autoserve.controller import Health, Round
from samovar.autoserve.doorbell.bell import Bell
from samovar.autoserve.doorbell.keeper import DoorbellState
from samovar.autoserve.metrics.controller import ControllerMetrics
from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.status import EndpointStatus


class Doorbell:
    def __init__(self):
        self.bell = Bell("secret", lambda: None)
        self.state = DoorbellState("ringing")


class Watched:
    """Metrics with a clock of the test's, and one endpoint."""

    def __init__(self, model="m"):
        self.now = 1000.0
        self.health = Health()
        self.doorbell = Doorbell()
        self.metrics = ControllerMetrics(lambda: self.health, self.doorbell, clock=lambda: self.now)
        self.status = EndpointStatus(
            endpoint_name(model, "A"), model, "A", 1, 1, "v1", "http://127.0.0.1:1", "Ready", "", pids=(7,)
        )

    def round(self, at, *, whole=True, **changed):
        self.now = at
        self.status = msgspec.structs.replace(self.status, **changed)
        self.metrics(Round((self.status,), 0.0, whole=whole))

    def value(self, name, **labels):
        for family in text_string_to_metric_families(self.metrics.render()):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return None


@pytest.fixture
def watched():
    return Watched()


def test_a_swap_is_measured_from_being_seen_to_the_first_answer(watched):
    """The agent's word counts for the end, however late the controller looks."""
    watched.round(1000)
    watched.round(1010, wanted=2)
    watched.round(1010.2)
    assert watched.value("samovar_moves_pending") == 1
    watched.round(1015, serving=2, since=1010.4)
    assert watched.value("samovar_swap_seconds_count", kind="swap") == 1
    assert watched.value("samovar_swap_seconds_sum", kind="swap") == pytest.approx(0.4)
    assert watched.value("samovar_swap_seconds_bucket", kind="swap", le="0.5") == 1
    assert watched.value("samovar_swap_seconds_bucket", kind="swap", le="0.25") == 0
    assert watched.value("samovar_moves_pending") == 0


def test_what_was_there_before_us_is_no_move(watched):
    """After the controller's own start, and in rounds that change nothing."""
    for at in (1000, 1001, 1002):
        watched.round(at)
    assert watched.value("samovar_swap_seconds_count", kind="swap") == 0
    assert watched.value("samovar_swap_seconds_count", kind="start") == 0


def test_a_move_that_is_overtaken_counts_once_for_the_last(watched):
    watched.round(1000)
    watched.round(1001, wanted=2)
    watched.round(1003, wanted=3)
    watched.round(1004, serving=3, since=1004)
    assert watched.value("samovar_swap_seconds_sum", kind="swap") == pytest.approx(1)
    assert watched.value("samovar_swap_seconds_count", kind="swap") == 1


def test_a_move_whose_end_is_seen_with_the_next_one_counts(watched):
    """The loop is woken by the next move, not by the end of this one."""
    watched.round(1000)
    watched.round(1001, wanted=2)
    watched.round(1005, wanted=3, serving=2, since=1002)
    assert watched.value("samovar_swap_seconds_sum", kind="swap") == pytest.approx(1)
    assert watched.value("samovar_moves_pending") == 1


def test_a_first_version_is_a_start(watched):
    watched.metrics(Round((), 0.0, whole=True))
    watched.round(1001, serving=None, pids=(), condition="Starting")
    watched.round(1003, serving=1, pids=(7,), since=1003, condition="Ready")
    assert watched.value("samovar_swap_seconds_count", kind="start") == 1


def test_conditions_versions_and_rounds(watched):
    """Every condition has a series from the start, so that an alert can be written on it."""
    watched.round(1000)
    watched.round(1001, whole=False, wanted=2, condition="Degraded", reason="broken")
    assert watched.value("samovar_endpoints", condition="Degraded") == 1
    assert watched.value("samovar_endpoints", condition="Failed") == 0
    assert watched.value("samovar_endpoint_wanted_version", model="m", alias="A") == 2
    assert watched.value("samovar_endpoint_serving_version", model="m", alias="A") == 1
    assert watched.value("samovar_endpoint_condition", model="m", condition="Degraded") == 1
    assert (watched.value("samovar_endpoints_desired"), watched.value("samovar_endpoints_serving")) == (1, 1)
    assert watched.value("samovar_last_success_timestamp_seconds") == 1000
    assert watched.value("samovar_last_error_timestamp_seconds") == 1001
    assert watched.value("samovar_reconciles_total", result="incomplete") == 1


def test_health_lease_and_doorbell(watched):
    watched.health = Health(registry="away", held=("m@A", "m@B"), standby="another acts", epoch=0)
    watched.doorbell.bell.deliver({}, b"")
    assert (watched.value("samovar_registry_up"), watched.value("samovar_runtime_up")) == (0, 1)
    assert (watched.value("samovar_lease_held"), watched.value("samovar_aliases_held")) == (0, 2)
    assert watched.value("samovar_doorbell_deliveries_total", result="malformed") == 1
    assert watched.value("samovar_doorbell_deliveries_total", result="rung") == 0
    assert watched.value("samovar_doorbell_ringing") == 1


def test_any_name_of_a_model_is_written_so_that_it_can_be_read():
    watched = Watched('a"b\\c\n \u00fc\U0001f600')
    watched.round(1000)
    assert watched.value("samovar_endpoint_serving_version", model='a"b\\c\n \u00fc\U0001f600') == 1
