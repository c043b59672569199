"""The exported graph that serves an adapter: made once for a base, its settings and the layers open to deltas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from headrace.data.progress import Progress
from headrace.errors import ArtifactError
from headrace.models.base import BaseFolder
from headrace.recipe import TaskRecipe
from headrace.records import Adapter
from headrace.serving.deltas import Site
from headrace.serving.encoder import FILES as GRAPH_FILES
from headrace.serving.export import export
from headrace.store import Store


def graph_of(
    store: Store,
    key: str,
    base: BaseFolder,
    settings: TaskRecipe,
    sites: Sequence[Site],
    *,
    known: Iterable[Adapter],
    texts: Callable[[], Sequence[str]],
    progress: Progress,
) -> tuple[dict[str, str], Adapter | None]:
    """The digests of the graph's files, and the adapter of `known` that it was made for, None where it is new.

    An int8 graph is calibrated on `texts` when it is first exported; whoever has the same `key` shares it later,
    so that a thousand channels are served by one. A graph of which a byte is missing is exported anew.
    """
    for adapter in known:
        if adapter.lineage.get("graph") == key and has_graph(store, adapter):
            return {name: adapter.files[name] for name in GRAPH_FILES}, adapter
    progress(f"exporting {settings.base}", 0, 1)
    exported = export(
        base,
        sites,
        longest=settings.longest,
        prefix=settings.prefix,
        precision=settings.precision,
        texts=texts(),
    )
    return {name: store.artifacts.put(content) for name, content in exported.items()}, None


def has_graph(store: Store, adapter: Adapter) -> bool:
    """Whether every byte of the graph that serves an adapter is there."""
    try:
        return all(store.artifacts.get(adapter.files[name]) for name in GRAPH_FILES)
    except (ArtifactError, KeyError):
        return False
