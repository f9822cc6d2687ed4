"""What the agent, its workers, the zygote and the controller say to each other.

One message is one packet of a Unix ``SOCK_SEQPACKET`` socket (``transport``), in MessagePack, told apart by its ``type``. Plans and
listening sockets travel beside the message as descriptors (SCM_RIGHTS), never inside it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from samovar.autoserve.tuning import PLAIN, Tuning

WorkerState = Literal["loading", "accepting", "draining", "failed"]


class Identity(msgspec.Struct, frozen=True):
    """Which worker this is; it survives the agent.

    Attributes:
        token: unique name of the worker.
        model: registered model.
        alias: alias of the endpoint.
        version: version it serves.
        label: what answers call the version.
        origin: digest that tells this model version from a later one with the same number.
        generation: grows with each offer at the endpoint: of two workers the younger offer wins.
        engine: who computes its answers, as in the plan; empty when a worker of an earlier Samovar does not say.
        format: format of its plan; 0 when it does not say.
        notes: why the engine is what it is, in one sentence.
        environment: name of the environment of its own that it runs in; empty for the host's.
    """

    token: str
    model: str
    alias: str
    version: int
    label: str
    origin: str
    generation: int
    engine: str = ""
    format: int = 0
    notes: str = ""
    environment: str = ""


# --- controller -> agent ------------------------------------------------------------------------------------------------------
# The orders among these carry the number of the controller's lease, ``epoch``; the agent refuses one older than it has heard.


class Serve(msgspec.Struct, frozen=True, tag="serve"):
    """Serve a version. Carries the sealed plan, or nothing when the agent may have it already (see ``Missing``).

    Attributes:
        model: registered model.
        alias: alias of the endpoint.
        version: version to serve.
        label: what answers call the version.
        origin: see ``Identity``.
        format: format of the plan; a plan of another format in the agent's memory is not taken for it.
        engine: the plan's engine, which says what its workers must find imported; known when the plan is carried.
        notes: why the engine is what it is; known when the plan is carried.
        environment: name of the environment that its workers run in, empty for the host's; known when the plan is carried.
    """

    model: str
    alias: str
    version: int
    label: str = ""
    origin: str = ""
    format: int = 0
    engine: str = ""
    notes: str = ""
    epoch: int = 0
    environment: str = ""


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Forget the version that is loading."""

    model: str
    alias: str
    epoch: int = 0


class Stop(msgspec.Struct, frozen=True, tag="stop"):
    """End an endpoint; its address stays reserved."""

    model: str
    alias: str
    epoch: int = 0


class Tune(msgspec.Struct, frozen=True, tag="tune"):
    """Change how an endpoint serves; the agent passes it on to the endpoint's workers, as it came."""

    model: str
    alias: str
    tuning: Tuning = PLAIN
    epoch: int = 0


class List(msgspec.Struct, frozen=True, tag="list"):
    """Answered by one ``EndpointState`` per endpoint, then ``Done``. Never refused, but an epoch is heard here too."""

    epoch: int = 0


class Shutdown(msgspec.Struct, frozen=True, tag="shutdown"):
    """End all workers, then the agent. Answered when they are gone."""

    grace: float = 2.0


class Build(msgspec.Struct, frozen=True, tag="build"):
    """Have a version built in a fork of the zygote. Carries the sealed request and a socket for the answer (``Built``).

    Answered by ``Done`` when the zygote has it, and by ``Missing`` while there is no zygote.
    """

    model: str
    version: int
    seconds: float
    epoch: int = 0


class Built(msgspec.Struct, frozen=True, tag="built"):
    """A builder's answer, over the socket that came with the order. Carries the sealed plan when there is one."""

    condition: Literal["Built", "Untrusted", "Failed"]
    message: str = ""
    remedy: str = ""


