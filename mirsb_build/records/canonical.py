"""Model calls and pictures as they go into the hash of a candidate's revision, field by field.

The words here are those of the hash and not of the fields: they stay when a field is renamed, and a field that is added
to a record is not part of them (`candidates.canonical_candidate` says why).
"""

from __future__ import annotations

from typing import Any

from mirsb_build.records.calls import ModelCall
from mirsb_build.records.pictures import Generation, Image, ImageSource, Picture


def canonical_call(call: ModelCall) -> dict[str, Any]:
    """A model call."""
    usage = call.usage
    return {
        "id": call.id,
        "role": call.role,
        "model": call.model,
        "prompt": call.prompt,
        "prompt_hash": call.prompt_hash,
        "reply_hash": call.reply_hash,
        "outcome": call.outcome,
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "cached_tokens": usage.cached_tokens,
            "completion_tokens": usage.completion_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "images": usage.images,
        },
        "cost": call.cost,
    }


def canonical_picture(picture: Picture) -> dict[str, Any]:
    """A picture of a candidate; the picture of a stock that it was allotted is named by its image's spec."""
    return {
        "description": picture.description,
        "keywords": picture.keywords,
        "image": _image(picture.image) if picture.image else None,
        "problem": picture.problem,
    }


def _image(image: Image) -> dict[str, Any]:
    """An image without view hashes, length and thumbnail, which follow from its bytes."""
    return {
        "id": image.id,
        "extension": image.extension,
        "width": image.width,
        "height": image.height,
        "perceptual_hash": image.perceptual_hash,
        "backend": image.backend,
        "spec": {"id": image.spec.id, **image.spec.canonical()},
        "sources": [_source(source) for source in image.sources],
        "generation": _generation(image.generation) if image.generation else None,
    }


def _source(source: ImageSource) -> dict[str, Any]:
    return {
        "title": source.title,
        "file": source.file,
        "sha256": source.sha256,
        "licence": source.licence,
        "author": source.author,
        "url": source.url,
    }


def _generation(generation: Generation) -> dict[str, Any]:
    return {
        "model": generation.model,
        "revision": generation.revision,
        "pipeline": generation.pipeline,
        "prompt": generation.prompt,
        "cut": generation.cut,
        "scheduler": generation.scheduler,
        "steps": generation.steps,
        "guidance": generation.guidance,
        "negative_prompt": generation.negative_prompt,
        "seed": generation.seed,
        "rejected": generation.rejected,
        "dtype": generation.dtype,
        "device": generation.device,
        "versions": generation.versions,
    }
