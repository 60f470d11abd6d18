"""Who may do what: users, scopes, tokens, permissions."""
