"""Web applications that clients serve, mounted below `/{workspace}/apps/{service}/`.

See docs/applications.md.
"""
