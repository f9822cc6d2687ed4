"""Drop nodes that nothing reads, and number the rest anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from samovar.scoring.compiler.fuse.edit import renumbered

if TYPE_CHECKING:
    from samovar.scoring.program import Program


def drop(program: Program) -> Program:
    """Return the program without nodes that the answer does not need."""
    first = len(program.columns)
    needed = {program.answer.label, *({program.answer.probabilities} - {None})}
    for index in range(len(program.nodes) - 1, -1, -1):
        if first + index in needed:
            needed.update(program.nodes[index].inputs)
    kept = [index for index in range(len(program.nodes)) if first + index in needed]
    if len(kept) == len(program.nodes):
        return program
    new = {number: number for number in range(first)} | {first + old: first + index for index, old in enumerate(kept)}
    nodes = [
        msgspec.structs.replace(program.nodes[old], inputs=tuple(new[number] for number in program.nodes[old].inputs))
        for old in kept
    ]
    return renumbered(program, nodes, new)
