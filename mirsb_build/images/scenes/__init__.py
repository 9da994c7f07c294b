"""Scenes: how drawings are laid out for each relation type."""
