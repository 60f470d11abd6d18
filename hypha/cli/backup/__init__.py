"""`backup`, `restore` and `verify`: all that a server keeps, in a folder that does not need the server."""
