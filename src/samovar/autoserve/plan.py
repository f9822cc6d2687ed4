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
    """

    serving: int | None = None
    loading: int | None = None
    tuning: Tuning = PLAIN


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


def plan(
    desired: Mapping[Key, int],
    actual: Mapping[Key, Actual],
    *,
    stoppable: Collection[Key] = (),
    blocked: Collection[tuple[Key, int]] = (),
    tunings: Mapping[Key, Tuning] | None = None,
) -> tuple[Action, ...]:
    """Say what leads from ``actual`` to ``desired``.

    Args:
        desired: version each alias points to.
        actual: endpoints that exist.
        stoppable: endpoints that may be ended when they are not desired (see ``vanish``).
        blocked: versions that failed and must wait (back-off, trust).
        tunings: how each endpoint shall serve; one that is not named serves plainly.

    Returns:
        For each endpoint at most one action about its version, and at most one ``Tune``. Empty when the world is as desired,
        apart from what is blocked.
    """
    actions: list[Action] = []
    for key in sorted({*desired, *actual}):
        action = _for(key, desired.get(key), actual.get(key, Actual()), exists=key in actual)
        if isinstance(action, Stop) and key not in stoppable:
            continue
        if isinstance(action, Start | Swap) and (key, action.version) in blocked:
            # The version on its way is not wanted either, if there is one.
            action = Cancel(key) if key in actual and actual[key].loading is not None else None
        if action is not None:
            actions.append(action)
        if key in actual and key in desired and not isinstance(action, Stop):
            tuning = (tunings or {}).get(key, PLAIN)
            if tuning != actual[key].tuning:
                actions.append(Tune(key, tuning))
    return tuple(actions)


def _for(key: Key, wanted: int | None, now: Actual, *, exists: bool) -> Action | None:
    if wanted is None:
        return Stop(key) if exists else None
    if now.loading == wanted:
        return None
    if now.serving == wanted:
        return Cancel(key) if now.loading is not None else None
    return Start(key, wanted) if now.serving is None else Swap(key, wanted)
