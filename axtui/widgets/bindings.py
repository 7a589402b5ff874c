"""Bindings out of the list of actions."""

from __future__ import annotations

from textual.binding import Binding, BindingType

from axtui.ui.actions import of


def bindings(*scopes: str) -> list[BindingType]:
    """What a screen or a widget of these scopes binds. Those with a label are in the footer."""
    return [
        Binding(
            action.keys,
            action.call,
            action.label or action.help,
            show=bool(action.label),
            tooltip=action.help,
            id=action.id,
        )
        for action in of(*scopes)
    ]
