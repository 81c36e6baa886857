"""An untrained CLIP as transformers saves one: what `clip:FOLDER` opens, in a few kilobytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from phosphene.model.sources.libraries import import_library, import_torchvision

SIDE, MEAN, STD = 32, 0.5, 0.25
WORDS = ["a", "photo", "of", "sign", "red", "blue", "yellow", "green", "circle", "triangle", "square"]


def build_tokenizer() -> Any:
    """One token a word of the captions, with the markers that CLIP expects."""
    tokenizers, transformers = import_library("tokenizers", "clip"), import_library("transformers", "clip")
    words = ["<pad>", "<start>", "<end>", "<unknown>", *WORDS]
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unknown>")
    )
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<start>", eos_token="<end>", unk_token="<unknown>"
    )


def build_model(width: int = 32, layers: int = 1, seed: int = 0) -> nn.Module:
    """An untrained CLIP with its two transformers of `layers` layers."""
    import_torchvision()
    transformers = import_library("transformers", "clip")
    shared = {
        "hidden_size": width, "intermediate_size": 2 * width, "num_hidden_layers": layers,
        "num_attention_heads": 1, "projection_dim": width,
    }  # fmt: skip
    tokens = {"vocab_size": len(build_tokenizer()), "max_position_embeddings": 16}
    tokens |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = transformers.CLIPConfig(
        vision_config={**shared, "image_size": SIDE, "patch_size": 8}, text_config={**shared, **tokens},
        projection_dim=width,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module: nn.Module = transformers.CLIPModel(config)
    return module


def save_model(module: Any, folder: Path) -> None:
    """As `save_pretrained` does, the weights last, for they say that the folder is finished."""
    transformers = import_library("transformers", "clip")
    build_tokenizer().save_pretrained(folder)
    size = {"height": SIDE, "width": SIDE}
    transformers.CLIPImageProcessor(
        size=size, crop_size=size, image_mean=[MEAN] * 3, image_std=[STD] * 3
    ).save_pretrained(folder)
    module.save_pretrained(folder)
