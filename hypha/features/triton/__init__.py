"""Inference on Triton servers (docs/applications.md#triton)."""
