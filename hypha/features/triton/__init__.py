"""Inference on Triton servers (docs/applications.md#triton)."""

from hypha.features.triton.feature import TritonFeature

__all__ = ["TritonFeature"]
