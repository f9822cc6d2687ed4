"""The steps that make and change the tables; `samovar.store.schema` applies them.

A step never changes once it is released. A new one is written to ``versions/`` by hand or with ``alembic revision --autogenerate``
and becomes ``HEAD``.
"""

HEAD = "0004"
"""The newest step: known without importing Alembic, so that opening a database that is up to date is cheap."""
