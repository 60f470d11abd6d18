"""What the server offers over its core: one folder each, plugged in by one line in the assembly."""
