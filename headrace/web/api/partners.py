"""The partner API as a part of the server's application: messages, OpenAI's forms, and webhooks."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI

from headrace.serving.embedder import Embedder
from headrace.web.api import chat, embeddings, hooks, messages
from headrace.web.outbox import Outbox
from headrace.web.service import Service
from headrace.web.support import SupportService


class Partners:
    """What other programs call, with a channel's secret key, besides questions and feedback."""

    def __init__(self, service: Service, support: SupportService) -> None:
        self._service, self._support = service, support
        self._project = support.desk.project
        self._outbox = Outbox(support.desk, log=service.log)

    def add(self, app: FastAPI) -> None:
        """Add the routes."""
        project = self._project
        embedder = Embedder(project.store, threads=project.recipe.serve.threads)
        app.include_router(messages.router(self._service, self._support))
        app.include_router(chat.router(self._service, self._support))
        app.include_router(
            embeddings.router(self._service, embedder, lambda task: project.recipe.task(task).kind)
        )
        app.include_router(hooks.router(self._service, project))

    def start(self) -> None:
        """Work on webhooks from now on."""
        self._outbox.start()

    async def stop(self) -> None:
        """End; what is under way is done first."""
        await asyncio.to_thread(self._outbox.stop)
