"""Bindings out of the list of actions, and what of it is offered at the moment."""

from __future__ import annotations

from typing import Any

from textual.binding import ActiveBinding, Binding, BindingType
from textual.screen import Screen

from axtui.ui.actions import BY_ID, of


def bindings(*scopes: str) -> list[BindingType]:
    """What a screen or a widget of these scopes binds. Those with a label are in the footer."""
    return [
        Binding(
            action.keys,
            action.call,
            action.label or action.help,
            show=bool(action.label),
            priority=action.always,
            tooltip=action.help,
            id=action.id,
        )
        for action in of(*scopes)
    ]


def offered(screen: Screen[Any]) -> dict[str, ActiveBinding]:
    """What can be done on a screen, where the focus is: by ids of actions, those of the pane
    first."""
    found: dict[str, ActiveBinding] = {}
    for active in screen.active_bindings.values():
        if active.binding.id in BY_ID:
            found.setdefault(active.binding.id, active)
    return found
