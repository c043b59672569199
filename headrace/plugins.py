"""The only look-up by name: `load("methods", "lora")` or `load("methods", "their_package.module:Thing")`.

A part of our own is a module of its plug-in folder whose public class is called `Part`; where the work needs
torch, the class stands in `NAME_torch.py` and `options` finds the options in the torch-free `NAME.py`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from typing import Any

from headrace.errors import MissingExtra, NotFound

FOLDERS = {
    "connectors": "headrace.data.connectors",
    "methods": "headrace.models.methods",
    "tasks": "headrace.models.tasks",
    "formats": "headrace.knowledge.formats",
    "messengers": "headrace.channels.messengers",
}


def names(kind: str) -> list[str]:
    """The parts of one kind that ship with Headrace."""
    package = importlib.import_module(FOLDERS[kind])
    found = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in found if not name.endswith("_torch") and not name.startswith("_"))


def load(kind: str, name: str) -> Any:
    """The class of a part, by its short name or as `package.module:Class`.

    Raises NotFound where nothing has that name, MissingExtra where its packages are not installed.
    """
    if ":" in name:
        return _dotted(name)
    _check(kind, name)
    torch_side = f"{FOLDERS[kind]}.{name}_torch"
    module = torch_side if importlib.util.find_spec(torch_side) else f"{FOLDERS[kind]}.{name}"
    return require(module, verb=f"The {name} part of {kind}", extra="train").Part


def options(kind: str, name: str) -> Any:
    """The options class of a part, found without importing what the part's work needs."""
    if ":" in name:
        return _dotted(name).Options
    _check(kind, name)
    return importlib.import_module(f"{FOLDERS[kind]}.{name}").Options


def require(module: str, *, verb: str, extra: str) -> Any:
    """Import `module` of ours; packages that it lacks are named as the extra that brings them."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == "headrace":
            raise
        raise MissingExtra(verb, extra) from error


def _check(kind: str, name: str) -> None:
    known = names(kind)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
        raise NotFound(f"no part of {kind} is called {name!r}.", cure=hint)


def _dotted(name: str) -> Any:
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise NotFound(
            f"{name!r} cannot be loaded: {error}.", cure="Write it as package.module:Class."
        ) from error
