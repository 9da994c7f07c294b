"""Text leakage: precision and recall of the checks by words and by meaning on prompts written for it.

`data/leaking_prompts.jsonl` has 252 mild candidates over 63 seed queries, four of each: two that leak (verbatim, in
other forms, as a paraphrase, or by meaning alone) and two that do not, which share places, people and things with the
seed. Thresholds are chosen on every other seed query and reported on the rest, so that no seed is in both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.results import Row
from mirsb_build.checks.lexical_leakage import LexicalLeakage
from mirsb_build.checks.semantic_leakage import SemanticLeakage
from mirsb_build.config.profiles import load_profile
from mirsb_build.config.taxonomy import load_taxonomy
from mirsb_build.ports import Check, Evidence
from mirsb_build.records import Candidate, Origin, Picture, SeedQuery

DATA = Path(__file__).with_name("data") / "leaking_prompts.jsonl"
BAR = 0.9
CHOSEN_AT = 0.92
"""Precision that the thresholds are chosen for: a little above the bar, because new seeds are not those seen."""
CURVES = {"words": np.arange(0.2, 0.81, 0.05), "meaning": np.arange(0.3, 0.61, 0.02)}
"""Thresholds that are tried."""

Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Labelled:
    """One candidate of the file."""

    candidate: Candidate
    leaks: bool
    how: str


def read() -> list[Labelled]:
    """The labelled candidates, in the file's order."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in DATA.read_text(encoding="utf-8").splitlines()]
    return [
        Labelled(
            Candidate(
                seed_query=SeedQuery(
                    risk_category=row["risk_category"],
                    facet="",
                    text=row["seed_query"],
                    origin=Origin(kind="file", name=DATA.name),
                ),
                relation_type=row["relation_type"],
                round=1,
                prompt=row["prompt"],
                pictures=tuple(Picture(**picture) for picture in row["pictures"]),
            ),
            row["leaks"],
            row["how"],
        )
        for row in rows
    ]


def measure() -> list[Row]:
    """Precision and recall on the held-out half; prints the curves of the half that chose."""
    labelled = read()
    taxonomy = load_taxonomy()
    words = _scores(LexicalLeakage(LexicalLeakage.Options(), taxonomy), labelled)
    meaning = _scores(SemanticLeakage(SemanticLeakage.Options(), taxonomy), labelled)
    truth = np.array([one.leaks for one in labelled])
    seeds = list(dict.fromkeys(one.candidate.seed_query.text for one in labelled))
    held = np.array([seeds.index(one.candidate.seed_query.text) % 2 == 1 for one in labelled])
    chosen = {"words": _chosen("words", words, truth, ~held), "meaning": _chosen("meaning", meaning, truth, ~held)}
    pair = _best_pair(words, meaning, truth, ~held)
    print(f"together on the half that chooses: words {pair[0]:.2f}, meaning {pair[1]:.2f}")
    profile = load_profile("paper").checks
    shipped = (profile["lexical_leakage"] or {})["threshold"], (profile["semantic_leakage"] or {})["threshold"]
    together = (words >= pair[0]) | (meaning >= pair[1])
    ships = (words >= shipped[0]) | (meaning >= shipped[1])
    rows = [Row("prompts", len(labelled), "prompts"), Row("of them leak", int(truth.sum()), "prompts")]
    rows += _figures(f"words alone at {chosen['words']:.2f}", words >= chosen["words"], truth, held)
    rows += _figures(f"meaning alone at {chosen['meaning']:.2f}", meaning >= chosen["meaning"], truth, held)
    rows += _figures(f"both, at {pair[0]:.2f} and {pair[1]:.2f}", together, truth, held)
    rows += _figures(f"both as shipped, {shipped[0]:.2f} and {shipped[1]:.2f}", ships, truth, held, bar=True)
    rows += _figures("both as shipped, all prompts", ships, truth, held | True)
    for how in ("verbatim", "lemma", "paraphrase", "meaning"):
        of = np.array([one.how == how for one in labelled]) & held
        rows.append(Row(f"found of what leaks by: {how}", float(ships[of].mean()), "share"))
    return rows


def _scores(check: Check, labelled: list[Labelled]) -> Floats:
    taxonomy = load_taxonomy()
    found: list[float] = []
    for one in labelled:
        evidence = Evidence(relation_type=taxonomy.relation_type(one.candidate.relation_type))
        finding = check.judge(one.candidate, evidence)
        if finding.score is None:
            raise SystemExit(f"{check.name}: {finding.reason}")
        found.append(finding.score)
    return np.array(found)


def _precision_recall(told: Marks, truth: Marks) -> tuple[float, float]:
    right = int((told & truth).sum())
    return (right / int(told.sum()) if told.any() else 1.0), right / int(truth.sum())


def _f1(told: Marks, truth: Marks) -> float:
    precision, recall = _precision_recall(told, truth)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _chosen(name: str, scores: Floats, truth: Marks, half: Marks) -> float:
    """The threshold with the best F1; prints the curve."""
    print(f"{name}, on the half that chooses: threshold, precision, recall")
    for threshold in CURVES[name]:
        precision, recall = _precision_recall(scores[half] >= threshold, truth[half])
        print(f"  {threshold:.2f}  {precision:.3f}  {recall:.3f}")
    return float(max(CURVES[name], key=lambda t: _f1(scores[half] >= t, truth[half])))


def _best_pair(words: Floats, meaning: Floats, truth: Marks, half: Marks) -> tuple[float, float]:
    """The thresholds with the highest recall at a precision of CHOSEN_AT, when either check may fail a candidate."""
    tried: list[tuple[float, float, float]] = []
    for pair in ((float(a), float(b)) for a in CURVES["words"] for b in CURVES["meaning"]):
        precision, recall = _precision_recall((words[half] >= pair[0]) | (meaning[half] >= pair[1]), truth[half])
        if precision >= CHOSEN_AT:
            tried.append((recall, *pair))
    return max(tried)[1:]


def _figures(name: str, told: Marks, truth: Marks, held: Marks, *, bar: bool = False) -> list[Row]:
    precision, recall = _precision_recall(told[held], truth[held])
    if not bar:
        return [Row(f"{name}: precision", precision, "share"), Row(f"{name}: recall", recall, "share")]
    return [
        Row(f"{name}: precision", precision, "share", f">= {BAR}", precision >= BAR),
        Row(f"{name}: recall", recall, "share", f">= {BAR}", recall >= BAR),
    ]
