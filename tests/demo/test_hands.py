"""What the demo's storyteller hears of the process that does the steps."""

import os
import signal

import pytest

from samovar.demo.hands import Hands
from samovar.errors import GiveUp, NotFound


class Work:
    """Steps that end in every way a step can end."""

    closed = False

    def where(self, offset):
        return os.getpid() + offset

    def count(self, progress=None):
        for done in (1, 2):
            progress("count", done, 2, None)
        return "counted"

    def refuse(self):
        raise NotFound("No dataset.", remedy="Ingest one.")

    def blunder(self):
        return {}["missing"]

    def die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def close(self):
        self.closed = True


@pytest.fixture
def hands():
    made = Hands(Work())
    yield made
    made.close()


def test_a_step_runs_in_another_process_and_its_result_comes_back(hands):
    assert hands.do("where", 0) not in (os.getpid(), hands.do("where", 1))


def test_progress_is_told_while_the_step_runs(hands):
    seen = []
    assert hands.do("count", progress=lambda *state: seen.append(state)) == "counted"
    assert seen == [("count", 1, 2, None), ("count", 2, 2, None)]


def test_an_error_raised_on_purpose_is_raised_here_with_its_remedy(hands):
    with pytest.raises(NotFound, match=r"No dataset\. Ingest one\."):
        hands.do("refuse")


def test_a_defect_ends_its_own_step_alone(hands):
    with pytest.raises(GiveUp, match="KeyError"):
        hands.do("blunder")
    assert hands.do("where", 0)


def test_a_process_that_dies_is_an_error_and_no_endless_wait(hands):
    with pytest.raises(GiveUp, match="ended"):
        hands.do("die")


def test_nothing_is_left_after_closing(hands):
    pid = hands.do("where", 0)
    hands.close()
    hands.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
