"""Prompt templates: one Markdown file a role and relation type, versioned by content hash.

A file opens with a YAML header (role, the variables it uses, the reply it asks for), then `# System` and `# User` with
Jinja text. Everything that can be wrong with a template is found when it is loaded, not when it is called: a variable
that is not declared, one that is declared and not used, one that the role does not provide, an unknown reply, a
missing include. The hash covers the included files too.

Templates may come from others, so they get plain values and no objects of ours, whose methods could read files or run
code, and they include files of the prompt folders only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateNotFound, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment as Sandbox
from pydantic import BaseModel

from mirsb_build.config.reply_schemas import REPLIES
from mirsb_build.config.taxonomy import Facet, RelationType, RiskCategory
from mirsb_build.config.yaml_files import packaged, parse_model, read_text
from mirsb_build.errors import BadFile, UnknownName
from mirsb_build.records import Candidate, Message, Record, content_hash

ROLES: dict[str, frozenset[str]] = {
    "seed_writer": frozenset({"category", "facets", "count", "policy", "avoid"}),
    "revisor": frozenset(
        {"seed_query", "facet", "category", "relation_type", "round", "feedback", "previous", "policy"}
    ),
    "quality_judge": frozenset({"category", "relation_type", "prompt", "pictures", "look"}),
    "necessity_judge": frozenset({"relation_type", "prompt", "pictures", "shown", "look"}),
    "intent_judge": frozenset({"seed_query", "intent"}),
    "response_judge": frozenset({"seed_query", "category", "relation_type", "prompt", "pictures", "response"}),
}
"""The variables that each role's stage provides; a template may use these and no others."""

REFERENCE = "reference_model"
"""How the roles of reference models begin; they get an instance's own prompt, so they have no template."""

ILLUSTRATOR = "illustrator"
"""The role of an image model behind an API; it gets a picture's own words, so it has no template."""

FIELDS: dict[str, type[Record]] = {
    "category": RiskCategory,
    "relation_type": RelationType,
    "facet": Facet,
    "previous": Candidate,
}
"""Variables that are records: a template may use their fields and no others."""

_HEADER = re.compile(r"\A---\n(?P<header>.*?\n)---\n(?P<body>.*)\Z", re.DOTALL)
_SECTION = re.compile(r"^# (System|User)[ \t]*\n", re.MULTILINE)


class Header(Record):
    """The YAML header of a template."""

    role: str
    reply: str
    variables: tuple[str, ...]


class Prompt:
    """One template, checked; `render` cannot meet a missing variable that loading did not."""

    def __init__(self, name: str, header: Header, digest: str, environment: Sandbox, body: str) -> None:
        self.name = name
        self.role = header.role
        self.reply = REPLIES[header.reply]
        self.reply_schema = self.reply.model_json_schema()
        self.hash = digest
        self._variables = header.variables
        parts = _SECTION.split(body)
        self._sections = [
            (parts[i].lower(), environment.from_string(parts[i + 1].strip())) for i in range(1, len(parts), 2)
        ]

    def render(self, variables: Mapping[str, Any]) -> tuple[Message, ...]:
        """The chat messages for these variables."""
        used = {name: plain(variables[name]) for name in self._variables}
        return tuple(Message(role=role, content=template.render(used)) for role, template in self._sections)


def plain(value: Any) -> Any:
    """A value as templates may see it: texts, numbers, lists, mappings, and the fields of records without methods."""
    if isinstance(value, BaseModel):
        return SimpleNamespace(**{name: plain(getattr(value, name)) for name in type(value).model_fields})
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in cast(Mapping[object, object], value).items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(one) for one in cast(Sequence[object], value)]
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"a prompt's variable is a {type(value).__name__}, which no template may see")


class _InFolders(FileSystemLoader):
    """Finds templates below its folders; a link that leads out of them is as if it were not there."""

    def get_source(self, environment: Environment, template: str) -> tuple[str, str, Callable[[], bool]]:
        text, file, fresh = super().get_source(environment, template)
        if not _is_below(Path(file), map(Path, self.searchpath)):
            raise TemplateNotFound(template)
        return text, file, fresh


def _is_below(file: Path, roots: Iterable[Path]) -> bool:
    return any(file.resolve().is_relative_to(root.resolve()) for root in roots)


class Prompts:
    """All templates, by name (`seeds`, `decompose/Analogy`, ...)."""

    def __init__(self, prompts: Mapping[str, Prompt]) -> None:
        self._prompts = dict(prompts)

    def __iter__(self):
        return iter(self._prompts.values())

    def __getitem__(self, name: str) -> Prompt:
        if name not in self._prompts:
            raise UnknownName("prompt", name, self._prompts)
        return self._prompts[name]

    def __contains__(self, name: str) -> bool:
        return name in self._prompts

    @property
    def hashes(self) -> dict[str, str]:
        return {name: prompt.hash for name, prompt in sorted(self._prompts.items())}


