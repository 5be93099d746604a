"""The tokenizer: trained on the data, or read from a folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from flagscale_api.v1alpha1.trainer import TokenizerSpec
from flagscale_workloads.train.errors import TrainError

END: Final = "<|endoftext|>"

# transformers types what from_pretrained returns as a union of many classes.
AnyTokenizer = Any


def make_tokenizer(spec: TokenizerSpec, *, texts: Iterator[str]) -> AnyTokenizer:
    """The tokenizer that the spec asks for."""
    return train_tokenizer(spec.vocab_size, texts=texts) if spec.path is None else _given(spec.path)


def train_tokenizer(vocab_size: int, *, texts: Iterator[str]) -> AnyTokenizer:
    """Byte-level BPE (Radford et al. 2019): any text encodes, nothing is unknown."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    make: AnyTokenizer = PreTrainedTokenizerFast
    return make(tokenizer_object=tokenizer, bos_token=END, eos_token=END)


def load_tokenizer(folder: Path) -> AnyTokenizer:
    """A tokenizer from a folder: never from a network, never with code of its own."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )


def _given(path: str) -> AnyTokenizer:
    reason = "not a folder"
    if Path(path).is_dir():
        try:
            return load_tokenizer(Path(path))
        except Exception as error:  # noqa: BLE001 - each tokenizer class fails in its own way
            reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
    msg = (
        f"spec.trainer.tokenizer.path: no Hugging Face tokenizer, got {path} ({reason}); "
        "name a folder with tokenizer.json and tokenizer_config.json, or leave path out"
    )
    raise TrainError("InvalidData", msg)
