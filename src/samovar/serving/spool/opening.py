"""Opens the prediction log of an endpoint worker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from samovar.contracts import document
from samovar.errors import GiveUp
from samovar.serving.spool.privacy import Hasher, Privacy, logged_fields, read_key
from samovar.serving.spool.records import FORMAT, Header
from samovar.serving.spool.writer import Limits, SegmentSpool
from samovar.serving.turn import NoSpool

if TYPE_CHECKING:
    from samovar.scoring.plan import ScorerPlan
    from samovar.serving.config import EndpointConfig
    from samovar.serving.metrics import Metrics
    from samovar.serving.turn import Spool


def open_spool(plan: ScorerPlan, config: EndpointConfig, metrics: Metrics, **told: Any) -> Spool:
    """Return the prediction log of one plan; it keeps nothing when ``config.spool_dir`` is empty.

    Args:
        plan: the version.
        config: names the folder, and the alias that is asked.
        metrics: counts what is lost.
        **told: what the header says otherwise: of a shadow, or of answers that another version gave.

    Raises:
        GiveUp: its folder or the key of its hashes can neither be read nor made.
    """
    if not config.spool_dir:
        return NoSpool()
    folder = Path(config.spool_dir)
    fields, key = logged_fields(plan)
    limits = Limits(
        segment_bytes=config.spool_segment_bytes,
        seal_seconds=config.spool_seal_seconds,
        fsync_seconds=config.spool_fsync_seconds,
        total_bytes=config.spool_limit_bytes,
        total_seconds=config.spool_limit_seconds,
        on_full=config.spool_on_full,
    )
    try:
        privacy = Privacy(fields, key, Hasher(read_key(folder.parent)))
        whose = msgspec.structs.replace(header(plan, config.alias, privacy), **told)
        return SegmentSpool(folder, whose, privacy, limits, metrics.spool)
    except OSError as error:
        raise GiveUp(
            f"The prediction log {folder} cannot be written ({error.strerror or error}).",
            remedy="Make the folder writable, or set SAMOVAR_SPOOL to one that is.",
        ) from None


def header(plan: ScorerPlan, alias: str, privacy: Privacy) -> Header:
    """Return what every file of this plan begins with."""
    return Header(
        format=FORMAT,
        segment="",
        model=plan.model,
        alias=alias,
        version=plan.version,
        label=plan.label,
        project=plan.contract.project,
        role="champion",
        schema=document.digest(plan.contract.contract),
        key=privacy.key,
        fields=privacy.fields,
        classes=plan.contract.classes,
    )
