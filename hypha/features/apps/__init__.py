"""Apps: programs that people install, which the server starts on a worker and stops again."""
