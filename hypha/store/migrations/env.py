"""Runs migrations on the connection that `hypha.store.schema` hands over; loaded by Alembic."""

from alembic import context

from hypha.store.base import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
)
context.run_migrations()
