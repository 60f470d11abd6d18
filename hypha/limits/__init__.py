"""How much somebody may have of something: rates, amounts, places, bounded memory."""

from hypha.limits.bounded_map import BoundedMap
from hypha.limits.buckets import MAX_TRACKED, Bucket, Buckets
from hypha.limits.budget import Budget
from hypha.limits.party import Party
from hypha.limits.places import Places
from hypha.limits.waiting import Claim, WaitingBytes, WaitingRoom

__all__ = [
    "MAX_TRACKED", "BoundedMap", "Bucket", "Buckets", "Budget", "Claim", "Party", "Places", "WaitingBytes",
    "WaitingRoom",
]  # fmt: skip
