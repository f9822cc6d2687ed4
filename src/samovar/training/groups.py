"""Rows that share a group (a reviewer, a product) stay on one side: of the held-out rows, and of every inner fold.

A group column is a column of codes, -1 where a row has none; `codes` (n, k) holds k of them. Rows that are connected through any of
them are one block. Where almost all rows are one block, blocks are made of the column with the most groups alone, and rows that
straddle by another column are left out of the larger part they are a smaller share of.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ONE_BLOCK = 0.5
"""Share of the rows in one block above which blocks of whole components are of no use."""


def components(codes: np.ndarray) -> np.ndarray:
    """Return the connected component of each row (n,): rows that share a group are in one, directly or through others."""
    rows, columns = np.nonzero(codes >= 0)
    starts = np.concatenate(([0], np.cumsum(codes.max(axis=0, initial=-1) + 1)))  # codes of each column follow those before
    nodes = len(codes) + starts[columns] + codes[rows, columns]
    size = len(codes) + int(starts[-1])
    graph = coo_array((np.ones(len(rows), dtype=bool), (rows, nodes)), shape=(size, size))
    return np.asarray(connected_components(graph, directed=False)[1][: len(codes)])


def blocks(codes: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the block of each row (n,), and whether no group straddles blocks."""
    found = components(codes)
    if np.bincount(found).max(initial=0) <= ONE_BLOCK * len(codes):
        return found, True
    largest = int(codes.max(axis=0).argmax())
    return components(codes[:, [largest]]), codes.shape[1] == 1


def apart(codes: np.ndarray, train: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return the rows of ``train`` that share no group with a row of ``other``; both are positions."""
    shared = np.zeros(len(train), dtype=bool)
    for column in codes.T:
        taken = column[other]
        shared |= np.isin(column[train], taken[taken >= 0])
    return train[~shared]


def parted(codes: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Return which rows to leave out (n,), so that no group is on both sides of a split.

    Args:
        codes: (n, k).
        held_out: which rows are held out (n,). Of each straddling group the side goes of which it is the smaller share.
    """
    dropped = np.zeros(len(codes), dtype=bool)
    for column in codes.T:
        there = (column >= 0) & ~dropped
        size = int(column.max(initial=-1)) + 1
        held = np.bincount(column[there & held_out], minlength=size)
        train = np.bincount(column[there & ~held_out], minlength=size)
        both = (held > 0) & (train > 0)
        held_goes = held * max(1, int((~held_out & ~dropped).sum())) < train * max(1, int((held_out & ~dropped).sum()))
        dropped[there] |= both[column[there]] & (held_out[there] == held_goes[column[there]])
    return dropped
