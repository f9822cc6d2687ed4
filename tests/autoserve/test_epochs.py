"""An agent obeys the controller with the youngest lease, and nobody with an older one."""

from __future__ import annotations

import pytest

from samovar.autoserve import protocol
from samovar.autoserve.agent.epochs import Epochs
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.process.link import AgentLink
from samovar.autoserve.tuning import Tuning
from samovar.errors import Conflict

KEY = Key("m", "Production")


@pytest.fixture
def links(agent, fake_plan):
    """An agent that serves v1, and two controllers' lines to it: the stale one's and the young one's."""
    agent.serve(fake_plan(version=1))
    agent.serving(1)
    found = stale, young = AgentLink(agent.run_dir), AgentLink(agent.run_dir)
    stale.epoch, young.epoch = 7, 8
    return found


ORDERS = {
    "serve": lambda link: link.serve(protocol.Serve("m", "Production", 2)),
    "cancel": lambda link: link.cancel(KEY),
    "stop": lambda link: link.stop(KEY),
    "tune": lambda link: link.tune(KEY, Tuning(workers=2)),
    "build": lambda link: link.build(protocol.Build("m", 2, 1.0), 0),
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_an_order_of_a_stale_controller_is_refused_and_changes_nothing(agent, links, order):
    """Also when the younger one has only looked."""
    stale, young = links
    stale.cancel(KEY)
    young.endpoints()
    before = agent.state()
    with pytest.raises(Conflict, match="younger lease"):
        order(stale)
    assert agent.state() == before
    young.tune(KEY, Tuning(shadow=("Candidate",)))
    assert agent.state().tuning == Tuning(shadow=("Candidate",))


def test_every_order_is_tried_here():
    """One that is added to the protocol without an epoch, or without a case above, fails here."""
    orders = {kind.__struct_config__.tag for kind in protocol.Order.__args__}
    assert orders == set(ORDERS)
    assert all("epoch" in kind.__struct_fields__ for kind in protocol.Order.__args__)


def test_an_agent_that_was_killed_still_refuses(agent, links):
    stale, young = links
    young.endpoints()
    agent.kill()
    agent.start()
    agent.serving(1)
    with pytest.raises(Conflict):
        stale.stop(KEY)


def test_an_agent_that_ended_in_order_starts_from_nothing(agent, links):
    """What a person does when the app database was set back: nobody must edit a file."""
    stale, young = links
    young.endpoints()
    young.shutdown()
    agent.process.wait(15)
    agent.start()
    stale.cancel(KEY)


def test_a_file_that_is_no_number_is_no_epoch(tmp_path):
    path = tmp_path / "epoch"
    path.write_text("nonsense")
    assert Epochs(path).highest == 0
    assert Epochs(path).admit(3)
    assert not Epochs(path).admit(2)


def test_a_disk_that_takes_nothing_does_not_stop_orders(tmp_path):
    epochs = Epochs(tmp_path / "file" / "epoch")
    (tmp_path / "file").write_text("in the way")
    assert epochs.admit(3)
    assert not epochs.admit(2)
