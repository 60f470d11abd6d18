"""Inference on Triton servers (core-api 1.6)."""

from hypha.features.triton.feature import TritonFeature

__all__ = ["TritonFeature"]
