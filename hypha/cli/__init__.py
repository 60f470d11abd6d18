"""The command line: one module for each thing to do."""
