"""Everything that can be done with a key: the one list from which bindings, the footer, the command
palette, the help and the docs are made."""

from __future__ import annotations

from typing import NamedTuple


class Action(NamedTuple):
    """`id` is SCOPE.NAME, and what a keymap calls it; NAME is the method `action_NAME` of the
    screen or widget that the scope is of. `keys` are separated by commas. `label` is a word or two
    for the footer; empty: only in the help. `writes`: not for a role that may only look. `always`:
    in dialogs too, and while a text is typed.
    """

    id: str
    keys: str
    label: str
    help: str
    writes: bool = False
    always: bool = False

    @property
    def scope(self) -> str:
        """Where it is offered: a screen, a widget, or `app` for everywhere."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """What it is called in its scope."""
        return self.id.partition(".")[2]

    @property
    def call(self) -> str:
        """How it is called: `choose_2` by the argument 2."""
        name, _, number = self.name.rpartition("_")
        return f"{name}({number})" if number.isdigit() else self.name


SCOPES = {
    "app": "Everywhere",
    "list": "In every list",
    "lines": "In every text",
    "runs": "Runs",
    "run": "A run",
    "timeline": "Timeline",
    "chat": "Chat of a run",
    "inspector": "Inspector",
    "search": "Search",
    "words": "The words of a search",
    "approvals": "Approvals",
    "card": "The card of a question",
    "confirm": "A question",
    "dialog": "Dialogs",
    "help": "The help",
    "command": "The command line",
    "themes": "The themes",
    "jump": "Jumping to a pane",
}
# Which scopes' keys are in force together, wherever one is: those of the pane, of its screen, and
# those of everywhere. No key may mean two things in one place, unless `OVER` says so.
PLACES: tuple[tuple[str, ...], ...] = (
    ("list", "runs", "app"),
    ("lines", "runs", "app"),
    ("timeline", "list", "run", "app"),
    ("chat", "run", "app"),
    ("inspector", "lines", "run", "app"),
    ("list", "search", "app"),
    ("words", "search", "app"),
    ("approvals", "list"),
    ("approvals", "card"),
    ("confirm",),
    ("dialog",),
    ("help",),
    ("command",),
    ("themes", "list"),
    ("jump",),
)

# Actions that take a key which means something else further out.
OVER: dict[str, tuple[str, ...]] = {
    "approvals.choose_1": ("app.runs",),
    "approvals.choose_2": ("app.run",),
    "card.nothing": ("lines.page_down",),
    "dialog.cancel": ("app.back",),
}
# Scopes of widgets that are in many places.
GENERIC = ("list", "lines")

ACTIONS: tuple[Action, ...] = (
    Action("app.help", "question_mark,f1", "help", "All keys of the place that you are in"),
    Action("app.command", "colon", "command", "Type a command: `run`, `goto`, `theme`, `quit` …"),
    Action("app.palette", "ctrl+p", "", "Find any command by a part of its name"),
    Action("app.runs", "1", "", "The runs"),
    Action("app.approvals", "a", "approvals", "What all runs ask of people, or this run"),
    Action("app.run", "2", "", "The run that you were in last"),
    Action("app.last_view", "minus", "", "The view that you came from"),
    Action("app.next_pane", "tab", "", "The next pane"),
    Action("app.previous_pane", "shift+tab", "", "The pane before"),
    Action("app.actors", "3", "", "The processes that work for runs, and the agents"),
    Action("app.search", "backslash", "", "Find words in all that runs have said and done"),
    Action("app.jump", "semicolon,ctrl+o", "", "Jump to any pane by a letter"),
    Action("app.zoom", "z", "", "Give the pane that has the focus all the room, or take it back"),
    Action("app.theme", "t", "", "Choose a theme; the picker shows each as you go over it"),
    Action("app.back", "escape", "", "One level up"),
    Action("app.quit", "q", "", "Up one level or, at the top, quit; runs go on without the UI"),
    Action("app.suspend", "ctrl+z", "", "Back to the shell; `fg` there brings this back"),
    Action("app.leave", "ctrl+c", "", "Twice: quit from anywhere", always=True),
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
    Action("run.message", "m", "message", "Tell its agent something, or one picked", writes=True),
    Action("run.view", "v", "", "The next view: timeline, steps, chat, waterfall"),
    Action("run.timeline", "f2", "", "All events, as they were recorded"),
    Action("run.steps", "f3", "", "A row for each step, with its result and how long it took"),
    Action("run.chat", "f4", "", "What was said, and a line to say more"),
    Action("run.waterfall", "f5", "", "The steps as bars in time"),
    Action("run.follow", "F", "follow", "Stay at the newest, or stop to"),
    Action("run.filter", "slash", "filter", "kind:tool actor:coder step:3 or any text"),
    Action("run.inspect", "i", "", "To the inspector, and back"),
    Action("chat.up", "up,k", "", "The message above, or further up in a long one"),
    Action("chat.down", "down,j", "", "The message below, or further down in a long one"),
    Action("chat.page_up", "pageup,ctrl+b,ctrl+u", "", "A page up"),
    Action("chat.page_down", "pagedown,ctrl+f,ctrl+d,space", "", "A page down"),
    Action("chat.first", "home,g", "", "The first message that is here"),
    Action("chat.last", "end,G", "", "The last message"),
    Action("chat.open", "enter", "", "The message in the inspector"),
    Action("chat.write", "w", "write", "Tell the agent something, or go on", writes=True),
    Action("timeline.next_error", "e", "", "The next failure"),
    Action("timeline.previous_error", "E", "", "The failure before"),
    Action("timeline.next_question", "w", "", "The next question to a person"),
    Action("timeline.mark", "M", "", "Mark the event, or take its mark"),
    Action("timeline.next_mark", "apostrophe", "", "The next marked event"),
    Action("timeline.copy", "y", "", "Copy the event as JSON"),
    Action("timeline.copy_command", "Y", "", "Copy the command line that shows the event"),
    Action("inspector.next_view", "V", "as", "The next view: readable, JSON, raw"),
    Action("inspector.whole", "o", "", "Fetch what is kept apart"),
    Action("inspector.cause", "less_than_sign", "cause", "The event that this one follows from"),
    Action("inspector.effect", "greater_than_sign", "", "The event that followed from this"),
    Action("inspector.edit", "e", "", "All of it in $EDITOR"),
    Action("inspector.page", "p", "", "All of it in $PAGER"),
    Action("search.query", "slash", "words", "Type other words"),
    Action("words.results", "enter,down", "results", "To what was found"),
    Action("approvals.approve", "y", "approve", "Approve this once", writes=True),
    Action(
        "approvals.always", "Y", "always", "Approve this, and from now on what is said", writes=True
    ),
    Action("approvals.edit", "e", "edit", "Change what is asked about, then approve", writes=True),
    Action("approvals.deny", "n", "deny", "Deny it", writes=True),
    Action("approvals.deny_with", "N", "deny, why", "Deny it with a message", writes=True),
    Action("approvals.skip", "s", "skip", "The next question; nothing is answered"),
    Action("approvals.words", "i", "words", "Answer in words", writes=True),
    *(
        Action(f"approvals.choose_{n}", str(n), "", f"Take choice {n} of the card", writes=True)
        for n in range(1, 10)
    ),
    Action("card.nothing", "enter,space", "", "Nothing: these never answer"),
    Action("confirm.yes", "y", "yes", "Do it"),
    Action("confirm.no", "n", "no", "Leave things as they are"),
    Action("confirm.cancel", "escape", "", "Leave things as they are"),
    Action("dialog.cancel", "escape", "cancel", "Leave things as they are"),
    Action("dialog.confirm", "ctrl+s", "confirm", "Do it"),
    Action("help.run", "enter", "do it", "Do what the row says, if it can be done", always=True),
    Action("help.up", "up", "", "The row above"),
    Action("help.down", "down", "", "The row below"),
    Action("help.page_up", "pageup", "", "A page up"),
    Action("help.page_down", "pagedown", "", "A page down"),
    Action("help.cancel", "escape,f1", "close", "Close the help"),
    Action("command.complete", "tab", "complete", "Complete the word, or try the next way to"),
    Action("command.uncomplete", "shift+tab", "", "The way to complete it before"),
    Action("command.older", "up", "older", "The command before"),
    Action("command.newer", "down", "", "The command after"),
    Action("command.cancel", "escape", "close", "Do nothing"),
    Action("themes.cancel", "escape,q", "as before", "Keep the theme that there was"),
    Action("jump.cancel", "escape", "stay", "Stay"),
)
BY_ID = {action.id: action for action in ACTIONS}
# By name; what is numbered is one action with an argument.
WRITING = frozenset(action.name.rstrip("_0123456789") for action in ACTIONS if action.writes)


def of(*scopes: str) -> list[Action]:
    """The actions of some scopes, in the order of the list."""
    return [action for scope in scopes for action in ACTIONS if action.scope == scope]
