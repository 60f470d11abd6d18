"""Files of workspaces: the object store, signed addresses, and what people do with both."""
