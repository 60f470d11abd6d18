"""Health, metrics and logs: what operators look at."""
