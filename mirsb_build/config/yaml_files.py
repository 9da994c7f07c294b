"""YAML files of the user's and ours: parsed, checked against a model, and blamed by file and line."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mirsb_build.errors import BadFile

Model = TypeVar("Model", bound=BaseModel)

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C reads our taxonomy ten times as fast; it is not in every build of PyYAML."""

DATA = ("prompts", "taxonomy", "profiles")
"""Folders of data beside the code: at the top of a checkout, inside the package once installed as a wheel."""


def packaged(folder: str) -> Path:
    """Where our own `prompts`, `taxonomy` or `profiles` lie, in a checkout or in an installed wheel."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "data" / folder
    return installed if installed.is_dir() else here.parent / folder


def yaml_files(folder: Path) -> Iterator[Path]:
    """The YAML files of a folder, by name; none if there is no such folder."""
    yield from sorted(p for p in folder.glob("*.y*ml") if p.suffix in (".yaml", ".yml"))


def read_text(file: Path) -> str:
    """The text of a user's file; a file that cannot be read is a BadFile."""
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFile(file, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def load_yaml(file: Path) -> dict[str, Any]:
    """One mapping; raises BadFile with the line where the text stops being YAML."""
    return parse_yaml(file, read_text(file))


def parse_yaml(file: Path, text: str, offset: int = 0) -> dict[str, Any]:
    """One mapping from `text`, which stands in `file` after `offset` lines."""
    try:
        value = yaml.load(text, Loader=LOADER)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 + offset if error.problem_mark else None
        raise BadFile(file, f"is not YAML: {error.problem}", line) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date or a number that looks like one and is none
        raise BadFile(file, f"is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(value, dict):
        raise BadFile(file, "must hold a mapping (key: value lines)", 1 + offset)
    return value  # pyright: ignore[reportUnknownVariableType]


def load_model(file: Path, model: type[Model]) -> Model:
    """The file as a `model`; raises BadFile with the line, and the nearest known key for an unknown one."""
    return parse_model(file, read_text(file), model)


def parse_model(file: Path, text: str, model: type[Model], offset: int = 0) -> Model:
    """`text`, which stands in `file` after `offset` lines, as a `model`."""
    value = parse_yaml(file, text, offset)
    try:
        return model.model_validate(value)
    except ValidationError as error:
        line = line_of(text, first_error(error)["loc"])
        raise BadFile(file, explain(model, error), line + offset if line else None) from error


def first_error(problem: ValidationError) -> ErrorDetails:
    """The error to tell: an unknown key before a missing one, because it is often the missing one misspelt."""
    errors = problem.errors()
    return next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])


def explain(model: type[BaseModel], problem: ValidationError) -> str:
    """The first thing that is wrong, in one line, with the nearest known key for an unknown one."""
    error = first_error(problem)
    path = error["loc"]
    name = ".".join(str(p) for p in path) or "the file"
    if error["type"] == "extra_forbidden":
        owner = _model_at(model, path[:-1])
        near = difflib.get_close_matches(str(path[-1]), list(owner.model_fields) if owner else [], n=1)
        return f"unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    if error["type"] == "missing":
        return f"{name!r} is missing"
    return f"{name}: {error['msg'].removeprefix('Value error, ')}"


def _model_at(model: type[BaseModel] | None, path: Sequence[int | str]) -> type[BaseModel] | None:
    """The model that a path of keys leads to, where annotations say so plainly."""
    for step in path:
        if model is None:
            return None
        field = model.model_fields.get(str(step))
        if field is None:
            continue  # a list index or a mapping's key: the model stays the one of its items
        found = field.annotation
        choices = [found, *getattr(found, "__args__", ())]
        model = next((c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), None)
    return model


def line_of(text: str, path: Sequence[int | str]) -> int | None:
    """Line of the deepest key of `path` that a YAML text has."""
    node = cast(Any, yaml.compose(text, Loader=yaml.SafeLoader))
    line: int | None = node.start_mark.line + 1 if node else None
    for step in path:
        if isinstance(node, yaml.MappingNode):
            pair = next(((k, v) for k, v in node.value if k.value == str(step)), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
