"""``python -m samovar`` is the ``samovar`` command of this very interpreter."""

from samovar.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
