"""How near a picture and a text are: CLIP or SigLIP, from a folder or a Hub."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mirsb_build.errors import ModelError
from mirsb_build.ports import Pixels
from mirsb_build.runtime.model_files import folder_hash

KINDS = ("clip", "siglip")
"""Values of `model_type` in a config.json that are known to give pictures and texts vectors of one space."""
AT_ONCE = 16
"""Pictures or texts that go through a tower together."""

Cosines = npt.NDArray[np.float32]


class ImageTextModel:
    """A model with a tower for pictures and one for texts; raises ModelError where it cannot be loaded."""

    def __init__(self, model: str, device: str) -> None:
        place = str(Path(model).expanduser()) if is_folder(model) else model
        try:
            import torch
            import transformers

            auto: Any = transformers
            auto.utils.logging.disable_progress_bar()
            local = is_folder(model)
            kind = auto.AutoConfig.from_pretrained(place, local_files_only=local).model_type
            if kind not in KINDS:
                raise ModelError(f"model {model!r} is of type {kind!r}; give a CLIP or a SigLIP")
            whole = auto.AutoModel.from_pretrained(place, local_files_only=local, dtype=torch.float32)
            self._model = whole.to(device).eval()
            self._processor = auto.AutoProcessor.from_pretrained(place, local_files_only=local)
        except ModelError:
            raise
        except Exception as error:  # whatever the model's files, the Hub's client or the device make of it
            line = (str(error) or type(error).__name__).splitlines()[0]
            raise ModelError(
                f"model {model!r} cannot be loaded: {line}; check its name or folder, and device"
            ) from error
        self._torch = torch
        self._window = int(self._model.config.text_config.max_position_embeddings)

    def cosines(self, pictures: Sequence[Pixels], texts: Sequence[str]) -> Cosines:
        """Cosine (-1 to 1) of each picture (RGB) and the text in the same place; a text's end may not be read."""
        found: list[Cosines] = []
        for start in range(0, len(pictures), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            seen, read = self._seen(pictures[part]), self._read(texts[part])
            found.append((seen * read).sum(dim=1).float().cpu().numpy())
        return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)

    def _seen(self, pictures: Sequence[Pixels]) -> Any:
        inputs = self._processor.image_processor(images=list(pictures), return_tensors="pt")
        with self._torch.inference_mode():
            return _unit(self._model.get_image_features(**inputs.to(self._model.device)))

    def _read(self, texts: Sequence[str]) -> Any:
        """SigLIP was trained on texts filled up to the window, and reads others badly; CLIP does not mind."""
        inputs = self._processor.tokenizer(
            list(texts), padding="max_length", truncation=True, max_length=self._window, return_tensors="pt"
        )
        with self._torch.inference_mode():
            return _unit(self._model.get_text_features(**inputs.to(self._model.device)))


def is_folder(model: str) -> bool:
    """Whether a model is meant as a folder: it is one, or it is written as a path and not as ORG/NAME."""
    return Path(model).expanduser().is_dir() or model.startswith((".", "/", "~")) or model.count("/") != 1


def model_identity(model: str) -> str:
    """Name a model by the Hub's name, or a folder's name and contents; raises ModelError for a wrong folder."""
    try:
        if not is_folder(model):
            return model
        folder = Path(model).expanduser()
        known = folder_hash(folder)
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (OSError, RuntimeError, ValueError, AttributeError) as error:
        raise ModelError(f"{model} is no folder of a transformers model (no config.json that can be read)") from error
    if kind not in KINDS:
        raise ModelError(f"{model} holds a model of type {kind!r}; give a CLIP or a SigLIP")
    return f"{folder.name}@{known}"


def _unit(features: Any) -> Any:
    """Vectors of length 1; newer versions of transformers wrap them."""
    vectors = getattr(features, "pooler_output", features)
    return vectors / vectors.norm(dim=-1, keepdim=True)
