"""Routes frames between clients, with back-pressure, acknowledgement and resuming."""
