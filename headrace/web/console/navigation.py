"""All screens in the order of the navigation, and the entrance that stands before them."""

from __future__ import annotations

from headrace.web.console.screens import (
    adapters,
    answers,
    channels,
    circle,
    data,
    entrance,
    guarantee,
    history,
    knowledge,
    labelling,
    queue,
)

ENTRANCE = entrance.SCREEN
SCREENS = (
    circle.SCREEN,
    queue.SCREEN,
    answers.SCREEN,
    labelling.SCREEN,
    knowledge.SCREEN,
    guarantee.SCREEN,
    data.SCREEN,
    adapters.SCREEN,
    history.SCREEN,
    channels.SCREEN,
)
"""In the order of the navigation."""
