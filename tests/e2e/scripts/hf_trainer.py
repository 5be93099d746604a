"""A Hugging Face `Trainer` script as anybody would write it: it knows nothing of FlagScale.

`python hf_trainer.py OUTPUT`; transformers itself posts progress where Kubeflow's variables are
set.
"""

import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

VOCABULARY = 512
LENGTH = 64


class Counting(torch.utils.data.Dataset):
    """Sequences that count up from a random number."""

    def __len__(self) -> int:
        return 4096

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        ids = (torch.arange(LENGTH) + number * 37) % VOCABULARY
        return {"input_ids": ids, "labels": ids}


def main() -> None:
    """Train 60 steps and save the model."""
    output = sys.argv[1]
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=LENGTH,
    )
    arguments = TrainingArguments(
        output_dir=output,
        max_steps=60,
        per_device_train_batch_size=16,
        learning_rate=1e-3,
        logging_steps=5,
        save_steps=40,
        save_total_limit=1,
        use_cpu=not torch.cuda.is_available(),
    )
    trainer = Trainer(LlamaForCausalLM(config), arguments, train_dataset=Counting())
    trainer.train()
    trainer.save_model(output)


if __name__ == "__main__":
    main()
