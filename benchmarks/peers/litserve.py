"""LitServe as a server; what it serves stands in litserve_app.py, which its workers import themselves."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from listening import serve_http, start_server


def start(
    port: int, model: str, labels: int = 77, dtype: str = "bfloat16", batch: int = 32, wait: float = 0.005
) -> dict[str, object]:
    """Serve on `port`, batches of at most `batch` rows gathered for at most `wait` seconds."""
    application = Path(__file__).with_name("litserve_app.py")
    arguments = [str(port), model, str(labels), dtype, str(batch), str(wait)]
    return start_server(
        [sys.executable, str(application), *arguments], port, "/predict", json.dumps({"text": "TEXT"}), 120
    )


serve_http(start)
