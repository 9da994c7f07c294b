"""The models of all roles that chose the backend `openai`: endpoints shared, batches where they are asked for.

The illustrator draws pictures, all others write text.
"""

from __future__ import annotations

from collections.abc import Mapping

from mirsb_build.config.profiles import ModelChoice
from mirsb_build.config.prompts import ILLUSTRATOR
from mirsb_build.errors import UsageError
from mirsb_build.llm.openai.batch import BatchModel
from mirsb_build.llm.openai.chat import OpenAIModel
from mirsb_build.llm.openai.endpoint import Endpoint
from mirsb_build.llm.openai.images import OpenAIImages
from mirsb_build.llm.openai.keys import key_of
from mirsb_build.ports import TextModel
from mirsb_build.store import Store


def open_openai(choices: Mapping[str, ModelChoice], store: Store) -> dict[str, TextModel]:
    """A model for every role; roles with the same base URL and key share an endpoint, with its largest limits."""
    groups: dict[tuple[str | None, str], list[ModelChoice]] = {}
    keys = {role: key_of(choice, role) for role, choice in choices.items()}
    for role, choice in choices.items():
        groups.setdefault((choice.base_url, keys[role]), []).append(choice)
    endpoints = {
        (base_url, key): Endpoint(
            base_url,
            key,
            concurrency=max(choice.concurrency for choice in group),
            timeout=max(choice.timeout for choice in group),
            deadline=max(choice.deadline for choice in group),
        )
        for (base_url, key), group in groups.items()
    }
    models: dict[str, TextModel] = {}
    for role, choice in choices.items():
        endpoint = endpoints[choice.base_url, keys[role]]
        if role == ILLUSTRATOR:
            models[role] = _illustrator(choice, endpoint, store)
            continue
        model = OpenAIModel(choice, endpoint, store)
        models[role] = BatchModel(model, endpoint, store) if choice.mode == "batch" else model
    return models


def _illustrator(choice: ModelChoice, endpoint: Endpoint, store: Store) -> OpenAIImages:
    if choice.mode == "batch":
        raise UsageError(
            f"model {ILLUSTRATOR!r}: images cannot be asked for in batches; take 'mode: batch' out of "
            f"models.{ILLUSTRATOR}"
        )
    return OpenAIImages(choice, endpoint, store)
