"""Rewriting a program from front to back."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from samovar.scoring.ops import AnyOp
    from samovar.scoring.program import Program


class Editor:
    """A new program under way, made from an old one's nodes in order.

    Attributes:
        program: the old one.
        nodes: of the new one.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.nodes: list[AnyOp] = []
        self._first = len(program.columns)
        self._readers: Counter[int] = Counter()

    def add(self, node: AnyOp) -> int:
        """Append a node that reads numbers of the new program; returns its number."""
        self.nodes.append(node)
        return self._first + len(self.nodes) - 1

    def maker(self, number: int) -> AnyOp | None:
        """Return the node that makes a value; None for a column."""
        return maker(self.nodes, self._first, number)

    def alone(self, number: int) -> bool:
        """Tell whether at most one node reads a value, so that folding it in costs nothing twice."""
        return self._readers[number] <= 1

    def run(self, rewrite: Callable[[Editor, AnyOp], int]) -> Program:
        """Return the program after each node, with its inputs numbered anew, went through ``rewrite``."""
        program, first = self.program, self._first
        answer = program.answer
        outputs = [answer.label, *([] if answer.probabilities is None else [answer.probabilities])]
        readers = Counter([*outputs, *(number for node in program.nodes for number in node.inputs)])
        new = {number: number for number in range(first)}
        for index, node in enumerate(program.nodes, start=first):
            moved = msgspec.structs.replace(node, inputs=tuple(new[number] for number in node.inputs))
            new[index] = rewrite(self, moved)
            through = new[index] in moved.inputs  # the node is left out: its readers read what it read
            self._readers[new[index]] += readers[index] - through
        return renumbered(program, self.nodes, new)


def maker(nodes: Sequence[AnyOp], columns: int, number: int) -> AnyOp | None:
    """Return the node that makes a value of a program with so many columns; None for a column."""
    return nodes[number - columns] if number >= columns else None


def renumbered(program: Program, nodes: Sequence[AnyOp], new: Mapping[int, int]) -> Program:
    """Return the program with other nodes, and an answer that reads what ``new`` says of the old numbers."""
    answer = program.answer
    shares = None if answer.probabilities is None else new[answer.probabilities]
    moved = msgspec.structs.replace(answer, label=new[answer.label], probabilities=shares)
    return msgspec.structs.replace(program, nodes=tuple(nodes), answer=moved)
