"""The features of the server: each is the folder of its name here, and can be removed with its line below."""

FEATURES: tuple[str, ...] = (
    "login",
    "accounts",
    "admin",
    "queues",
    "storage",
    "triton",
    "oidc",
)
