"""Adapters answer: export, encoder, bank, router, engine, batcher; no HTTP here, no torch."""
