"""Untrained BERTs with the tokenizer of the shipped models: encoders for tests of training."""

from __future__ import annotations

import shutil
from pathlib import Path

from qtr_rerank.artifact import SHIPPED

_TOKENIZER = "tokenizer.json"


def untrained_encoder(folder: Path, **sizes: int) -> str:
    """Save a BERT of these sizes (`BertConfig`) to `folder`, with seeded weights; its path."""
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.BertModel(transformers.BertConfig(**sizes)).save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


def save_tokenizer(folder: Path) -> None:
    """Save the shipped WordPiece tokenizer to `folder`, in the format of transformers."""
    import transformers

    shutil.copyfile(SHIPPED / "twin" / _TOKENIZER, folder / _TOKENIZER)
    transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / _TOKENIZER),
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        unk_token="[UNK]",
        mask_token="[MASK]",
    ).save_pretrained(folder)
