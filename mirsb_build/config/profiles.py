"""Profiles: which models, image backend, checks and limits a build uses.

A profile is a YAML file; `extends` names another one to start from. A build is ordered with a profile and overrides
(`--set limits.max_iterations=2`); the two resolved make the `Profile` that build.json records.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, cast

import yaml
from pydantic import Field, NonNegativeInt, ValidationError

from mirsb_build.config.yaml_files import explain, first_error, line_of, load_yaml, packaged, read_text, yaml_files
from mirsb_build.errors import BadFile, UnknownName, UsageError
from mirsb_build.records import Record

BUILD_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Prices(Record):
    """What a million tokens cost, and an image."""

    currency: str = "USD"
    prompt: float = Field(ge=0)
    cached: float | None = Field(default=None, ge=0)
    """Prompt tokens that the endpoint had cached; like the others where it is not given."""
    completion: float = Field(ge=0)
    image: float = Field(default=0, ge=0)
    """What one image costs, where the endpoint counts images and not, or not only, tokens."""
    batch: float = Field(default=0.5, gt=0, le=1)
    """Share of the price that a call costs in a batch."""


class ModelChoice(Record):
    """The model that plays one role."""

    backend: str
    """Row in the table of text models (`llm.TEXT_MODELS`)."""
    model: str
    base_url: str | None = None
    """Of an OpenAI-compatible endpoint; OPENAI_BASE_URL or OpenAI itself where it is not given."""
    key_variable: str | None = "OPENAI_API_KEY"
    """Environment variable that holds the key; `null` for an endpoint that wants none."""
    key_file: str | None = None
    """File that holds the key, instead of a variable."""
    sampling: dict[str, Any] = {}
    """Parameters of the call as the API names them, for example `temperature` or `max_completion_tokens`."""
    reasoning_effort: str | None = None
    prices: Prices | None = None
    mode: Literal["live", "batch"] = "live"
    concurrency: int = Field(default=64, ge=1, le=4096)
    """Calls at once, at most; models of one endpoint share the largest."""
    timeout: float = Field(default=120.0, gt=0)
    """Seconds for one try."""
    deadline: float = Field(default=600.0, gt=0)
    """Seconds for a call with all its tries."""


class ImageChoice(Record):
    """The image backend."""

    backend: str
    """Row in the table of image backends (`images.IMAGE_BACKENDS`)."""
    width: int = Field(default=512, ge=64, le=4096)
    height: int = Field(default=512, ge=64, le=4096)
    options: dict[str, Any] = {}
    """What the backend itself lets choose."""


class SeedLimits(Record):
    """How many seed queries, of which categories."""

    per_category: int = Field(default=3, ge=1, le=10_000)
    """With targets not used: as many are written as those need."""
    categories: tuple[str, ...] = ()
    """Risk categories to build; empty means all."""
    per_call: int = Field(default=10, ge=1, le=100)
    """Seeds asked for in one model call."""


class Limits(Record):
    """Bounds of a build."""

    max_iterations: int = Field(default=3, ge=1, le=20)
    """Rounds of the refinement loop."""
    candidates: int | None = Field(default=None, ge=1)
    """At most so many candidates, spread evenly over the cells."""
    shard_size: int = Field(default=24, ge=1, le=1000)
    repairs: int = Field(default=2, ge=0, le=10)
    """How often an unusable reply is asked for again."""
    cost: float | None = Field(default=None, gt=0)
    """A build stops before it costs more than this, in the currency of the prices."""
    calls: int | None = Field(default=None, ge=1)
    """A build stops before it has made more calls than this."""


class ReviewChoice(Record):
    """Who decides, and how many have to."""

    mode: Literal["people", "simulated"] = "people"
    reviewers: int = Field(default=1, ge=1, le=9)
    """Decisions an instance needs; the majority counts."""


class ReleaseChoice(Record):
    """What a release says of itself."""

    title: str = "A build of MIR-SafetyBench"
    licence: str = "cc-by-sa-4.0"
    """Hugging Face's identifier of the licence; images of OpenMoji ask for share-alike."""
    earlier: tuple[str, ...] = ()
    """Releases in the store, `BUILD` or `BUILD/VERSION`, whose images and texts this build must not repeat."""


class Targets(Record):
    """How many instances a build is to bring, that is candidates that passed; without any it tries what it has."""

    per_cell: int | None = Field(default=None, ge=1)
    """For every cell that nothing else is said of."""
    relation_types: dict[str, NonNegativeInt] = {}
    """Relation type -> instances over all its risk categories, spread evenly."""
    cells: dict[str, dict[str, NonNegativeInt]] = {}
    """Risk category -> relation type -> instances of that cell."""
    surplus: float = Field(default=0.25, ge=0, le=4)
    """How many more than wanted are aimed at, as a share, so that there are some to choose from and a reserve."""
    tries: int = Field(default=10, ge=1)
    """Candidates for each wanted instance at which a cell is given up."""
    diversity: float = Field(default=0.5, ge=0, le=1)
    """What counts in the choice: 1 that a candidate is unlike those chosen, 0 how well it was judged."""
    embedder: str | None = None
    """Model that says what is alike, as in the check `semantic_leakage`; without one the letters' runs do."""

    @property
    def given(self) -> bool:
        return bool(self.per_cell or self.relation_types or self.cells)


