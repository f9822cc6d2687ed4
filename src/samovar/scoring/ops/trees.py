"""Decision trees, one or many: what they answer is the sum of what their leaves hold.

Small trees are scored by bit vectors (`samovar.scoring.ops.bitvector`), large ones by a walk (`samovar.scoring.ops.walk`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.scoring.ops import bitvector, walk
from samovar.scoring.ops.forest import Forest

if TYPE_CHECKING:
    from samovar.scoring.ops.base import Kernel


class Trees(Forest, frozen=True):
    """See `samovar.scoring.ops.forest.Forest`."""

    def open(self) -> Kernel:
        """See `Op.open`."""
        arrays = walk.Arrays(*(getattr(self.nodes, name).open() for name in self.nodes.__struct_fields__))
        arrays.check(sum(self.widths), len(self.base))
        return (bitvector.open_trees if bitvector.fits(self, arrays) else walk.open_trees)(self, arrays)
