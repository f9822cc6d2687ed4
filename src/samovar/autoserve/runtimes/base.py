"""What the controller asks of whatever runs endpoints. Every runtime passes one contract suite."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from samovar.autoserve.plan import Key
    from samovar.autoserve.protocol import EndpointState
    from samovar.autoserve.tuning import Tuning


class Runtime(Protocol):
    """Runs endpoints. Every method may be called again with the same arguments and then changes nothing.

    Every method raises ``StackUnavailable`` when the runtime cannot be reached, and ``Superseded`` when a controller with a younger
    lease has spoken to it.

    Attributes:
        epoch: number of the controller's lease; whoever speaks with an older one is refused.
    """

    epoch: int

    def endpoints(self) -> dict[Key, EndpointState]:
        """Return every endpoint that this Samovar owns."""

    def bring(self, key: Key, version: int, *, wished: Callable[[], bool], again: bool = False) -> None:
        """Have an endpoint serve a version; what answers now goes on until that one answers. May take minutes.

        Args:
            key: the endpoint; made when there is none.
            version: the version.
            wished: asked before the world is changed: when it says no, the version is dropped.
            again: the version was brought before and failed, so nothing that was kept of it may be used.

        Raises:
            Untrusted: its files may run code and nobody trusted them.
            SamovarError: why else it cannot be served.
        """

    def tune(self, key: Key, tuning: Tuning) -> None:
        """Change how an endpoint serves. An endpoint that does not exist is left alone."""

    def cancel(self, key: Key) -> None:
        """Forget the version that is on its way to an endpoint."""

    def stop(self, key: Key) -> None:
        """End an endpoint once it has answered what came; its address stays reserved."""
