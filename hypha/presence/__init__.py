"""Who is connected in the whole deployment, and what they offer: shared by all its replicas."""
