"""Which rows are held out: the latest ones, or a stratified choice by content. The same rows and seed, the same split.

Held-out rows take no part in fitting, search, calibration or the threshold: the gate judges on them.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from samovar.errors import DataError
from samovar.project import Holdout
from samovar.training import groups

if TYPE_CHECKING:
    from samovar.project import Project

FEWEST = 2
"""Rows of each class that both parts need."""


@dataclass(frozen=True, slots=True)
class Split:
    """The two parts of a dataset.

    Attributes:
        train: rows to learn from, in time order where there is time.
        held_out: rows to judge on.
        how: ``time``, ``hash`` or ``rule``, and what keeps groups apart.
        dropped: rows that are in neither part, because a group or equal content would lie on both sides.
    """

    train: pl.DataFrame
    held_out: pl.DataFrame
    how: str
    dropped: int = 0


def split(frame: pl.DataFrame, project: Project, seed: int) -> Split:
    """Split a dataset by the project's time column or its rule, else by a hash of each row's key (or content), class by class.

    Rows of one time, of one key, or of equal content stay together: none is learned from and judged on at once. Nor is a group:
    without time, blocks of connected rows are held out whole; rows that straddle all the same are in neither part.

    Raises:
        DataError: a part would have too few rows of a class.
    """
    held_out, dropped, how = _sides(frame, project, seed)
    train, judged = frame.filter(~held_out & ~dropped), frame.filter(held_out & ~dropped)
    if project.time and judged.height:
        train = _known(train, judged, project).sort(project.time, maintain_order=True)
    parts = Split(train, judged, how, int(dropped.sum()))
    _check(parts, project)
    return parts


def group_codes(frame: pl.DataFrame, project: Project) -> np.ndarray | None:
    """Return the codes (n, k) of the project's groups, -1 where a row has none; None for a project without groups."""
    if not project.groups:
        return None
    ranks = frame.select(pl.col(name).rank("dense").cast(pl.Int64).fill_null(0) - 1 for name in project.groups)
    return ranks.to_numpy()


def _sides(frame: pl.DataFrame, project: Project, seed: int) -> tuple[pl.Series, pl.Series, str]:
    """Return which rows are held out, which are in neither part, and how that was found."""
    nothing = pl.repeat(value=False, n=frame.height, dtype=pl.Boolean, eager=True)
    if isinstance(project.holdout, Holdout):
        return *_chosen(frame, project.holdout), "rule"
    codes = group_codes(frame, project)
    if codes is None:
        return (_latest(frame, project), nothing, "time") if project.time else (_hashed(frame, project, seed), nothing, "hash")
    if project.time:
        held_out, how = _latest(frame, project), "time, groups apart"
    else:
        ids, whole = groups.blocks(codes)
        names = project.groups if whole else (project.groups[int(codes.max(axis=0).argmax())],)
        held_out, how = _blocks(frame, project, names, ids, seed), "hash of blocks" if whole else "hash of one column's blocks"
    return held_out, pl.Series(groups.parted(codes, held_out.to_numpy())), how


def _blocks(frame: pl.DataFrame, project: Project, names: tuple[str, ...], ids: np.ndarray, seed: int) -> pl.Series:
    """Hold out whole blocks, in the order of their smallest hash, each that the share still has room for.

    The hashes are of the groups' values, of the content for a row without a group: other rows, or another order of them, move no
    block to the other side.
    """
    assert not isinstance(project.holdout, Holdout)
    content = frame.select(field.name for field in project.contract.fields).iter_rows()
    pairs = ([pair for pair in zip(names, row, strict=True) if pair[1] is not None] for row in frame.select(names).iter_rows())
    ranks = [
        min(_hash(pair, seed) for pair in known) if known else _hash(row, seed) for known, row in zip(pairs, content, strict=True)
    ]
    sizes, room = np.bincount(ids), project.holdout * len(ids)
    first = np.full(len(sizes), 2**64 - 1, dtype=np.uint64)
    np.minimum.at(first, ids, np.asarray(ranks, dtype=np.uint64))
    held = np.zeros(len(sizes), dtype=bool)
    for block in np.argsort(first, kind="stable"):
        if sizes[block] <= room:
            held[block], room = True, room - sizes[block]
    return pl.Series(held[ids])


def _chosen(frame: pl.DataFrame, rule: Holdout) -> tuple[pl.Series, pl.Series]:
    """Hold out the rows with the smallest hashes; a row that equals one of them is in neither part."""
    rank = pl.Series([_hash(row, 0) for row in frame.select(rule.of).iter_rows()], dtype=pl.UInt64)
    eligible = frame[rule.where[0]] == rule.where[1] if rule.where else pl.repeat(value=True, n=frame.height, eager=True)
    candidates = eligible.fill_null(value=False) & rank.is_first_distinct()
    limit = rank.filter(candidates).sort().head(rule.rows).max()
    held_out = candidates & (rank <= limit) if limit is not None else candidates
    return held_out, rank.is_in(rank.filter(held_out).implode()) & ~held_out


def _latest(frame: pl.DataFrame, project: Project) -> pl.Series:
    assert project.time is not None
    assert not isinstance(project.holdout, Holdout)
    times = frame[project.time]
    cut = times.sort()[min(frame.height - 1, math.ceil(frame.height * (1 - project.holdout)))]
    held_out: pl.Series = times >= cut
    return held_out


def _known(train: pl.DataFrame, held_out: pl.DataFrame, project: Project) -> pl.DataFrame:
    """The rows whose labels were known when the held-out rows began."""
    assert project.time is not None
    known = pl.col(project.time) + project.label_delay <= held_out[project.time].min()
    return train.filter(known) if project.label_delay else train


def _hashed(frame: pl.DataFrame, project: Project, seed: int) -> pl.Series:
    assert not isinstance(project.holdout, Holdout)
    named = project.contract.key.name if project.contract.key else None
    identity = frame.select(named) if named else frame.select(field.name for field in project.contract.fields)
    ranked = frame.select(pl.col(project.target)).with_columns(
        pl.Series("rank", [_hash(row, seed) for row in identity.iter_rows()], dtype=pl.UInt64)
    )
    # Inside each class the smallest hashes are held out; a tie at the cut (equal rows) goes to one side as a whole.
    share = (pl.col("rank").rank("max") <= pl.len() * project.holdout).over(project.target)
    held_out = ranked.select(share)["rank"]
    return held_out & ~ranked["rank"].is_in(ranked["rank"].filter(~held_out).to_list())


def _hash(row: tuple[object, ...], seed: int) -> int:
    text = json.dumps([seed, *row], default=str)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


def _check(parts: Split, project: Project) -> None:
    classes = set(parts.train[project.target].unique()) | set(parts.held_out[project.target].unique())
    for name, part in (("training", parts.train), ("held-out", parts.held_out)):
        counts = dict(part[project.target].value_counts().iter_rows())
        if len(classes) < 2 or any(counts.get(one, 0) < FEWEST for one in classes):
            raise DataError(
                f"Project {project.name}: the {name} part has fewer than {FEWEST} rows of a class.",
                remedy="Ingest more rows, or change the project's holdout.",
            )
