"""Random ids; all come from the operating system's secure source."""

from __future__ import annotations

import os
import secrets

_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_EVEN = 256 - 256 % len(_ALPHABET)
_LETTERS = bytes(ord(_ALPHABET[byte % len(_ALPHABET)]) for byte in range(256))
_UNEVEN = bytes(range(_EVEN, 256))
"""Bytes that would make some letters more likely than others."""
_ADJECTIVES = (
    "amber", "bold", "brave", "bright", "calm", "clear", "clever", "cool", "coral", "crisp",
    "eager", "early", "fair", "fern", "fresh", "gentle", "glad", "golden", "grand", "green",
    "happy", "hazel", "honest", "humble", "jade", "keen", "kind", "light", "lively", "lucky",
    "mellow", "merry", "mild", "misty", "neat", "noble", "olive", "pearl", "plain", "proud",
    "quick", "quiet", "rapid", "rosy", "royal", "ruby", "sandy", "sharp", "silent", "silver",
    "smart", "snowy", "solar", "steady", "still", "sunny", "swift", "tidy", "true", "vivid",
    "warm", "wild", "wise", "young",
)  # fmt: skip
_NOUNS = (
    "acorn", "ant", "ash", "badger", "bay", "bear", "beech", "birch", "bird", "brook",
    "cedar", "cliff", "cloud", "comet", "crane", "creek", "deer", "dune", "eagle", "elm",
    "falcon", "field", "finch", "fir", "fox", "glade", "hare", "hawk", "heron", "hill",
    "iris", "island", "lake", "lark", "leaf", "lynx", "maple", "marsh", "meadow", "moon",
    "moss", "oak", "otter", "owl", "pebble", "pine", "pond", "rain", "reef", "ridge",
    "river", "robin", "rock", "seal", "shore", "sky", "spruce", "star", "stone", "storm",
    "stream", "swan", "tide", "wren",
)  # fmt: skip
_VERBS = (
    "asks", "bakes", "calls", "climbs", "dances", "draws", "drifts", "dreams", "finds", "flies",
    "floats", "glows", "grows", "helps", "hums", "jumps", "knits", "laughs", "leaps", "learns",
    "listens", "paints", "plays", "reads", "rests", "rides", "rises", "roams", "rows", "runs",
    "sails", "shines", "sings", "skates", "sleeps", "smiles", "spins", "swims", "talks", "travels",
    "turns", "waits", "wakes", "walks", "waves", "whistles", "wonders", "writes",
)  # fmt: skip
_ADVERBS = (
    "again", "ahead", "alone", "always", "apart", "away", "boldly", "bravely", "briefly", "calmly",
    "daily", "early", "easily", "evenly", "freely", "gently", "gladly", "happily", "kindly", "lightly",
    "loudly", "neatly", "often", "openly", "quickly", "quietly", "rarely", "safely", "slowly", "softly",
    "soon", "twice", "warmly", "well", "widely", "wisely",
)  # fmt: skip


def random_id(length: int = 22) -> str:
    """Unguessable id of letters and digits without look-alikes (22 characters: 128 bits)."""
    found = b""
    while len(found) < length:
        found += os.urandom(2 * length).translate(_LETTERS, _UNEVEN)
    return found[:length].decode()


def readable_id() -> str:
    """Id that a person can read aloud: two words and eight digits; not a secret."""
    number = secrets.randbelow(10**8)
    return f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}-{number:08d}"


def spoken_id() -> str:
    """Name of four words that a person can read aloud and remember; not a secret."""
    return "-".join(secrets.choice(words) for words in (_ADJECTIVES, _NOUNS, _VERBS, _ADVERBS))
