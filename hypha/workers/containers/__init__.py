"""What workers have in common whose sessions are containers of an engine or a cluster."""
