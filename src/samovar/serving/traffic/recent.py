"""What is kept open for each version that is met: a file, a thread, a memory map; versions come and go for months."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

_KEPT = 2  # of each name: while one version takes over from another, answers of both come in turn

T = TypeVar("T")


class Recent(Generic[T]):
    """The newest things of each name; older ones are let go.

    Args:
        drop: called with what is let go.
    """

    def __init__(self, drop: Callable[[T], None]) -> None:
        self._drop = drop
        self._kept: dict[str, dict[Hashable, T]] = {}

    def of(self, name: str, version: Hashable, make: Callable[[], T]) -> T:
        """Return the thing of a version, made if there is none."""
        own = self._kept.setdefault(name, {})
        found: Any = own.get(version)
        if found is None:
            found = own[version] = make()
            if len(own) > _KEPT:
                self._drop(own.pop(next(iter(own))))
        return found  # type: ignore[no-any-return]

    def forget(self, unwanted: Callable[[T], bool]) -> None:
        """Forget some, so that they are made anew when they are asked for."""
        for own in self._kept.values():
            for version in [version for version, one in own.items() if unwanted(one)]:
                self._drop(own.pop(version))

    def __iter__(self) -> Iterator[T]:
        """Go through all."""
        for own in self._kept.values():
            yield from own.values()
