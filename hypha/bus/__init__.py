"""Frames and events between the replicas of a deployment."""
