"""A request between decoding and scoring: the seam between the protocols, the batcher and the prediction spool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.engine import Call, Engine


@dataclass(slots=True)
class Job:
    """A request whose every row is known to be good.

    Attributes:
        columns: n values for each column of the model's signature, in its order; null is None. Empty when ``call`` is set.
        rows: n.
        run: asks the engine for these columns; jobs with the same ``run`` and the same ``params`` may be scored in one call, their
            columns joined, and each gets back its own n answers.
        write: turns n answers into the body.
        call: a request that is no table of plain columns; it is scored by itself.
        params: inference params.
        keys: n values of the contract's key, None when there is none: the prediction log names rows by it.
    """

    columns: Sequence[Sequence[Any]]
    rows: int
    run: Callable[[Engine, Sequence[Sequence[Any]], Mapping[str, Any]], Answers]
    write: Callable[[Answers], bytes]
    call: Call | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    keys: Sequence[Any] | None = None


class Answers(Protocol):
    """The answers to n rows, in order; what jobs scored together are cut out of."""

    def __len__(self) -> int:
        """Return n."""
        ...

    def cut(self, start: int, stop: int) -> Answers:
        """Return the answers to some of the rows."""
        ...

    def logged(self, index: int) -> tuple[Any, Sequence[float] | None]:
        """Return what the prediction log keeps of row ``index``: the label and the probabilities, if any."""
        ...
