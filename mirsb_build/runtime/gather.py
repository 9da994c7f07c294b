"""Waiting for several works at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def all_of(works: Sequence[Awaitable[T]]) -> list[T]:
    """All results, in order. An error is raised once all the works are over, so that what was begun is kept."""
    results = await asyncio.gather(*works, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return [result for result in results if not isinstance(result, BaseException)]
