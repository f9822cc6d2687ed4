"""What must outlive a host: which version served an alias well last, and which versions are broken. Tags in the registry.

``samovar.last_good.<alias>`` is a version that served its alias steadily, or that answered when the alias left it for another one:
from then on only the agent's memory has it, and an agent may die. On a host that has nothing in memory it takes the endpoint while
the wanted version cannot.

``samovar.rejected.<version>`` says why a version is not tried as others are. One that begins with ``failed:`` (it never answered)
is tried again, every five minutes: its host may have been at fault. Any other (``crashed:``, or what a person wrote) waits for a
person: every attempt would cost callers their answers. It is cleared by deleting the tag, or by moving the alias away and back.
At its end it names the place that wrote it. Where the version serves steadily, only that place's own word is taken back: of two
hosts of which one serves what crashes at the other, each would else undo what the other did.

The tag speaks of a version for all aliases of its model, although one of them may be at fault (a memory limit of its own). So it is
not written while another alias is served that version steadily; and what served an alias well last is tried where nothing else
answers, whatever Samovar wrote.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from samovar.autoserve.status import Failure
from samovar.autoserve.wishes import last_good_tag, rejected_tag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from samovar.autoserve.plan import Key
    from samovar.autoserve.protocol import EndpointState
    from samovar.autoserve.retries import Entry, Retries
    from samovar.autoserve.tags import Tags
    from samovar.autoserve.wishes import Wish

STEADY_SECONDS = 60.0
"""A version that answered this long without a crash is good, and its earlier failures are forgiven."""

PROVEN_SECONDS = 10.0
"""A version that answered this long without a crash is better known than what a tag says of an earlier day."""

FAILED = "failed: "
CRASHED = "crashed: "
_WORDS = 500
"""Characters of a reason that are kept."""

_AT = re.compile(r" \[at ([^\[\]]+)\]$")
"""The place that wrote a rejection, at its end."""


class Lasting:
    """Reads these tags from each listing, and has them written.

    Args:
        retries: what failed on this host.
        tags: where tags are put.
        clock: monotonic seconds.
        place: name of what this controller serves on, other than that of any other one; empty when it has none.
    """

    def __init__(self, retries: Retries, tags: Tags, clock: Callable[[], float], place: str = "") -> None:
        self._retries = retries
        self._place = place
        self._tags = tags
        self._clock = clock
        self._alive: dict[Key, tuple[int, int, float]] = {}
        self._serving: dict[Key, int | None] = {}
        self._failing: frozenset[Key] = frozenset()
        self._wanted: dict[Key, int] = {}
        self._pardoned: set[tuple[str, int]] = set()

    def hear(self, states: Mapping[Key, EndpointState]) -> None:
        """Watch who answers, and forgive what has answered steadily."""
        now = self._clock()
        alive: dict[Key, tuple[int, int, float]] = {}
        for key, state in states.items():
            if state.serving is not None and state.up:
                before = self._alive.get(key)
                same = before is not None and before[:2] == (state.serving, state.restarts)
                alive[key] = before if before is not None and same else (state.serving, state.restarts, now)
        self._alive = alive
        self._serving = {key: state.serving for key, state in states.items()}
        self._failing = frozenset(
            key for key, state in states.items() if state.failed is not None and state.failed == state.serving
        )
        for key, version, _ in self._retries.known():
            if self._steady(key, version):
                self._retries.forgive(key, version)

    def review(self, wished: Mapping[Key, Wish]) -> None:
        """Take a listing in: pardon, learn, and have written what is new."""
        self._pardon(wished)
        for key, wish in wished.items():
            if wish.last_good != wish.version and self._steady(key, wish.version):
                self._tags.put(key.model, last_good_tag(key.alias), str(wish.version))
            if wish.rejected:
                self._read(key, wish)
        for key, version, entry in self._retries.known():
            said = wished[key].rejected if key in wished and wished[key].version == version else None
            if said is not None and entry.broken and not _says(said, entry) and not self._lives_elsewhere(key, version):
                self._tags.put(key.model, rejected_tag(version), self._text(entry))

    def leave(self, key: Key, wish: Wish, version: int) -> None:
        """Write down what answers before another version is brought to an endpoint; it may be called from any thread.

        Not what is known to crash, and not over a version that is better known. A registry that takes no tags holds nothing up.
        """
        known = self._alive.get(key)
        if known is None or key in self._failing or known[0] in {version, wish.last_good}:
            return
        serving, _, since = known
        if wish.last_good is None or self._clock() - since >= PROVEN_SECONDS:
            self._tags.write(key.model, last_good_tag(key.alias), str(serving))

    def forget(self, key: Key) -> None:
        """Forget an alias that was deleted."""
        self._tags.put(key.model, last_good_tag(key.alias), None)

    def barred(self, wished: Mapping[Key, Wish]) -> frozenset[tuple[Key, int]]:
        """Return what waits for a person."""
        return frozenset((key, wish.version) for key, wish in wished.items() if wish.rejected and self._waits(key, wish))

    def failure(self, key: Key, wish: Wish) -> Failure | None:
        """Return why a version that waits for a person does not serve."""
        if not wish.rejected or not self._waits(key, wish):
            return None
        tag = rejected_tag(wish.version)
        how = f"To have it tried again, delete the tag {tag} of the registered model, or move the alias away and back."
        return Failure(f"It is rejected ({wish.rejected.removeprefix(CRASHED).strip()}). {how}")

    def _steady(self, key: Key, version: int) -> bool:
        known = self._alive.get(key)
        return known is not None and known[0] == version and self._clock() - known[2] >= STEADY_SECONDS

    def _lives_elsewhere(self, key: Key, version: int) -> bool:
        """Whether another alias of the model is served a version steadily: that one would have the tag deleted at once."""
        return any(other != key and other.model == key.model and self._steady(other, version) for other in self._alive)

    def _nothing_better(self, key: Key, wish: Wish) -> bool:
        """Whether a version served its alias well last, and no other one answers in its place."""
        return wish.last_good == wish.version and self._serving.get(key) in {None, wish.version}

    def _read(self, key: Key, wish: Wish) -> None:
        """Believe a rejection, unless the version proves better."""
        if self._steady(key, wish.version):
            if self._ours(wish.rejected):
                self._tags.put(key.model, rejected_tag(wish.version), None)
        elif wish.rejected.startswith(FAILED) and not self._is_pardoned(key, wish) and not self._nothing_better(key, wish):
            self._retries.learn(key, wish.version, wish.rejected.removeprefix(FAILED))

    def _ours(self, said: str) -> bool:
        """Whether a rejection is this place's, or anybody's."""
        found = _AT.search(said)
        return found is None or found[1] == self._place

    def _text(self, entry: Entry) -> str:
        text = f"{CRASHED if entry.crashes else FAILED}{entry.failure.reason}"[:_WORDS]
        return f"{text} [at {self._place}]" if self._place else text

    def _pardon(self, wished: Mapping[Key, Wish]) -> None:
        """An alias that is moved to a rejected version is somebody's word: it gets a fresh attempt."""
        for key, wish in wished.items():
            if wish.rejected and self._wanted.get(key, wish.version) != wish.version:
                self._pardoned.add((key.model, wish.version))
                self._tags.put(key.model, rejected_tag(wish.version), None)
        # Once the tag is gone, a later one speaks again.
        self._pardoned &= {(key.model, wish.version) for key, wish in wished.items() if wish.rejected}
        self._wanted = {key: wish.version for key, wish in wished.items()}

    def _is_pardoned(self, key: Key, wish: Wish) -> bool:
        return (key.model, wish.version) in self._pardoned

    def _waits(self, key: Key, wish: Wish) -> bool:
        if wish.rejected.startswith(CRASHED) and self._nothing_better(key, wish):
            return False
        if not self._ours(wish.rejected) and self._steady(key, wish.version):
            return False  # it crashes elsewhere, and serves here
        return not wish.rejected.startswith(FAILED) and not self._is_pardoned(key, wish)


def fallbacks(wished: Mapping[Key, Wish]) -> dict[Key, int]:
    """Return the last good version of each alias, where that is another than the one it wants."""
    return {key: wish.last_good for key, wish in wished.items() if wish.last_good is not None and wish.last_good != wish.version}


def _says(said: str, entry: Entry) -> bool:
    """Whether the tag says so already; that a version crashes is worse than that it fails."""
    return bool(said) and not (entry.crashes and said.startswith(FAILED))
