"""How many captions are surely not in English.

A caption is short, and the language of few words is a guess. Two things make it a usable one: only languages that
captions are likely to be in are tried (with all 97, every second English name of two words goes to some other), and
only what is 90 % sure counts. So of 1,000 English names of drawings 1 counts, of as many German 406, French 656,
Chinese 730; of whole sentences in these languages nearly all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mirsb_build.errors import ModelError
from mirsb_build.images.backends.retrieval.requirements import WAY_OUT

LIKELY = "ar bn cs da de el en es fa fi fr he hi hu id it ja ko nl pl pt ro ru sv ta th tr uk vi zh".split()
SURE = 0.9
LEAST_SHARE = 0.02
"""Share of captions from which it is logged: twenty times what is miscounted among English ones."""


def count_other_languages(captions: Sequence[str]) -> int:
    """Count the captions that are surely in another language than English; 0 where they are too few to tell.

    Raises ModelError where py3langid is missing.
    """
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError as error:
        raise ModelError(f"image backend 'retrieval' needs py3langid; install it with: {WAY_OUT}") from error
    known: Any = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    known.set_languages(LIKELY)
    guesses: list[tuple[str, float]] = [known.classify(caption) for caption in captions]
    others = sum(language != "en" and sure >= SURE for language, sure in guesses)
    return others if others > 1 and others >= LEAST_SHARE * len(captions) else 0
