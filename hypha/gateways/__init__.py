"""Translators between other protocols and services; they hold no state and no business rules."""
