"""The HTTP API: /v1/predict, /v1/feedback, and what operators and readers need beside them."""

from headrace.web.api.app import create_app

__all__ = ["create_app"]
