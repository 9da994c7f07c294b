"""API keys: from the environment or a file, and nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

from mirsb_build.config.profiles import ModelChoice
from mirsb_build.errors import UsageError

NO_KEY = "none"
"""What is sent to an endpoint that wants no key."""


def key_of(choice: ModelChoice, role: str) -> str:
    """The key for a role's model; raises UsageError, which names the variable or the file and never the key."""
    if choice.key_file:
        try:
            key = Path(choice.key_file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not a text file"
            raise UsageError(f"model {role!r}: key file {choice.key_file}: {reason}; check 'key_file'") from error
        if not key:
            raise UsageError(f"model {role!r}: key file {choice.key_file} is empty; put the key into it")
        return _sendable(key, f"model {role!r}: key file {choice.key_file}")
    if choice.key_variable is None:
        return NO_KEY
    key = os.environ.get(choice.key_variable, "").strip()
    if not key:
        raise UsageError(
            f"model {role!r} needs the environment variable {choice.key_variable}; set it, or use --profile offline"
        )
    return _sendable(key, f"model {role!r}: environment variable {choice.key_variable}")


def _sendable(key: str, where: str) -> str:
    """The key if a header can carry it; the client's own error for one that cannot would quote it."""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise UsageError(f"{where} holds more than a key (blanks, line breaks, odd letters); put the key alone into it")
    return key
