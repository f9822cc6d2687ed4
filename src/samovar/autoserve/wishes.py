"""What the registry wants: aliases say which version, tags of the registered model say how. Pure.

A tag ``samovar.<field>`` speaks of the model's ``Production``; ``samovar.<field>.<alias>`` of another alias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from samovar.autoserve.plan import Key
from samovar.autoserve.tuning import PLAIN, Tuning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from samovar.registry.client import Model

PREFIX = "samovar."
CHAMPION = "Production"


class Wish(msgspec.Struct, frozen=True):
    """What one alias wants.

    Attributes:
        version: the version it points to.
        tuning: how it shall be served.
        problems: tags that cannot be read, each in one sentence; what they would say is left out of ``tuning``.
        last_good: version that served this alias well last, on whatever host; None when none is known.
        rejected: why the version is not tried as any other is; empty when it is.
    """

    version: int
    tuning: Tuning = PLAIN
    problems: tuple[str, ...] = ()
    last_good: int | None = None
    rejected: str = ""


def read(models: Iterable[Model]) -> dict[Key, Wish]:
    """Read a listing of the registry."""
    return {Key(model.name, alias): _wish(version, alias, model) for model in models for alias, version in model.aliases.items()}


def tag(field: str, alias: str) -> str:
    """Name the tag of a registered model that says a field of one alias's tuning."""
    return f"{PREFIX}{field}" if alias == CHAMPION else f"{PREFIX}{field}.{alias}"


def last_good_tag(alias: str) -> str:
    """Name the tag of a registered model that says which version served an alias well last."""
    return f"{PREFIX}last_good.{alias}"


def rejected_tag(version: int) -> str:
    """Name the tag of a registered model that says why one of its versions is not tried again as any other would be."""
    return f"{PREFIX}rejected.{version}"


def split_text(split: Mapping[str, int]) -> str:
    """Write a split as its tag does: ``Challenger=10,Other=5``."""
    return ",".join(f"{alias}={percent}" for alias, percent in split.items())


_DIGITS = 19
"""No version has so many; a tag may hold a hundred thousand, at which Python refuses to read a number."""


def _wish(version: int, alias: str, model: Model) -> Wish:
    if not model.tags:
        return Wish(version)
    known: dict[str, object] = {}
    problems = []
    for field, reader in _READERS.items():
        said = model.tags.get(tag(field, alias), "").strip()
        if not said:
            continue
        try:
            known[field] = reader(said, alias, model.aliases)
        except ValueError as error:
            problems.append(f"Tag {tag(field, alias)}: {error}")
    good = model.tags.get(last_good_tag(alias), "")
    return Wish(
        version,
        msgspec.convert(known, Tuning) if known else PLAIN,
        tuple(problems),
        int(good) if good.isdecimal() and len(good) < _DIGITS else None,
        model.tags.get(rejected_tag(version), ""),
    )


def _split(said: str, alias: str, aliases: Mapping[str, int]) -> list[tuple[str, int]]:
    shares: dict[str, int] = {}
    for part in said.split(","):
        other, sign, percent = (piece.strip() for piece in part.partition("="))
        if not sign or not percent.isdecimal() or not 0 <= int(percent) <= 100:
            raise ValueError("expected ALIAS=PERCENT, with whole percents from 0 to 100, parted by commas.")
        shares[_other(other, alias, aliases)] = int(percent)
    if sum(shares.values()) > 100:
        raise ValueError("the shares are more than 100 percent together.")
    return [(other, percent) for other, percent in sorted(shares.items()) if percent]


def _shadow(said: str, alias: str, aliases: Mapping[str, int]) -> list[str]:
    return sorted({_other(part.strip(), alias, aliases) for part in said.split(",")})


def _other(named: str, alias: str, aliases: Mapping[str, int]) -> str:
    if named == alias:
        raise ValueError("it names its own alias.")
    if named not in aliases:
        raise ValueError("it names an alias that the model does not have.")
    return named


def _number(least: float, most: float) -> Callable[[str, str, Mapping[str, int]], float]:
    def read(said: str, _alias: str, _aliases: Mapping[str, int]) -> float:
        try:
            number = float(said)
        except ValueError:
            number = float("nan")
        if not least <= number <= most:
            raise ValueError(f"expected a number from {least:g} to {most:g}.")
        return number

    return read


def _count(said: str, _alias: str, _aliases: Mapping[str, int]) -> int:
    if not said.isdecimal() or not 1 <= int(said) <= 64:
        raise ValueError("expected a whole number from 1 to 64.")
    return int(said)


_READERS: dict[str, Callable[[str, str, Mapping[str, int]], object]] = {
    "split": _split,
    "shadow": _shadow,
    "workers": _count,
    "memory_mb": _number(64, 1_000_000),
    "cpus": _number(0.05, 1024),
}
