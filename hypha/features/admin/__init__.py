"""Administration of the server: who is here, who is kept out, what is used, what happened."""
