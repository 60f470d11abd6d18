"""Web applications that clients serve, mounted below `/{workspace}/apps/{service}/` (core-api 5.5)."""
