"""A project -> its server: what the web asks of a project's store, engine and memory."""

from __future__ import annotations

from collections.abc import Callable

from headrace.data.mask import Masker
from headrace.project import Project
