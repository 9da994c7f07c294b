"""mirsb-build: the dataset factory behind a multi-image safety benchmark."""

DEFAULT_STORE = "artifacts"
"""Where builds live unless the user says otherwise; here, so that `--help` imports nothing for it."""
