"""Small text-to-image pipelines of random weights, built in code and saved: real in all but what they have learnt."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMPipeline,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from tokenizers import Tokenizer
from tokenizers.models import Unigram
from tokenizers.pre_tokenizers import Metaspace
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel, T5TokenizerFast

CLIP_TOKENS, T5_TOKENS = 77, 128
"""Windows of the text encoders."""
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.,:;-'"


def stable_diffusion(folder: Path) -> Path:
    """A Stable Diffusion pipeline of some 2 MB that draws 64 x 64 in a few steps."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=8,
        norm_num_groups=8,
    )
    pipeline = StableDiffusionPipeline(
        vae=_vae(4),
        text_encoder=_clip(),
        tokenizer=clip_tokenizer(folder.parent / f"{folder.name}-tokenizer"),
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def flux(folder: Path) -> Path:
    """A FLUX pipeline of some 2 MB: two text encoders, a transformer, flow matching."""
    torch.manual_seed(0)
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=32,
        axes_dims_rope=(4, 4, 8),
    )
    config = T5Config(
        vocab_size=600, d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, feed_forward_proj="gated-gelu"
    )
    pipeline = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_vae(4, scaled=True),
        text_encoder=_clip(),
        tokenizer=clip_tokenizer(folder.parent / f"{folder.name}-tokenizer"),
        text_encoder_2=T5EncoderModel(config),
        tokenizer_2=t5_tokenizer(),
        transformer=transformer,
    )
    pipeline.save_pretrained(folder)
    return folder


def unconditional(folder: Path) -> Path:
    """A pipeline that draws, but not from text."""
    unet = UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 8),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )
    DDPMPipeline(unet, DDIMScheduler()).save_pretrained(folder)
    return folder


def _vae(channels: int, scaled: bool = False) -> AutoencoderKL:
    vae = AutoencoderKL(
        block_out_channels=(16, 32),
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D", "DownEncoderBlock2D"),
        up_block_types=("UpDecoderBlock2D", "UpDecoderBlock2D"),
        latent_channels=channels,
        norm_num_groups=8,
        scaling_factor=1.0 if scaled else 0.18215,
        shift_factor=0.0 if scaled else None,
        use_quant_conv=not scaled,
        use_post_quant_conv=not scaled,
    )
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(3)  # untrained, it would draw a flat grey
    return vae


def _clip() -> CLIPTextModel:
    config = CLIPTextConfig(
        vocab_size=1000,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CLIP_TOKENS,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=1,
        projection_dim=32,
    )
    return CLIPTextModel(config)


def clip_tokenizer(folder: Path) -> CLIPTokenizer:
    """A tokenizer that knows letters alone, as they are and as the ends of words."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["<|startoftext|>", "<|endoftext|>", *LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    (folder / "vocab.json").write_text(json.dumps({word: n for n, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=CLIP_TOKENS)


def t5_tokenizer() -> T5TokenizerFast:
    words = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *((letter, -5.0) for letter in "\u2581" + LETTERS)]
    tokenizer = Tokenizer(Unigram(words, unk_id=2))
    tokenizer.pre_tokenizer = Metaspace()
    return T5TokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        extra_ids=0,
        model_max_length=T5_TOKENS,
    )
