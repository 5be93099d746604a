"""`python -m flagscale_workloads.train.sample OUTPUT`: a finished run writes."""

import argparse
import json
from pathlib import Path
from typing import Any

SEED = 0


def first_and_last_loss(metrics: Path) -> tuple[float, float]:
    """Training loss of the first and of the last step in a run's metrics.jsonl."""
    rows: list[dict[str, Any]] = [json.loads(line) for line in metrics.read_text().splitlines()]
    losses = [float(row["loss"]) for row in rows if row.get("loss") is not None]
    return losses[0], losses[-1]


def write_text(model_folder: Path, *, prompt: str, tokens: int) -> str:
    """What the exported model writes after a prompt, sampled with a fixed seed."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    torch.manual_seed(SEED)
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    # transformers' own annotations of generate() contradict each other.
    model: Any = AutoModelForCausalLM.from_pretrained(model_folder)
    inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        written = model.generate(
            **inputs, max_new_tokens=tokens, do_sample=True, temperature=0.7, top_k=40
        )
    return str(tokenizer.decode(written[0], skip_special_tokens=True))


def main() -> None:
    """Print `{"firstLoss", "lastLoss", "text"}`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="spec.trainer.output.path of the run")
    parser.add_argument("--prompt", default="In the beginning")
    parser.add_argument("--tokens", type=int, default=60)
    options = parser.parse_args()
    first, last = first_and_last_loss(options.output / "metrics.jsonl")
    text = write_text(options.output / "model", prompt=options.prompt, tokens=options.tokens)
    print(json.dumps({"firstLoss": first, "lastLoss": last, "text": " ".join(text.split())}))


if __name__ == "__main__":
    main()
