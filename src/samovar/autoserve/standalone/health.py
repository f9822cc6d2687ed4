"""``python -m samovar.autoserve.standalone.health``: 0 when the endpoint of this container answers; for a health check."""

from __future__ import annotations

import http.client
import os
import sys


def main() -> int:
    """Ask the probe that needs no key."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("SAMOVAR_PORT", "8080")), timeout=2)
    try:
        connection.request("GET", "/health")
        return 0 if connection.getresponse().status == http.HTTPStatus.OK else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
