"""What customers and partners meet of a server beside questions and feedback: the desk and its routes."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI

from headrace.project import Project
from headrace.web.api.partners import Partners
from headrace.web.retaining import Retaining
from headrace.web.service import Service
from headrace.web.support import SupportService, support_of
from headrace.web.widget.mount import add_widget


class Customers:
    """A part of the server's application; its desk starts and stops with it."""

    def __init__(self, service: Service, support: SupportService) -> None:
        self._service, self._support = service, support
        self._partners = Partners(service, support)
        self._retaining = Retaining(support.desk.project, service.log)

    @classmethod
    def of(cls, project: Project, service: Service) -> Customers:
        """Those of a project, beside the `service` of its server."""
        return cls(service, support_of(project, service))

    def add(self, app: FastAPI) -> None:
        """Add the widget's routes and the partner API's."""
        add_widget(app, self._service, self._support)
        self._partners.add(app)

    def start(self) -> None:
        """Answer what a crash left, and whoever comes; asks the running event loop."""
        self._support.start()
        self._partners.start()
        self._retaining.start()

    async def stop(self) -> None:
        """End, once what is under way is done."""
        await asyncio.to_thread(self._retaining.stop)
        await self._partners.stop()
        await self._support.stop()
