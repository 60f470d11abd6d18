"""How much somebody may have of something: rates, bounded memory."""

from hypha.limits.bounded_map import BoundedMap
from hypha.limits.buckets import MAX_TRACKED, Bucket, Buckets

__all__ = ["MAX_TRACKED", "BoundedMap", "Bucket", "Buckets"]
