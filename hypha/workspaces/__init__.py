"""Tenancy: workspaces, who may enter them, what is set in them, and the manager's functions."""
