"""From what the registry wants and what runs to what must be done. Pure: no clock, no network, no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from samovar.autoserve.tuning import PLAIN, Tuning

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


class Key(NamedTuple):
    """One alias of one registered model: what an endpoint stands for."""

    model: str
    alias: str


class Actual(msgspec.Struct, frozen=True):
    """What runs at an endpoint.

    Attributes:
        serving: version that answers (or comes back after a crash); None when none ever did.
        loading: version on its way: being built, or its worker is loading.
        tuning: how it serves.
        failing: whether the version that answers keeps crashing.
    """

    serving: int | None = None
    loading: int | None = None
    tuning: Tuning = PLAIN
    failing: bool = False


class Start(msgspec.Struct, frozen=True):
    """Serve a version where nothing answers yet."""

    key: Key
    version: int


class Swap(msgspec.Struct, frozen=True):
    """Replace the version that answers."""

    key: Key
    version: int


class Cancel(msgspec.Struct, frozen=True):
    """Forget the version that is on its way: the alias no longer wants it."""

    key: Key


class Stop(msgspec.Struct, frozen=True):
    """End an endpoint whose alias is gone."""

    key: Key


class Tune(msgspec.Struct, frozen=True):
    """Change how an endpoint serves."""

    key: Key
    tuning: Tuning


Action = Start | Swap | Cancel | Stop | Tune


NOTHING = Actual()
"""What runs where there is no endpoint."""


def plan(  # noqa: PLR0913 - both sides, and what holds them back
    desired: Mapping[Key, int],
    actual: Mapping[Key, Actual],
    *,
    stoppable: Collection[Key] = (),
    blocked: Collection[tuple[Key, int]] = (),
    tunings: Mapping[Key, Tuning] | None = None,
    fallbacks: Mapping[Key, int] | None = None,
) -> tuple[Action, ...]:
    """Say what leads from ``actual`` to ``desired``.

    Args:
        desired: version each alias points to.
        actual: endpoints that exist.
        stoppable: endpoints that may be ended when they are not desired (see ``vanish``).
        blocked: versions that failed and must wait (back-off, trust, rejection).
        tunings: how each endpoint shall serve; one that is not named serves plainly.
        fallbacks: version that served well last, for endpoints where that is another than the desired one. It takes an endpoint
            where nothing answers while the desired version is blocked.

    Returns:
        For each endpoint at most one action about its version, and at most one ``Tune``. Empty when the world is as desired,
        apart from what is blocked.
    """
    actions: list[Action] = []
    for key in sorted({*desired, *actual}):
        now, wanted = actual.get(key), desired.get(key)
        if wanted is None:
            if key in stoppable:
                actions.append(Stop(key))
            continue
        action = _for(key, wanted, (fallbacks or {}).get(key), now or NOTHING, blocked)
        if action is not None:
            actions.append(action)
        tuning = (tunings or {}).get(key, PLAIN)
        if now is not None and tuning != now.tuning:
            actions.append(Tune(key, tuning))
    return tuple(actions)


def _for(key: Key, wanted: int, fallback: int | None, now: Actual, blocked: Collection[tuple[Key, int]]) -> Action | None:
    if now.loading == wanted:
        return None
    if (key, wanted) in blocked:
        spare = fallback if (key, fallback) not in blocked else None
        return _fall_back(key, wanted, spare, now)
    if now.serving == wanted:
        return _no_more(key, now)
    if now.serving is None and fallback is not None and now.loading == fallback:
        return None  # nothing answers: what is on its way may arrive before the wanted version is tried again
    return _lead(key, wanted, now)


def _fall_back(key: Key, wanted: int, fallback: int | None, now: Actual) -> Action | None:
    if fallback is not None and now.loading == fallback:
        return None
    if fallback is not None and (now.serving is None or (now.failing and now.serving == wanted)):
        return _lead(key, fallback, now)
    return _no_more(key, now)  # the version on its way is not wanted either, if there is one


def _lead(key: Key, version: int, now: Actual) -> Action:
    return Start(key, version) if now.serving is None else Swap(key, version)


def _no_more(key: Key, now: Actual) -> Action | None:
    return Cancel(key) if now.loading is not None else None
