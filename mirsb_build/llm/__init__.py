"""Text models: the table of backends, and the engine that asks them by role.

A new backend is a module with a class that implements `ports.TextModel`, a function that opens it for the roles that
chose it, and a row here; a package of others adds its own by the entry point `mirsb.text_models`.
"""

from __future__ import annotations

from collections.abc import Mapping

from mirsb_build.config.profiles import ModelChoice
from mirsb_build.errors import UnknownName
from mirsb_build.llm.budget import Ledger, cost_of
from mirsb_build.llm.engine import Models
from mirsb_build.ports import Answer, TextModel
from mirsb_build.runtime.registry import load_class, with_installed
from mirsb_build.store import Store

TEXT_MODELS = {
    "offline": "mirsb_build.llm.offline:open_offline",
    "openai": "mirsb_build.llm.openai.roles:open_openai",
}
"""Backend -> function that opens the models of all the roles that chose it."""


def text_models() -> dict[str, str]:
    """Backends of ours and of installed packages."""
    return with_installed(TEXT_MODELS, "mirsb.text_models")


def open_models(choices: Mapping[str, ModelChoice], store: Store) -> dict[str, TextModel]:
    """One model a role; raises UnknownName for a backend that is not in the table, UsageError for a missing key."""
    by_backend: dict[str, dict[str, ModelChoice]] = {}
    table = text_models()
    for role, choice in choices.items():
        if choice.backend not in table:
            raise UnknownName("text model backend", choice.backend, table, where=f"model of role {role}")
        by_backend.setdefault(choice.backend, {})[role] = choice
    found: dict[str, TextModel] = {}
    for backend, chosen in by_backend.items():
        found |= load_class(table[backend])(chosen, store)
    return found


__all__ = ["TEXT_MODELS", "Answer", "Ledger", "Models", "cost_of", "open_models", "text_models"]
