"""Artifacts: manifests with versions and files, in collections, kept by the server itself."""
