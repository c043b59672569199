"""The widget as a part of the server's application."""

from __future__ import annotations

from fastapi import FastAPI

from headrace.web.service import Service
from headrace.web.support import SupportService
from headrace.web.widget import pages, routes
from headrace.web.widget.door import Gate


def add_widget(app: FastAPI, service: Service, support: SupportService) -> None:
    """Add the script, the demo's page, and the widget's routes behind their gate."""
    app.include_router(pages.router(support))
    app.include_router(routes.router(service, support))
    app.add_middleware(Gate, support=support)
