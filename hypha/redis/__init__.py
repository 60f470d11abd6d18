"""Redis, or Valkey, as replicas use it; imported only by servers that are given one."""
