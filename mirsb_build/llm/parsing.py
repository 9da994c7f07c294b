"""From the text of a reply to what was asked for: JSON as it is, out of a code fence, or from between sentences."""

from __future__ import annotations

import json
import re
from typing import TypeVar

from pydantic import ValidationError

from mirsb_build.config.reply_schemas import ReplyModel
from mirsb_build.records import ReplyKind

R = TypeVar("R", bound=ReplyModel)

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)\n?\s*```", re.DOTALL | re.IGNORECASE)


def read_reply(model: type[R], text: str) -> tuple[R | None, ReplyKind, str]:
    """The reply, how it had to be read, and what is wrong with it where it cannot be."""
    try:
        return model.model_validate_json(text), "usable", ""
    except ValidationError as error:
        problem = problem_of(error)
    for kind, inner in _inside(text):
        try:
            return model.model_validate_json(inner), kind, ""
        except ValidationError as error:
            problem = problem_of(error)
    return None, "invalid", problem


def problem_of(error: ValidationError) -> str:
    """The first thing that is wrong with a reply."""
    first = error.errors()[0]
    return f"{'.'.join(str(p) for p in first['loc']) or 'reply'}: {first['msg']}"


def _inside(text: str) -> list[tuple[ReplyKind, str]]:
    """JSON objects that stand in a text which is none itself."""
    if fence := _FENCE.search(text):
        return [("fenced", fence[1])]
    start = text.find("{")
    if start < 0:
        return []
    try:
        _, end = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return []
    return [("chatty", text[start:end])]
