"""Adapters answer: export, encoder, bank, router, engine, batcher; no HTTP here, no torch."""

import os

# onnxruntime reads it once, when it is imported: without it, 1.32 keeps a database of what was run in the
# user's home and sends it to its maker.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
