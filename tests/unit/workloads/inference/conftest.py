"""Tiny real models with random weights; made once, they load and answer in milliseconds."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from flagscale_workloads.inference.engine import InferenceEngine
from flagscale_workloads.inference.folder import Loader, Settings
from flagscale_workloads.inference.text_model import TextModel
from flagscale_workloads.train.tokenizer import train_tokenizer
from support.tiny_pipeline import TEXT, write_tiny_pipeline

NAME = "tiny"


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose weights are large enough for varied text; its context has 256 tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("llama")
    tokenizer = train_tokenizer(330, texts=iter([TEXT]))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
        initializer_range=0.3, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    make: Any = LlamaForCausalLM
    make(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with word pieces."""
    from transformers import BertConfig, BertModel, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fox", "dog", "jumps", "sleeps"]
    make_tokenizer: Any = BertTokenizer
    make_tokenizer(vocab={word: index for index, word in enumerate(words)}).save_pretrained(folder)
    torch.manual_seed(4)
    config = BertConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=32, initializer_range=0.5,
    )  # fmt: skip
    make: Any = BertModel
    make(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion of a few kilobytes; its pictures have 16 x 16 pixels."""
    folder = tmp_path_factory.mktemp("pipeline")
    write_tiny_pipeline(folder)
    return folder


@pytest.fixture
def model(llama: Path) -> TextModel:
    """The Llama, loaded."""
    return TextModel(Settings("transformers", llama, NAME, dtype="float32"))


@pytest.fixture
def start() -> Iterator[Callable[..., InferenceEngine]]:
    """Load an engine, which is closed after the test."""
    engines: list[InferenceEngine] = []

    def start(folder: Path, *, loader: Loader = "transformers", **parts: Any) -> InferenceEngine:
        engine = InferenceEngine(Settings(loader, folder, NAME, dtype="float32", **parts))
        engine.load()
        engines.append(engine)
        return engine

    yield start
    for engine in engines:
        engine.close()
