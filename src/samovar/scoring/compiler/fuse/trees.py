"""Let trees read columns through the encoders before them, so that no matrix is made."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from samovar.scoring.compiler.fuse.edit import maker
from samovar.scoring.ops.columns import Concat, Gather, Pick, Select
from samovar.scoring.ops.encode import OneHot, Ordinal, lookup
from samovar.scoring.ops.forest import Whole, part_width
from samovar.scoring.ops.trees import Trees

if TYPE_CHECKING:
    from samovar.scoring.ops.forest import Part
    from samovar.scoring.program import Program


def read_columns(program: Program) -> Program:
    """Return the program with trees that read what stands before a concatenation, a gathering or an encoder."""
    nodes = tuple(_near(program, node) if isinstance(node, Trees) else node for node in program.nodes)
    return program if nodes == program.nodes else msgspec.structs.replace(program, nodes=nodes)


def _near(program: Program, trees: Trees) -> Trees:
    if len(trees.parts) != 1 or not isinstance(trees.parts[0], Whole):
        return trees
    sources = _sources(program, trees.inputs[0])
    rest = trees.widths[0] - sum(part_width(part) for _, part in sources if part is not None)
    unknown = [number for number, part in sources if part is None]
    if len(unknown) == len(sources) or len(unknown) > 1:
        return trees  # nothing to gain, or it is not known where each value's positions begin
    parts = [(number, Whole((number,), rest) if part is None else part) for number, part in sources]
    inputs = tuple(dict.fromkeys(chain.from_iterable(part.inputs for _, part in parts)))
    places = {number: place for place, number in enumerate(inputs)}
    moved = tuple(msgspec.structs.replace(part, inputs=tuple(places[number] for number in part.inputs)) for _, part in parts)
    return msgspec.structs.replace(trees, inputs=inputs, parts=moved)


def _sources(program: Program, number: int) -> list[tuple[int, Part | None]]:
    """Return the values that a value is made of, side by side, each with how it is read; None where it is read as it is."""
    node = maker(program.nodes, len(program.columns), number)
    match node:
        case Concat():
            return list(chain.from_iterable(_sources(program, inner) for inner in node.inputs))
        case Select():
            single = _singles(program, node.inputs[0])
            return [(number, None)] if single is None else [(number, single[position]) for position in node.positions]
        case Ordinal():
            return [(number, _through(program, node))]
        case Gather() | OneHot():
            return [(number, node)]
        case _:
            return [(number, None)]


def _singles(program: Program, number: int) -> list[Gather | Ordinal] | None:
    """Return how each position of a value is read by itself, None where that is not known."""
    found: list[Gather | Ordinal] = []
    for _, part in _sources(program, number):
        if isinstance(part, Gather):
            found += [Gather((column,)) for column in part.inputs]
        elif isinstance(part, Ordinal):
            found.append(part)
        else:
            return None
    return found


def _through(program: Program, node: Ordinal) -> Ordinal:
    """Return an encoder that reads the column itself, when it reads a position that a column or another encoder made."""
    pick = maker(program.nodes, len(program.columns), node.inputs[0])
    single = _singles(program, pick.inputs[0]) if isinstance(pick, Pick) else None
    if single is None or not isinstance(pick, Pick):
        return node
    before = single[pick.position]
    if isinstance(before, Gather):
        return msgspec.structs.replace(node, inputs=before.inputs)
    table = dict(zip(node.keys, node.numbers, strict=True))
    find = lookup(table, node.missing, node.unknown)
    numbers = [find(number) for number in before.numbers]
    if None in numbers:
        return node  # a known category that is refused later
    missing, unknown = (None if end is None else find(end) for end in (before.missing, before.unknown))
    return Ordinal(before.inputs, before.keys, tuple(numbers), missing, unknown, before.name)