def load_prompts(folders: Sequence[Path] = ()) -> Prompts:
    """Our templates with the user's laid over them; raises BadFile for anything a call could trip over."""
    roots = [packaged("prompts"), *(f / "prompts" for f in folders)]
    environment = Sandbox(
        loader=_InFolders([str(r) for r in reversed(roots)]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found: dict[str, Prompt] = {}
    included: dict[str, _Source] = {}
    for root in roots:
        for file in sorted(root.rglob("*.md")):
            if not file.name.startswith("_"):
                if not _is_below(file, [root]):
                    raise BadFile(file, f"is a link that leads out of {root}; put the prompt itself there")
                name = file.relative_to(root).with_suffix("").as_posix()
                found[name] = _load(name, file, environment, included)
    return Prompts(found)


class _Source(NamedTuple):
    """A template's text, or that of a file it includes, with where it stands."""

    file: Path
    offset: int
    """Lines of the file before the text."""
    text: str
    tree: nodes.Template

    def line(self, node: nodes.Node) -> int:
        return self.offset + node.lineno


def _load(name: str, file: Path, environment: Sandbox, included: dict[str, _Source]) -> Prompt:
    text = read_text(file)
    match = _HEADER.match(text)
    if match is None:
        raise BadFile(file, "a prompt opens with a YAML header between two lines of ---", 1)
    header = parse_model(file, match["header"], Header, offset=1)
    if header.role not in ROLES:
        raise UnknownName("role", header.role, ROLES, where=str(file))
    if header.reply not in REPLIES:
        raise UnknownName("reply", header.reply, REPLIES, where=str(file))
    if not any(section[1] == "User" for section in _SECTION.finditer(match["body"])):
        raise BadFile(file, "a prompt needs a section '# User'")
    body = _parse(environment, file, text[: match.start("body")].count("\n"), match["body"])
    sources = _with_includes(environment, body, included)
    _check_variables(file, header, sources)
    for source in sources:
        _check_fields(source)
    digest = content_hash(header.model_dump(), [source.text for source in sources])
    return Prompt(name, header, digest, environment, match["body"])


def _with_includes(environment: Sandbox, body: _Source, included: dict[str, _Source]) -> list[_Source]:
    """The body and all that it includes, in order of first use; `included` has the files that were parsed before."""
    sources = [body]
    seen: set[str] = set()
    for source in sources:  # grows while it is walked
        for name in meta.find_referenced_templates(source.tree):
            if name is None:
                raise BadFile(source.file, "includes a file whose name is computed; write the name itself")
            if name not in seen:
                seen.add(name)
                if name not in included:
                    included[name] = _included(environment, source.file, name)
                sources.append(included[name])
    return sources


def _included(environment: Sandbox, by: Path, name: str) -> _Source:
    assert environment.loader is not None
    try:
        text, found, _ = environment.loader.get_source(environment, name)
    except TemplateNotFound as error:
        raise BadFile(by, f"includes {name!r}, which is in no prompt folder") from error
    return _parse(environment, Path(found or name), 0, text)


def _parse(environment: Sandbox, file: Path, offset: int, text: str) -> _Source:
    try:
        environment.compile(text, raw=True)  # finds what parsing alone lets through: unknown filters and tests
        return _Source(file, offset, text, environment.parse(text))
    except TemplateSyntaxError as error:
        raise BadFile(file, f"is not a template: {error.message}", offset + error.lineno) from error


def _check_variables(file: Path, header: Header, sources: Sequence[_Source]) -> None:
    provided = ROLES[header.role]
    used: set[str] = set()
    for source in sources:
        names = meta.find_undeclared_variables(source.tree)
        used |= names
        for name in sorted(names - set(header.variables)):
            node = next(n for n in source.tree.find_all(nodes.Name) if n.name == name)
            near = difflib.get_close_matches(name, [*header.variables, *provided], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"role {header.role} has: {', '.join(sorted(provided))}"
            raise BadFile(source.file, f"unknown variable {name!r}; {hint}", source.line(node))
    for name in header.variables:
        if name not in provided:
            raise UnknownName("variable", name, provided, where=f"{file}: role {header.role}")
        if name not in used:
            raise BadFile(file, f"variable {name!r} is declared and never used; use it or take it out of the header")


def _check_fields(source: _Source) -> None:
    """Raise for `{{ category.nmae }}`: a field that the variable's record does not have."""
    for attribute in source.tree.find_all(nodes.Getattr):
        owner = attribute.node
        if isinstance(owner, nodes.Name) and owner.name in FIELDS:
            record = FIELDS[owner.name]
            if attribute.attr not in record.model_fields:
                where = f"{source.file}, line {source.line(attribute)}"
                raise UnknownName(f"field of {owner.name}", attribute.attr, record.model_fields, where=where)
