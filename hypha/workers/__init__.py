"""Workers: programs that run apps for the server, and talk to it only as clients do (docs/workers.md)."""
