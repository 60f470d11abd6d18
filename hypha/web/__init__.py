"""What all HTTP routes share: credentials, limits, errors, files."""
