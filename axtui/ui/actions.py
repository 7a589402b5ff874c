"""Everything that can be done with a key: the one list from which bindings, the footer, the command
palette, the help and the docs are made."""

from __future__ import annotations

from typing import NamedTuple


class Action(NamedTuple):
    """`id` is SCOPE.NAME, and what a keymap calls it; NAME is the method `action_NAME` of the
    screen or widget that the scope is of. `keys` are separated by commas. `label` is a word or two
    for the footer; empty: only in the help. `writes`: not for a role that may only look.
    """

    id: str
    keys: str
    label: str
    help: str
    writes: bool = False

    @property
    def scope(self) -> str:
        """Where it is offered: a screen, a widget, or `app` for everywhere."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """What it is called in its scope."""
        return self.id.partition(".")[2]


SCOPES = {
    "app": "Everywhere",
    "list": "In every list",
    "lines": "In every text",
    "runs": "Runs",
    "run": "A run",
    "timeline": "Timeline",
    "inspector": "Inspector",
    "confirm": "A question",
    "dialog": "Dialogs",
}

ACTIONS: tuple[Action, ...] = (
    Action("app.help", "question_mark,f1", "help", "All keys of the place that you are in"),
    Action("app.command", "colon", "command", "Type a command: `run`, `goto`, `theme`, `quit` …"),
    Action("app.palette", "ctrl+p", "", "Find any command by a part of its name"),
    Action("app.runs", "1", "", "The runs"),
    Action("app.actors", "3", "", "The processes that work for runs, and the agents"),
    Action("app.theme", "t", "", "Choose a theme; the picker shows each as you go over it"),
    Action("app.jump", "semicolon,ctrl+o", "", "Jump to any pane by a letter"),
    Action("app.zoom", "z", "", "Give the pane that has the focus all the room, or take it back"),
    Action("app.back", "escape", "", "One level up"),
    Action("app.quit", "q", "", "Up one level or, at the top, quit; runs go on without the UI"),
    Action("app.leave", "ctrl+c", "", "Twice: quit from anywhere"),
    Action("list.up", "up,k", "", "The row above"),
    Action("list.down", "down,j", "", "The row below"),
    Action("list.page_up", "pageup,ctrl+b", "", "A page up"),
    Action("list.page_down", "pagedown,ctrl+f", "", "A page down"),
    Action("list.half_up", "ctrl+u", "", "Half a page up"),
    Action("list.half_down", "ctrl+d", "", "Half a page down"),
    Action("list.first", "home,g", "", "The first row"),
    Action("list.last", "end,G", "", "The last row; where rows arrive, follow them"),
    Action("list.open", "enter", "open", "Open the row"),
    Action("lines.up", "up,k", "", "A line up"),
    Action("lines.down", "down,j", "", "A line down"),
    Action("lines.page_up", "pageup,ctrl+b,ctrl+u", "", "A page up"),
    Action("lines.page_down", "pagedown,ctrl+f,ctrl+d,space", "", "A page down"),
    Action("lines.first", "home,g", "", "The beginning"),
    Action("lines.last", "end,G", "", "The end"),
    Action("runs.new", "c", "create", "Start a run", writes=True),
    Action("runs.resume", "R", "resume", "Let a run go on that is paused or left", writes=True),
    Action("runs.pause", "P", "pause", "Begin no more steps in the run", writes=True),
    Action("runs.cancel", "x", "cancel", "End the run for good, after a question", writes=True),
    Action("runs.fork", "f", "fork", "A new run out of the first events of this one", writes=True),
    Action("runs.delete", "D", "", "Hide the run, after its id was typed", writes=True),
    Action("runs.filter", "slash", "filter", "Show the rows that hold what you type"),
    Action("runs.sort", "s", "sort", "Sort by the next column"),
    Action("runs.reverse", "S", "", "Sort the other way round"),
    Action("runs.copy", "y", "", "Copy the id"),
    Action("runs.copy_command", "Y", "", "Copy the command line that follows the run"),
    Action("run.pause", "P", "pause", "Begin no more steps", writes=True),
    Action("run.resume", "R", "resume", "Go on with the run", writes=True),
    Action("run.cancel", "x", "cancel", "End the run for good, after a question", writes=True),
    Action("run.fork", "f", "fork", "Fork the run at the event under the cursor", writes=True),
    Action("timeline.follow", "F", "follow", "Stay at the newest event, or stop to"),
    Action("timeline.filter", "slash", "filter", "kind:tool actor:coder step:3 or any text"),
    Action("timeline.next_error", "e", "", "The next failure"),
    Action("timeline.previous_error", "E", "", "The failure before"),
    Action("timeline.next_question", "w", "", "The next question to a person"),
    Action("timeline.mark", "m", "", "Mark the event, or take its mark"),
    Action("timeline.next_mark", "apostrophe", "", "The next marked event"),
    Action("timeline.copy", "y", "", "Copy the event as JSON"),
    Action("timeline.copy_command", "Y", "", "Copy the command line that shows the event"),
    Action("inspector.next_view", "v", "view", "The next view: readable, raw, JSON"),
    Action("inspector.whole", "o", "", "Fetch all of what is only shown in part"),
    Action("confirm.yes", "y", "yes", "Do it"),
    Action("confirm.no", "n", "no", "Leave things as they are"),
    Action("confirm.cancel", "escape", "", "Leave things as they are"),
    Action("dialog.cancel", "escape", "cancel", "Leave things as they are"),
    Action("dialog.confirm", "ctrl+s", "confirm", "Do it"),
)
BY_ID = {action.id: action for action in ACTIONS}
# By name; what is numbered is one action with an argument.
WRITING = frozenset(action.name.rstrip("_0123456789") for action in ACTIONS if action.writes)


def of(*scopes: str) -> list[Action]:
    """The actions of some scopes, in the order of the list."""
    return [action for scope in scopes for action in ACTIONS if action.scope == scope]
