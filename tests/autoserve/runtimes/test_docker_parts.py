"""The Docker runtime's parts that need no engine: what is written on a container is read back, and endings are understood."""

from __future__ import annotations

import io
import struct
import tarfile

import pytest

from samovar.autoserve.naming import endpoint_name
from samovar.autoserve.plan import Key
from samovar.autoserve.runtimes.docker import boxes, endings, engine, recipe
from samovar.autoserve.runtimes.docker.boxes import Offer
from samovar.autoserve.standalone import codes
from samovar.autoserve.tuning import Tuning
from samovar.errors import ModelError, NotFound, RegistryUnavailable, SettingsError, Untrusted

OFFER = Offer(
    Key("a b/ü", "Production"), 3, "1.2.0", "origin", "image:1", format=2, tuning=Tuning(workers=2, memory_mb=300.0), trusted=True
)
PLACEMENT = recipe.Placement("mine", "net", "image:1", "http://mlflow:5000", secrets={"MLFLOW_TRACKING_TOKEN": "a-secret"})


def listed(offer=OFFER, name=None, **changed):
    """An entry of the engine's list."""
    labels = boxes.labels(offer, "mine", generation=4, epoch=9)
    networks = {"net": {"IPAddress": "10.0.0.2"}}
    return {
        "Id": "0" * 64,
        "Names": ["/" + (name or endpoint_name(*offer.key))],
        "Labels": labels,
        "State": "running",
        "Status": "Up 3 seconds (healthy)",
        "Created": 1,
        "NetworkSettings": {"Networks": networks},
    } | changed


def test_what_is_written_on_a_container_is_read_back():
    """Names with spaces and signs, and the tuning too."""
    box = boxes.read(listed(), "net")
    assert (box.offer, box.generation, box.epoch) == (OFFER, 4, 9)
    assert (box.role, box.healthy, box.address) == ("current", True, "10.0.0.2")


@pytest.mark.parametrize(
    ("name", "role"), [(boxes.candidate_name(OFFER.key, 4), "candidate"), (boxes.retired_name(OFFER.key, 4), "retired")]
)
def test_its_name_says_which_part_it_plays(name, role):
    assert boxes.read(listed(name=name), "net").role == role


@pytest.mark.parametrize("damage", [{"Labels": {"project": "mlops"}}, {"Labels": None}, {"Names": []}])
def test_what_is_not_written_as_ours_is_not_taken_for_ours(damage):
    assert boxes.read(listed(**damage), "net") is None


def test_limits_are_those_of_all_workers_and_no_secret_is_in_the_request():
    body = recipe.container(OFFER, PLACEMENT, generation=1, epoch=1)
    assert body["HostConfig"]["Memory"] == body["HostConfig"]["MemorySwap"] == 600_000_000
    assert "a-secret" not in str(body)
    assert {"--trust", "--workers=2", "--version=3"} <= {*body["Cmd"]}


def test_secrets_are_files_of_the_endpoints_user_alone():
    with tarfile.open(fileobj=io.BytesIO(recipe.archive(PLACEMENT.secrets))) as tar:
        folder, file = tar.getmembers()
        assert (folder.mode, file.mode, file.uid, file.name) == (0o700, 0o400, recipe.USER, "secrets/MLFLOW_TRACKING_TOKEN")


class Ended:
    """An engine with one container that has ended."""

    def __init__(self, code, said="", *, killed=False):
        self.state = {"ExitCode": code, "OOMKilled": killed}
        self.said = said

    def inspect(self, _name):
        return {"State": self.state}

    def logs(self, _name):
        return self.said


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (codes.UNTRUSTED, Untrusted),
        (codes.NOT_FOUND, NotFound),
        (codes.UNAVAILABLE, RegistryUnavailable),
        (codes.WRONG_SETTINGS, SettingsError),
        (codes.MODEL_FAILS, ModelError),
        (139, ModelError),
    ],
)
def test_an_ending_becomes_the_error_that_says_what_to_do(code, kind):
    error = endings.why(Ended(code, '{"event": "x"}\nerror: The reason.\n{"event": "y"}\n'), boxes.read(listed(), "net"))
    assert type(error) is kind
    assert str(error) == "The reason."


def test_a_container_killed_for_its_memory_says_so():
    assert "samovar.memory_mb" in str(endings.why(Ended(137, killed=True), boxes.read(listed(), "net")))


def test_both_streams_of_a_log_are_put_together():
    framed = b"".join(struct.pack(">BxxxL", stream, len(text)) + text for stream, text in ((1, b"one\n"), (2, b"two\n")))
    assert engine._unframed(framed) == "one\ntwo\n"
    assert engine._unframed(framed[:-2]) == "one\ntw"
