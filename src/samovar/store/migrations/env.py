"""Alembic's entry point: migrates the connection it is given, in that connection's transaction."""

from alembic import context

from samovar.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite can do it too, since we open its transactions ourselves: a migration killed half-way leaves nothing.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
