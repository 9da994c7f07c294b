"""Builds: what somebody orders, what a build is made with, and what it publishes."""

from __future__ import annotations

from mirsb_build.defaults import DEFAULT_STORE
from mirsb_build.records.base import Record


class BuildOrder(Record):
    """What somebody asks for: enough to open the build again, in another process too."""

    build: str
    profile: str = "offline"
    store: str = DEFAULT_STORE
    settings: tuple[str, ...] = ()
    """Overrides, each `dotted.key=YAML value`."""
    retry_dead: bool = False
    """Ask again for the candidates whose replies stayed unusable."""


class MadeWith(Record):
    """What a build was made with, beside its inputs."""

    profile: str
    """Hash of the resolved profile."""
    taxonomy: str
    prompts: dict[str, str]
    """Prompt template -> content hash."""
    packages: dict[str, str]
    """Package -> version, of those whose version can show in the result."""
    code_revision: str
    """Commit of the checkout, or the version of the installed package."""


class Release(Record):
    """A published set of instances."""

    version: str
    instances: int
    path: str
    """Folder below the store's root."""
    content: str
    """SHA-256 over the names and checksums of all its files but the manifest."""
    simulated: bool
