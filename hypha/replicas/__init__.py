"""The other replicas of a deployment: their clients and services, and the ways to them."""
