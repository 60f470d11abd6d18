"""Python for the pages of apps: Pyodide and wheels (docs/workers.md#python-in-pages)."""
