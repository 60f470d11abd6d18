"""`artifact`: moves files between folders and the artifacts of a server, over plain HTTP."""
