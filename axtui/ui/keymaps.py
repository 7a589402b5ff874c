"""Which keys call what: presets, what a configuration says beside them, and how keys are shown."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Mapping
from difflib import get_close_matches
from typing import NamedTuple

from axtui.ui.actions import ACTIONS, BY_ID, OVER, PLACES

# What differs from the registry; ids and keys as in a configuration.
PRESETS: dict[str, dict[str, str]] = {
    "default": {},
    "vim": {
        "app.back": "escape,h",
        "app.next_pane": "tab,ctrl+w",
        "list.open": "enter,l",
        "lines.down": "down,j,ctrl+e",
        "lines.up": "up,k,ctrl+y",
    },
    "emacs": {
        "app.palette": "alt+x",
        "app.back": "escape,ctrl+g",
        "list.up": "up,ctrl+p",
        "list.down": "down,ctrl+n",
        "list.page_up": "pageup,alt+v",
        "list.page_down": "pagedown,ctrl+v",
        "list.half_up": "alt+p",
        "list.half_down": "alt+n",
        "list.first": "home,alt+<",
        "list.last": "end,alt+>",
        "lines.up": "up,ctrl+p",
        "lines.down": "down,ctrl+n",
        "lines.page_up": "pageup,alt+v",
        "lines.page_down": "pagedown,ctrl+v,space",
        "lines.first": "home,alt+<",
        "lines.last": "end,alt+>",
        "runs.filter": "ctrl+s",
        "run.filter": "ctrl+s",
        "search.query": "ctrl+s",
        "words.results": "enter,down,ctrl+n",
        "confirm.cancel": "escape,ctrl+g",
        "dialog.cancel": "escape,ctrl+g",
        "help.up": "up,ctrl+p",
        "help.down": "down,ctrl+n",
        "help.cancel": "escape,f1,ctrl+g",
        "command.older": "up,ctrl+p",
        "command.newer": "down,ctrl+n",
        "command.cancel": "escape,ctrl+g",
        "themes.cancel": "escape,q,ctrl+g",
        "jump.cancel": "escape,ctrl+g",
    },
}
_MODIFIERS = frozenset({"ctrl", "alt", "shift", "super", "hyper", "meta"})
_NAMES = frozenset(
    {
        *("enter", "escape", "tab", "space", "backspace", "delete", "insert", "home", "end"),
        *("pageup", "pagedown", "up", "down", "left", "right"),
        *(f"f{number}" for number in range(1, 25)),
    }
)
_RENAMED = {
    "solidus": "slash",
    "reverse_solidus": "backslash",
    "commercial_at": "at",
    "hyphen_minus": "minus",
    "plus_sign": "plus",
    "low_line": "underscore",
}


def _name_of(character: str) -> str:
    name = unicodedata.name(character).lower().replace("-", "_").replace(" ", "_")
    return _RENAMED.get(name, name)


_CHARACTERS = {_name_of(character): character for character in string.punctuation}
_SHORT = {"escape": "esc", "pageup": "pgup", "pagedown": "pgdn", "delete": "del"}


class Problem(NamedTuple):
    """What is wrong with the keys of an action."""

    id: str
    text: str


def key_name(key: str) -> str:
    """A key by the name that it arrives with: `?` is `question_mark`. Raises ValueError for what is
    no key."""
    *modifiers, last = key.split("+") if key != "+" else [key]
    if last in string.punctuation and last:
        last = _name_of(last)
    known = (len(last) == 1 and last.isalnum()) or last in _NAMES or last in _CHARACTERS
    if not known or not _MODIFIERS.issuperset(modifiers):
        raise ValueError(f"{key!r} is no key")
    return "+".join([*modifiers, last])


def normal(keys: str) -> list[str]:
    """The names of keys that are separated by commas; a comma itself is `comma`. Raises
    ValueError."""
    return [key_name(key.strip()) for key in keys.split(",")]


def shown(keys: str) -> str:
    """The first of some keys, as people know it."""
    *modifiers, last = keys.partition(",")[0].split("+")
    return "+".join([*modifiers, _SHORT.get(last) or _CHARACTERS.get(last, last)])


def shown_all(keys: str) -> str:
    """Some keys, as people know them."""
    return " ".join(shown(key) for key in keys.split(","))


def keymap(preset: str = "default", keys: Mapping[str, str] | None = None) -> dict[str, str]:
    """The keys of every action, by id; `keys` go before the preset. Raises ValueError for what is
    no key, KeyError for what is no preset."""
    wanted = {**PRESETS[preset], **(keys or {})}
    return {action.id: ",".join(normal(wanted.get(action.id, action.keys))) for action in ACTIONS}


def problems(preset: str, keys: Mapping[str, str]) -> list[Problem]:
    """All that is wrong with keys that somebody wants: no such action, no such key, or one that
    already means something else in the same place."""
    found, sound = [], {}
    for name, wanted in keys.items():
        if name not in BY_ID:
            near = get_close_matches(name[:80], BY_ID, 1)
            advice = f"did you mean {near[0]!r}?" if near else "docs/keys.md lists them"
            found.append(Problem(name, f"there is no action {name[:80]!r}; {advice}"))
            continue
        try:
            normal(wanted)
        except ValueError as error:
            found.append(Problem(name, f"{error}; write them like x, ctrl+x, f5 or question_mark"))
            continue
        sound[name] = wanted
    in_force = keymap(preset, sound)
    for name in sound:
        for key, other in clashes(name, in_force):
            text = f"the key {shown(key)!r} is that of {other!r} as well; choose another"
            found.append(Problem(name, f"{text}, or give {other!r} one"))
    return found


def clashes(name: str, in_force: Mapping[str, str]) -> list[tuple[str, str]]:
    """The keys of an action that another has too in some place where both are in force, and that
    other's id."""
    mine = set(in_force[name].split(","))
    places = [place for place in PLACES if BY_ID[name].scope in place]
    return [
        (key, action.id)
        for action in ACTIONS
        if action.id != name and any(action.scope in place for place in places)
        if action.id not in OVER.get(name, ()) and name not in OVER.get(action.id, ())
        for key in sorted(mine.intersection(in_force[action.id].split(",")))
    ]
