"""Objects: bytes under keys in buckets, as S3 has them; kept by an implementation of `ObjectStore`."""
