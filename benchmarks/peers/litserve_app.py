"""The server of the peer litserve: PORT MODEL LABELS DTYPE BATCH WAIT."""

from __future__ import annotations

import sys
from typing import Any

import litserve
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


class Intents(litserve.LitAPI):
    """A MiniLM classifier in batches."""

    def __init__(self, model: str, labels: int, dtype: str, **batching: Any) -> None:
        super().__init__(**batching)
        self.named = (model, labels, dtype)

    def setup(self, device: str) -> None:
        """Load the model on one thread."""
        torch.set_num_threads(1)
        torch.manual_seed(0)
        model, labels, dtype = self.named
        self.tokenizer = AutoTokenizer.from_pretrained(model)
        self.network = AutoModelForSequenceClassification.from_pretrained(
            model, num_labels=labels, dtype=getattr(torch, dtype)
        ).eval()

    def decode_request(self, request: dict[str, str]) -> str:
        """The text."""
        return request["text"]

    def predict(self, texts: Any) -> Any:
        """(label, probability) of each text of a batch, or of one."""
        many = texts if isinstance(texts, list) else [texts]
        with torch.inference_mode():
            fed = self.tokenizer(many, padding=True, truncation=True, return_tensors="pt")
            best = torch.softmax(self.network(**fed).logits.float(), 1).max(1)
        pairs = list(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        return pairs if isinstance(texts, list) else pairs[0]

    def encode_response(self, output: tuple[int, float]) -> dict[str, object]:
        """The answer's body."""
        return {"label": output[0], "confidence": output[1]}


if __name__ == "__main__":
    port, model, labels, dtype, batch, wait = sys.argv[1:]
    batching = {"max_batch_size": int(batch), "batch_timeout": float(wait)} if int(batch) > 1 else {}
    interface = Intents(model, int(labels), dtype, **batching)
    server = litserve.LitServer(interface, accelerator="cpu", workers_per_device=1)
    server.run(port=int(port), host="127.0.0.1", log_level="error", generate_client_file=False)
