"""What every endpoint is told by the settings, whichever runtime it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from samovar.serving.config import EndpointConfig

if TYPE_CHECKING:
    from samovar.settings import Settings


def endpoint_config(settings: Settings) -> EndpointConfig:
    """Return what holds for all endpoints: settings that are called like fields of `EndpointConfig`, and a few more.

    Which endpoint it is, its keys and its own folders are added where it starts.
    """
    same = {name: getattr(settings, name) for name in EndpointConfig.__struct_fields__ if name in type(settings).model_fields}
    return EndpointConfig(
        model="",
        alias="",
        body_limit=int(settings.body_limit_mb * 2**20),
        exempt=tuple(path.strip() for path in settings.keyless_paths.split(",") if path.strip()),
        open_to_all=settings.auth == "off",
        spool_dir=str(settings.spool_folder) if settings.prediction_log else "",
        spool_segment_bytes=int(settings.spool_segment_mb * 2**20),
        spool_limit_bytes=int(settings.spool_limit_mb * 2**20),
        spool_limit_seconds=settings.spool_limit_days * 86400,
        **same,
    )
