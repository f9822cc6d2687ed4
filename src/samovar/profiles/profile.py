"""Profiles: what a set of rows looks like, in a few kilobytes that add up.

``build`` chooses bins from a reference (deciles, categories) and counts it; ``count`` counts other rows over the same bins;
``merge`` adds two counts up and equals, to the last bit, one pass over both sets of rows. A model version carries the profile of
its training rows as ``reference_profile.json``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.contracts.spec import ContractSpec, FieldSpec
from samovar.profiles import FILE_NAME, fields
from samovar.profiles.fields import CategoryProfile, FieldProfile, Moments, NumericProfile

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

FORMAT = 1
PREDICTION = "prediction"
"""Name of the profile of a model's answers."""


class Profile(msgspec.Struct, frozen=True):
    """What a set of rows looks like.

    Attributes:
        contract: the contract whose features were counted.
        rows: how many rows.
        fields: one profile a feature, in contract order; the key is left out, for it never repeats.
        prediction: profile of a model's answers on these rows (a float is a probability, anything else a label).
        format: raised when older readers would misread.
    """

    contract: ContractSpec
    rows: int
    fields: tuple[FieldProfile, ...]
    prediction: FieldProfile | None = None
    format: int = FORMAT

    def field(self, name: str) -> FieldProfile:
        """Return the profile of one feature; raises KeyError if there is none."""
        for profile in self.fields:
            if profile.name == name:
                return profile
        raise KeyError(name)


def build(frame: pl.DataFrame, contract: ContractSpec, predictions: pl.Series | None = None) -> Profile:
    """Choose bins from reference rows and count those rows.

    Args:
        frame: reference rows; columns that the contract does not name (target, time) are left out.
        contract: the features to count.
        predictions: the model's answers on these rows: probabilities (floats) or labels (anything else).
    """
    bins = Profile(
        contract=contract,
        rows=0,
        fields=tuple(fields.empty(spec, frame[spec.name]) for spec in contract.features),
        prediction=None if predictions is None else _prediction_bins(predictions),
    )
    return count(bins, frame, predictions)


def count(reference: Profile, frame: pl.DataFrame, predictions: pl.Series | None = None) -> Profile:
    """Count rows over the bins of a reference.

    Predictions are counted only if the reference has bins for them.
    """
    prediction = reference.prediction
    return Profile(
        contract=reference.contract,
        rows=frame.height,
        fields=tuple(fields.counted(field, frame[field.name]) for field in reference.fields),
        prediction=None if prediction is None or predictions is None else fields.counted(prediction, predictions),
    )


def merge(first: Profile, second: Profile) -> Profile:
    """Add two profiles up; equal to one count over the rows of both.

    Raises:
        ValueError: they were counted over different bins, or only one of them has predictions.
    """
    if len(first.fields) != len(second.fields) or (first.prediction is None) != (second.prediction is None):
        raise ValueError("profiles of different shape cannot be merged")
    both = first.prediction, second.prediction
    return Profile(
        contract=first.contract,
        rows=first.rows + second.rows,
        fields=tuple(fields.merged(a, b) for a, b in zip(first.fields, second.fields, strict=True)),
        prediction=None if both[0] is None or both[1] is None else fields.merged(both[0], both[1]),
    )


def merge_all(profiles: Iterable[Profile]) -> Profile:
    """Merge one or more profiles.

    Raises:
        ValueError: there is none, or they cannot be merged.
    """
    parts = iter(profiles)
    total = next(parts, None)
    if total is None:
        raise ValueError("nothing to merge")
    for part in parts:
        total = merge(total, part)
    return total


def encode(profile: Profile) -> bytes:
    """Write a profile as JSON; equal profiles give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(profile, enc_hook=_encode_fraction), indent=1)


def decode(data: bytes) -> Profile:
    """Read a profile.

    Raises:
        ValueError: the bytes are no profile, or one of another format.
    """
    try:
        profile = msgspec.json.decode(data, type=Profile, dec_hook=_decode_fraction)
    except msgspec.DecodeError as error:
        raise ValueError(f"this is no reference profile: {error}") from error
    if profile.format != FORMAT:
        raise ValueError(f"the reference profile has format {profile.format}, this Samovar reads {FORMAT}")
    return profile


def _prediction_bins(predictions: pl.Series) -> FieldProfile:
    if predictions.dtype.is_float():
        return fields.empty(FieldSpec(PREDICTION, "float"), predictions)
    return fields.by_category(PREDICTION, predictions)


def _encode_fraction(value: Any) -> str:
    """Write an exact sum as ``numerator/denominator``; JSON numbers would round it."""
    if isinstance(value, Fraction):
        return str(value)
    raise NotImplementedError(type(value).__name__)


def _decode_fraction(kind: type, value: Any) -> Any:
    if kind is Fraction:
        return Fraction(value)
    raise NotImplementedError(kind.__name__)


__all__ = [
    "FILE_NAME",
    "PREDICTION",
    "CategoryProfile",
    "FieldProfile",
    "Moments",
    "NumericProfile",
    "Profile",
    "build",
    "count",
    "decode",
    "encode",
    "merge",
    "merge_all",
]
