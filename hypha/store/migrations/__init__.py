"""Migrations of the database, one module per revision; run at start by `hypha.store.schema`."""
