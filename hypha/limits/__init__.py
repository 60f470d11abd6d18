"""How much somebody may have of something: rates, amounts, places, bounded memory."""

from hypha.limits.bounded_map import BoundedMap
from hypha.limits.buckets import MAX_TRACKED, Bucket, Buckets
from hypha.limits.budget import Budget
from hypha.limits.places import Places

__all__ = ["MAX_TRACKED", "BoundedMap", "Bucket", "Buckets", "Budget", "Places"]
