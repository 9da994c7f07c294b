"""Small CLIP and SigLIP of random weights, built in code and saved: real in all but what they have learnt."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPProcessor,
    SiglipConfig,
    SiglipModel,
    SiglipProcessor,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from tests.images.pipelines import CLIP_TOKENS, clip_tokenizer, t5_tokenizer

SIGLIP_TOKENS = 32
SIDE = 32
TOWER: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
}
TEXT = TOWER | {"vocab_size": 1000, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
VISION = TOWER | {"image_size": SIDE, "patch_size": 8}


def clip(folder: Path) -> Path:
    """A CLIP of some 300 KB."""
    torch.manual_seed(0)
    text = TEXT | {"max_position_embeddings": CLIP_TOKENS}
    CLIPModel(CLIPConfig(text_config=text, vision_config=VISION, projection_dim=16)).save_pretrained(folder)
    images = CLIPImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    CLIPProcessor(images, clip_tokenizer(folder.parent / f"{folder.name}-tokenizer")).save_pretrained(folder)
    return folder


def siglip(folder: Path) -> Path:
    """A SigLIP of some 300 KB."""
    torch.manual_seed(0)
    text = TEXT | {"max_position_embeddings": SIGLIP_TOKENS}
    SiglipModel(SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    images = SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    SiglipProcessor(images, t5_tokenizer()).save_pretrained(folder)
    return folder
