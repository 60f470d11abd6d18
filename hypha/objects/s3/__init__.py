"""The object store at an S3 endpoint; needs the extra `s3`, and is imported only where one is configured."""
