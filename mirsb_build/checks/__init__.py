"""Checks: the table of them, and how a profile's checks are opened.

A new check is a module with one class that implements `ports.Check`, `ports.ComparingCheck` or `ports.ModelCheck` and
has an `Options` record, and a row here; a package of others adds its own by the entry points `mirsb.checks` and
`mirsb.model_checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from mirsb_build.config.taxonomy import Taxonomy
from mirsb_build.config.yaml_files import explain
from mirsb_build.errors import UnknownName, UsageError
from mirsb_build.ports import AnyCheck, Asker
from mirsb_build.runtime.registry import load_class, with_installed

CHECKS = {
    "structure": "mirsb_build.checks.structure:Structure",
    "policy": "mirsb_build.checks.policy:PolicyCheck",
    "lexical_leakage": "mirsb_build.checks.lexical_leakage:LexicalLeakage",
    "semantic_leakage": "mirsb_build.checks.semantic_leakage:SemanticLeakage",
    "ocr_leakage": "mirsb_build.checks.ocr_leakage:OcrLeakage",
    "integrity": "mirsb_build.checks.integrity:Integrity",
    "nsfw": "mirsb_build.checks.nsfw:Nsfw",
    "image_text_match": "mirsb_build.checks.image_text_match:ImageTextMatch",
    "image_duplicates": "mirsb_build.checks.image_duplicates:ImageDuplicates",
    "lexical_duplicates": "mirsb_build.checks.lexical_duplicates:LexicalDuplicates",
    "semantic_duplicates": "mirsb_build.checks.semantic_duplicates:SemanticDuplicates",
}

MODEL_CHECKS = {
    "quality": "mirsb_build.checks.quality:Quality",
    "necessity": "mirsb_build.checks.necessity:Necessity",
    "probe": "mirsb_build.checks.probe:Probe",
}
"""Checks that ask models: their classes take the asker too."""

ALWAYS = ("policy",)
"""Checks that no profile can take out."""


def open_checks(
    choices: Mapping[str, Mapping[str, Any] | None], taxonomy: Taxonomy, asker: Asker | None = None
) -> list[AnyCheck]:
    """The checks of a profile in its order; raises UnknownName or UsageError for what it got wrong.

    `asker` has the models for checks that ask some.
    """
    local = with_installed(CHECKS, "mirsb.checks")
    asking = with_installed(MODEL_CHECKS, "mirsb.model_checks")
    table = local | asking
    wanted = {name: options for name, options in choices.items() if options is not None or name in ALWAYS}
    found: list[AnyCheck] = []
    if unknown := [name for name in choices if name not in table]:
        raise UnknownName("check", unknown[0], table)
    for name, options in {**wanted, **{n: None for n in ALWAYS if n not in wanted}}.items():
        kind = load_class(table[name])
        try:
            chosen = kind.Options.model_validate(options or {})
        except ValidationError as error:
            raise UsageError(f"check {name!r}: {explain(kind.Options, error)}") from error
        if name in local:
            found.append(kind(chosen, taxonomy))
        elif asker is None:
            raise UsageError(f"check {name!r} asks models, and there are none here; take it out with null")
        else:
            found.append(kind(chosen, taxonomy, asker))
    return found
