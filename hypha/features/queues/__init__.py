"""Durable work queues, one name space per workspace."""
