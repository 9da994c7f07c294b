"""Values that the command line shows before anything is imported."""

DEFAULT_STORE = "artifacts"
"""Where builds live unless the user says otherwise."""
