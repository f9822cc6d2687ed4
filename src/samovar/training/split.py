"""Which rows are held out: the latest ones, or a stratified choice by content. The same rows and seed, the same split.

Held-out rows take no part in fitting, search, calibration or the threshold: the gate judges on them.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from samovar.errors import DataError

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
        how: ``time`` or ``hash``.
    """

    train: pl.DataFrame
    held_out: pl.DataFrame
    how: str


def split(frame: pl.DataFrame, project: Project, seed: int) -> Split:
    """Split a dataset by the project's time column, else by a hash of each row's key (or content), class by class.

    Rows of one time, of one key, or of equal content stay together: none is learned from and judged on at once.

    Raises:
        DataError: a part would have too few rows of a class.
    """
    held_out = _latest(frame, project) if project.time else _hashed(frame, project, seed)
    train = frame.filter(~held_out)
    if project.time:
        train = _known(train, frame.filter(held_out), project).sort(project.time, maintain_order=True)
    parts = Split(train, frame.filter(held_out), "time" if project.time else "hash")
    _check(parts, project)
    return parts


def _latest(frame: pl.DataFrame, project: Project) -> pl.Series:
    assert project.time is not None
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