class Runner(Record):
    """How the flow runs shards side by side."""

    kind: Literal["threads", "dask"] = "threads"
    """Threads of this process, or the processes of a Dask cluster, which a Prefect server watches over."""
    workers: int = Field(default=2, ge=1, le=256)


class Profile(Record):
    """Everything a build is made with."""

    name: str = ""
    description: str = ""
    models: dict[str, ModelChoice]
    """By role."""
    images: ImageChoice
    checks: dict[str, dict[str, Any] | None]
    """Row in the table of checks -> its options, in the order they run; `null` takes a check out."""
    seeds: SeedLimits = SeedLimits()
    relation_types: tuple[str, ...] = ()
    """Relation types to build; empty means all."""
    targets: Targets = Targets()
    limits: Limits = Limits()
    review: ReviewChoice = ReviewChoice()
    release: ReleaseChoice = ReleaseChoice()
    runner: Runner = Runner()
    folders: tuple[str, ...] = ()
    """The user's own folders with `taxonomy/` and `prompts/`; relative ones start at the profile's file."""


def load_profile(name_or_path: str, settings: tuple[str, ...] = ()) -> Profile:
    """The resolved profile; raises UnknownName, BadFile (file and line) or UsageError for a bad override."""
    chain = _chain(_profile_file(name_or_path))
    value: dict[str, Any] = {"name": chain[0][0].stem}
    for _, own in reversed(chain):
        value = _merge(value, own)
    if folders := [f for _, own in reversed(chain) if isinstance(own.get("folders"), list) for f in own["folders"]]:
        value["folders"] = folders
    for setting in settings:
        _apply(value, setting)
    try:
        return Profile.model_validate(value)
    except ValidationError as error:
        raise _blame(chain, settings, error) from error


def _blame(chain: Sequence[tuple[Path, dict[str, Any]]], settings: Sequence[str], error: ValidationError) -> UsageError:
    """The error in terms of the override or the file that holds the mistake."""
    path, error_type = first_error(error)["loc"], first_error(error)["type"]
    what = explain(Profile, error)
    for setting in reversed(settings):
        key = tuple(setting.partition("=")[0].split("."))
        meant = path[:-1] if error_type == "missing" else path  # what is missing stands beside what was set
        shared = min(len(key), len(meant))
        if tuple(str(p) for p in meant[:shared]) == key[:shared]:
            return UsageError(f"--set {setting}: {what}")
    owner = next((file for file, own in chain if path and path[0] in own), chain[0][0])
    return BadFile(owner, what, line_of(read_text(owner), path))


def profile_names() -> list[str]:
    """Names of the profiles that come with the package."""
    return [file.stem for file in yaml_files(packaged("profiles"))]


def check_build_name(name: str) -> str:
    """`name` if a build may be called that; raises UsageError."""
    if not BUILD_NAME.fullmatch(name):
        raise UsageError(
            f"build name {name!r}: use 1-64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit"
        )
    return name


def _profile_file(name_or_path: str) -> Path:
    if name_or_path.endswith((".yaml", ".yml")) or "/" in name_or_path:
        return Path(name_or_path)
    if name_or_path not in profile_names():
        raise UnknownName("profile", name_or_path, profile_names())
    return packaged("profiles") / f"{name_or_path}.yaml"


def _chain(file: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The file and all that it extends, each with its own values; folders from where each file stands."""
    chain: list[tuple[Path, dict[str, Any]]] = []
    while True:
        value = load_yaml(file)
        if isinstance(folders := value.get("folders"), list):
            value["folders"] = [str((file.parent / str(folder)).resolve()) for folder in cast(list[Any], folders)]
        parent = value.pop("extends", None)
        chain.append((file, value))
        if parent is None:
            return chain
        named = str(parent)
        file = file.parent / named if named.endswith((".yaml", ".yml")) else _profile_file(named)
        if file.resolve() in {seen.resolve() for seen, _ in chain}:
            raise UsageError(f"{chain[0][0]}: extends itself by way of {file}; take one 'extends' out")


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`over` laid over `base`, mapping by mapping."""
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merge(cast(dict[str, Any], old), cast(dict[str, Any], value)) if both else value
    return merged


def _apply(value: dict[str, Any], setting: str) -> None:
    """One `dotted.key=YAML` override, in place."""
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise UsageError(f"--set {setting}: write it as key=value, for example limits.max_iterations=2")
    *path, last = key.split(".")
    for step in path:
        inner = value.setdefault(step, {})
        if not isinstance(inner, dict):
            raise UsageError(f"--set {setting}: {step!r} holds a value, not more keys")
        value = cast(dict[str, Any], inner)
    try:
        value[last] = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"--set {setting}: {text!r} is not a YAML value; put it in quotes") from error
