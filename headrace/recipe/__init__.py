"""headrace.yaml -> Recipe. Every mistake of a file is reported at once, with its line, value and cure."""

from headrace.recipe.reading import RECIPE, edit, parse, read, write
from headrace.recipe.sections import (
    AlertRecipe,
    ChannelRecipe,
    CleanRecipe,
    GateRecipe,
    MemoryRecipe,
    Recipe,
    ReleaseRecipe,
    Section,
    ServeRecipe,
    SourceRecipe,
    TaskRecipe,
    TrainRecipe,
    TrustRecipe,
)

__all__ = [
    "RECIPE",
    "AlertRecipe",
    "ChannelRecipe",
    "CleanRecipe",
    "GateRecipe",
    "MemoryRecipe",
    "Recipe",
    "ReleaseRecipe",
    "Section",
    "ServeRecipe",
    "SourceRecipe",
    "TaskRecipe",
    "TrainRecipe",
    "TrustRecipe",
    "edit",
    "parse",
    "read",
    "write",
]
