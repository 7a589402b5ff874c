"""The one list of keys: complete, without clashes, and small enough for the footer."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from textual.dom import DOMNode

import axtui.app
import axtui.screens
import axtui.widgets
from axtui.ui.actions import ACTIONS, PLACES, SCOPES, of
from axtui.ui.commands import COMMANDS
from axtui.ui.keymaps import PRESETS, clashes, key_name, keymap, problems, shown

PAGE = Path(__file__).resolve().parents[2] / "docs" / "keys.md"
FOOTER = 120


def classes() -> Iterator[type[DOMNode]]:
    """All that has bindings of its own."""
    for package in (axtui.screens, axtui.widgets):
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                if isinstance(value, type) and value.__module__ == found.name:
                    yield value
    yield axtui.app.AxtuiApp


def test_every_action_is_bound_by_a_class_that_can_do_it() -> None:
    bound = {}
    for kind in classes():
        for binding in vars(kind).get("BINDINGS", ()):
            if getattr(binding, "id", None):
                name = binding.action.partition("(")[0]
                assert hasattr(kind, f"action_{name}"), f"{kind.__name__} can't {name}"
                bound[binding.id] = kind
    assert set(bound) == {action.id for action in ACTIONS}


def test_every_scope_is_somewhere() -> None:
    assert {action.scope for action in ACTIONS} == set(SCOPES)
    assert {scope for place in PLACES for scope in place} == set(SCOPES)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_key_means_two_things_in_one_place(preset: str) -> None:
    in_force = keymap(preset)
    found = {name: clashes(name, in_force) for name in in_force}
    assert not {name: others for name, others in found.items() if others}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("place", PLACES, ids="-".join)
def test_all_with_a_label_fits_the_footer(preset: str, place: tuple[str, ...]) -> None:
    in_force = keymap(preset)
    labelled = [action for action in of(*place) if action.label]
    sizes = [cell_len(f"{shown(in_force[a.id])} {a.label}  ") for a in labelled]
    # Nothing comes after the last one; a cell is free on either side.
    assert sum(sizes) - 2 <= FOOTER - 2


def test_names_of_keys() -> None:
    assert [key_name(key) for key in ("?", "ctrl+x", "G", "<", "alt+>", "+", "-")] == [
        *("question_mark", "ctrl+x", "G", "less_than_sign", "alt+greater_than_sign"),
        *("plus", "minus"),
    ]
    for wrong in ("", "ctl+x", "ctrl+", "pgup", "ab", "ctrl x"):
        with pytest.raises(ValueError, match="is no key"):
            key_name(wrong)


def test_what_is_wrong_with_keys() -> None:
    wanted = {"runs.cancl": "X", "runs.fork": "ctl+x", "runs.cancel": "R", "run.cancel": "X"}
    assert [problem.text for problem in problems("default", wanted)] == [
        "there is no action 'runs.cancl'; did you mean 'runs.cancel'?",
        "'ctl+x' is no key; write them like x, ctrl+x, f5 or question_mark",
        "the key 'R' is that of 'runs.resume' as well; choose another, or give 'runs.resume' one",
    ]
    assert problems("default", {"runs.cancel": "R", "runs.resume": "x"}) == []


def page() -> str:
    """docs/keys.md as it has to be."""
    lines = [
        "# Keys of the terminal UI",
        "",
        "Made from `axtui/ui/actions.py` by `pytest tests/ui/test_actions.py`: where this page is",
        "wrong the test fails and writes it anew. What is in the first column is what `ui.keys` in",
        "`axtui.yaml` calls it, and what can be typed behind `:`.",
    ]
    for scope, title in SCOPES.items():
        lines += ["", f"## {title}", "", "| Action | Default | vim | emacs | Does |"]
        lines.append("|---|---|---|---|---|")
        for action in of(scope):
            keys = [" ".join(map(code, keymap(name)[action.id].split(","))) for name in PRESETS]
            others = ["" if other == keys[0] else other for other in keys[1:]]
            cells = [f"`{action.id}`", keys[0], *others, action.help]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "## Commands behind `:`", "", "| Command | Does |", "|---|---|"]
    for command in COMMANDS:
        usage = f"{command.name} {command.argument}".strip().replace("|", "\\|")
        lines.append(f"| `{usage}` | {command.help} |")
    return re.sub(r" +\|", " |", "\n".join(lines)) + "\n"


def code(key: str) -> str:
    """A key as Markdown shows it."""
    return f"`{shown(key)}`"


def test_the_page_of_keys_is_fresh() -> None:
    fresh, before = page(), PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if fresh != before:
        PAGE.write_text(fresh, encoding="utf-8")
    assert fresh == before, "docs/keys.md was written anew; look at it, and commit it"
