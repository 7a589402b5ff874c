"""The line at the bottom that begins with `:`, and what is done with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, ClassVar, cast

from textual import on, work
from textual.app import ComposeResult
from textual.binding import ActiveBinding
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from axtui.screens.fleeting import Fleeting
from axtui.ui.commands import COMMANDS, Order, Place, completions, parse, parse_place
from axtui.widgets.bindings import bindings

if TYPE_CHECKING:
    from axtui.app import AxtuiApp
    from axtui.screens.run import RunScreen

_MAX_RUNS = 1000


class CommandLineScreen(Fleeting, ModalScreen[Order]):
    """Ends with what is to be done, or with nothing. What isn't understood is told, and can be
    corrected."""

    BINDINGS = bindings("command")
    AUTO_FOCUS: ClassVar[str] = "Input"

    def __init__(self, offered: Collection[str], history: list[str]) -> None:
        super().__init__()
        self._offered, self._history = offered, history
        self._at = len(history)
        self._arguments: dict[str, list[str]] = {}
        self._found: list[str] = []
        self._chosen = -1

    def compose(self) -> ComposeResult:
        """What it can become, and the line."""
        with Vertical(id="command"):
            yield Static("", id="candidates", markup=False)
            with Horizontal():
                yield Static(":", id="colon")
                yield Input()

    def on_mount(self) -> None:
        """What arguments are completed from comes in a moment."""
        self._arguments["themes"] = sorted(self.ui.available_themes)
        self._complete("")
        self._fetch()

    @property
    def ui(self) -> AxtuiApp:
        """The application."""
        return cast("AxtuiApp", self.app)

    @work
    async def _fetch(self) -> None:
        listed = await self.ui.latest_runs(_MAX_RUNS)
        self._arguments["runs"] = [one.summary.id for one in listed]

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        if self._chosen < 0 or event.value != self._found[self._chosen]:
            self._complete(event.value)

    def _complete(self, line: str) -> None:
        self._found = completions(line, self._offered, self._arguments)
        self._chosen = -1
        known = {c.name: f"{c.name} {c.argument}".strip() for c in COMMANDS}
        self._tell("  ".join(known.get(name, name) for name in self._found))

    def _tell(self, text: str, *, wrong: bool = False) -> None:
        told = self.query_one("#candidates", Static)
        told.set_class(wrong, "-wrong")
        told.update(text)

    @on(Input.Submitted)
    def _submit(self, event: Input.Submitted) -> None:
        line = event.value.strip()
        if not line:
            self.dismiss(None)
            return
        try:
            order = parse(line, self._offered)
            if order.name == "goto":
                parse_place(order.argument)
        except ValueError as error:
            self._tell(str(error), wrong=True)
            return
        self._history.append(line)
        self.dismiss(order)

    # What keys do

    def action_complete(self) -> None:
        self._choose(1)

    def action_uncomplete(self) -> None:
        self._choose(-1)

    def _choose(self, step: int) -> None:
        line = self.query_one(Input)
        if not self._found:
            return
        if len(self._found) == 1:
            # What follows can be typed, or completed, at once.
            line.value = self._found[0] + " "
        else:
            self._chosen = (self._chosen + step) % len(self._found) if self._chosen >= 0 else 0
            line.value = self._found[self._chosen]
        line.cursor_position = len(line.value)

    def action_older(self) -> None:
        self._recall(-1)

    def action_newer(self) -> None:
        self._recall(1)

    def _recall(self, step: int) -> None:
        self._at = max(0, min(len(self._history), self._at + step))
        line = self.query_one(Input)
        line.value = self._history[self._at] if self._at < len(self._history) else ""
        line.cursor_position = len(line.value)

    def action_cancel(self) -> None:
        self.dismiss(None)


async def obey(ui: AxtuiApp, order: Order, offered: Mapping[str, ActiveBinding]) -> None:
    """Do what a line says."""
    argument = order.argument
    if not ui.is_open and order.name != "app.quit":
        ui.notify("wait until it is connected", severity="warning")
        return
    match order.name:
        case "run" if argument:
            found = await ui.attempt(ui.desk.client.resolve(argument))
            if found is not None:
                ui.show_view(f"run {found.summary.id}")
        case "run":
            await ui.run_action("run")
        case "goto":
            await _go_to(ui, parse_place(argument))
        case "filter":
            lines = ui.screen.query("#search").results(Input)
            if (search := next(lines, None)) is None:
                ui.notify("there is nothing to filter here", severity="warning")
            else:
                search.value = argument
                await search.action_submit()
        case "theme" if argument:
            ui.choose_theme(argument)
        case "theme":
            await ui.run_action("theme")
        case "search":
            if why := ui.desk.why_not("search"):
                ui.notify(why, severity="warning", markup=False)
            else:
                ui.action_search(argument)
        case "new":
            if not hasattr(ui.screen, "action_new"):
                ui.show_view("runs")
            await ui.run_action("screen.new")
        case "app.quit":
            ui.exit()
        case name:
            await ui.do(offered[name])


async def _go_to(ui: AxtuiApp, place: Place) -> None:
    from axtui.screens.run import RunScreen
    from axtui.widgets.timeline import Timeline

    screen = ui.screen
    if not isinstance(screen, RunScreen) or screen.view is None:
        ui.notify("`goto` is for a run; open one first", severity="warning", markup=False)
        return
    timeline = screen.query_one(Timeline)
    if place.seq is not None:
        seq = place.seq
    elif place.percent is not None:
        seq = round(screen.view.head * place.percent / 100)
    else:
        here = timeline.seq if timeline.display else screen.inspected
        seq = await _seq_after(screen, here or screen.view.head, place.seconds or 0.0)
    seq = max(1, min(screen.view.head, seq))
    if timeline.display:
        timeline.go_to_seq(seq)
    else:
        screen.go_to_seq(seq)


async def _seq_after(screen: RunScreen, start: int, seconds: float) -> int:
    """The first event so long after another, or before it."""
    view = screen.view
    assert view is not None
    here = await view.fetch(start)
    if here is None:
        return start
    wanted = here.event().time_us + int(seconds * 1e6)
    low, high = 1, view.head
    while low < high:
        middle = (low + high) // 2
        record = await view.fetch(middle)
        if record is not None and record.event().time_us < wanted:
            low = middle + 1
        else:
            high = middle
    return low
