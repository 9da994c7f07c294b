"""Text models: the table of backends, and the engine that asks them by role.

A new backend is a module with a class that implements `ports.TextModel`, and a row here.
"""

from __future__ import annotations

from collections.abc import Mapping

from mirsb_build.config import ModelChoice
from mirsb_build.errors import UnknownName
from mirsb_build.llm.engine import Answer, Models
from mirsb_build.plugins import load_class
from mirsb_build.ports import TextModel

TEXT_MODELS = {
    "offline": "mirsb_build.llm.offline:OfflineModel",
}


def open_models(choices: Mapping[str, ModelChoice]) -> dict[str, TextModel]:
    """One client a role; raises UnknownName for a backend that is not in the table."""
    found: dict[str, TextModel] = {}
    for role, choice in choices.items():
        if choice.backend not in TEXT_MODELS:
            raise UnknownName("text model backend", choice.backend, TEXT_MODELS, where=f"model of role {role}")
        found[role] = load_class(TEXT_MODELS[choice.backend])(choice)
    return found


__all__ = ["TEXT_MODELS", "Answer", "Models", "open_models"]
