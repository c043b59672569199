"""The verbs in a terminal. Each wraps one method of Project, says what it did, and gives JSON with `--json`.

Nothing heavy is imported before a verb runs, so that `headrace --help` answers at once: this package reaches
`Project` through the lazy names of `headrace`, and its own modules with tables and the server through `load`.
"""

from headrace.cli.app import app, main

__all__ = ["app", "main"]
