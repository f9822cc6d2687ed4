"""Passes that fold nodes which follow each other. Each takes a program and returns one that answers the same, in fewer steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.scoring.compiler.fuse import scorecard, sparse, text, trees, unused

if TYPE_CHECKING:
    from samovar.scoring.program import Program

_PASSES = (trees.read_columns, sparse.fold, text.fold, scorecard.fold, unused.drop)


def fuse(program: Program) -> Program:
    """Apply every pass, in order, until none changes anything."""
    while True:
        before = program
        for step in _PASSES:
            program = step(program)
        if program == before:
            return program