# --- agent -> controller ------------------------------------------------------------------------------------------------------


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The request was taken."""


class Missing(msgspec.Struct, frozen=True, tag="missing"):
    """The agent has no plan of that version in memory: send it."""


class Refusal(msgspec.Struct, frozen=True, tag="refusal"):
    """The request cannot be done; ``message`` says why.

    Attributes:
        message: why, in one sentence.
        stale: a controller with a younger lease has spoken.
        host_fault: the version is not at fault; another host may well take it.
    """

    message: str
    stale: bool = False
    host_fault: bool = False


class EndpointState(msgspec.Struct, frozen=True, tag="endpoint"):
    """One endpoint as the agent sees it.

    Attributes:
        model: registered model.
        alias: alias.
        port: TCP port on the loopback, for life.
        serving: version that answers, or comes back; None when none ever did.
        label: what answers call it.
        up: whether a worker accepts connections now.
        loading: version whose worker is loading.
        failed: version that failed last, and was not replaced since.
        failures: failed offers since the endpoint exists; tells one failure from the next.
        reason: why it failed, one sentence.
        pid: first process that answers; 0 when none does.
        restarts: times a worker came back after a crash.
        since: when ``serving`` began to answer, seconds since the epoch.
        engine: who computes the answers of ``serving``.
        format: format of its plan.
        notes: why the engine is what it is, in one sentence.
        pids: all processes that answer.
        host: address that it listens at.
        tuning: how it serves.
        warnings: what is wrong with it although it serves, each in one sentence.
        environments: environments of their own that its versions in memory need.
        crashed: whether ``failed`` did answer its example, and then crashed again and again.
        origin: digest that tells ``serving`` from a later version with the same number; empty where nobody knows.
        host_fault: whether ``failed`` failed by this host's fault: another host may well serve it.
    """

    model: str
    alias: str
    port: int
    serving: int | None = None
    label: str = ""
    up: bool = False
    loading: int | None = None
    failed: int | None = None
    failures: int = 0
    reason: str = ""
    pid: int = 0
    restarts: int = 0
    since: float = 0.0
    engine: str = ""
    format: int = 0
    notes: str = ""
    pids: tuple[int, ...] = ()
    host: str = "127.0.0.1"
    tuning: Tuning = PLAIN
    warnings: tuple[str, ...] = ()
    environments: tuple[str, ...] = ()
    crashed: bool = False
    origin: str = ""
    host_fault: bool = False


# --- worker <-> agent ---------------------------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """A worker calls home, at its birth or to be adopted. Carries its listening socket, its plan, and its peers' socket.

    Attributes:
        identity: who it is.
        state: how far it is.
        since: when it began to accept, seconds since the epoch.
        beats: it sends ``Beat``, so that its silence means something.
        tuning: how it serves, for an agent that knows nothing yet.
        keys: digest of the API keys that it knows; empty when it asks nobody for one.
        inherited: bytes that it shared with its zygote at its birth, which are no fault of its own when the zygote is gone.
    """

    identity: Identity
    state: WorkerState
    since: float = 0.0
    beats: bool = False
    tuning: Tuning = PLAIN
    keys: str = ""
    inherited: int = 0


class Changed(msgspec.Struct, frozen=True, tag="changed"):
    """A worker's state changed.

    Attributes:
        state: the new one.
        reason: why it failed.
        unreadable: its plan is of another format, so no worker of this Samovar can serve it.
        host_fault: it failed by the host's fault, not the version's.
    """

    state: WorkerState
    reason: str = ""
    unreadable: bool = False
    host_fault: bool = False


class Beat(msgspec.Struct, frozen=True, tag="beat"):
    """A worker's event loop turns. Sent every second."""


class Drain(msgspec.Struct, frozen=True, tag="drain"):
    """Stop accepting, answer what came, leave."""


# --- agent <-> zygote ---------------------------------------------------------------------------------------------------------


class Fork(msgspec.Struct, frozen=True, tag="fork"):
    """Make a worker. Carries the listening socket, the plan, and the peers' socket.

    Attributes:
        identity: who it shall be.
        tuning: how it shall serve.
        memory: bytes that it may take; 0 is no limit.
    """

    identity: Identity
    tuning: Tuning = PLAIN
    memory: int = 0


class Forked(msgspec.Struct, frozen=True, tag="forked"):
    """A worker was made, or with an empty ``token`` a builder. Carries its pidfd, opened before anybody could reap it."""

    token: str
    pid: int


Message = (
    Serve
    | Cancel
    | Stop
    | Tune
    | List
    | Shutdown
    | Build
    | Built
    | Done
    | Missing
    | Refusal
    | EndpointState
    | Hello
    | Changed
    | Beat
    | Drain
    | Fork
    | Forked
)

Order = Serve | Cancel | Stop | Tune | Build
"""What changes something, and therefore carries an epoch."""

_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)
_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Write one message."""
    return _encoder.encode(message)


def decode(packet: bytes) -> Message:
    """Read one message; raises ``msgspec.DecodeError``."""
    return _decoder.decode(packet)
