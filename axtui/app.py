"""The terminal UI: one application, the screens it has, and what all of them share."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from textual import events, work
from textual.actions import SkipAction
from textual.app import App
from textual.binding import ActiveBinding, Binding
from textual.filter import LineFilter
from textual.reactive import var
from textual.widget import Widget

from axtui.model.words import printable
from axtui.ui import settings as kept
from axtui.ui.actions import BY_ID, GENERIC
from axtui.ui.desk import Desk
from axtui.ui.glyphs import use_ascii
from axtui.ui.keymaps import keymap, shown
from axtui.ui.questions import Asked, OpenQuestions
from axtui.ui.watching import changed
from axtui.widgets.ascii import Ascii
from axtui.widgets.attention import Attention
from axtui.widgets.bindings import bindings, offered
from axtui.widgets.harmless import Harmless
from axtui.widgets.key_queue import KeyQueue
from axtui.widgets.theming import own_themes, state_colors

if TYPE_CHECKING:
    from rich.console import RenderableType

    from axtui.client import Client, Config
    from axtui.model.summary import Listed

T = TypeVar("T")
_QUIT_SECONDS = 2.0
# So long one who opens a run waits to see it whole, and one who quits for what was asked for last.
_AT_ONCE_SECONDS = 0.1
_LAST_SECONDS = 2.0
_QUESTIONS_SECONDS = 0.5
_REPEAT_SECONDS = 10.0
_TITLE_CHARS = 80
_KEEP_TITLE, _OLD_TITLE = "\x1b[22;2t", "\x1b[23;2t"
_DEFAULT_THEME = "axtui-dark"


class AxtuiApp(App[Exception | None], inherit_bindings=False):
    """Ends with the error that it couldn't begin with, if there was one.

    `connect` gives the client, and `is_open` is once it has; `load` the configuration, at the start
    and whenever its file has changed. `theme` and `ascii` go before what is configured, or was
    kept. `where` are the options by which other commands find the same log.
    """

    ENABLE_COMMAND_PALETTE = False
    BINDINGS = bindings("app")
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-tiny"),
        (80, "-narrow"),
        (110, "-wide"),
        (160, "-xwide"),
    ]
    CSS_PATH = "axtui.tcss"
    PAUSE_GC_ON_SCROLL = True
    # What is open, for all screens: the oldest first.
    questions: var[tuple[Asked, ...]] = var(())

    def __init__(
        self,
        connect: Callable[[], Client],
        server: str = "",
        theme: str = "",
        *,
        ascii: bool = False,
        load: Callable[[], Config] | None = None,
        where: str = "",
    ) -> None:
        super().__init__()
        self._where = where
        self.desk = Desk(connect, server)
        self.keymap = keymap()
        self._load = load
        self._config_file: Path | None = None
        self._settings_file = kept.settings_file()
        self.settings, problem = kept.load(self._settings_file)
        self.own_themes, problems = own_themes()
        for found in self.own_themes.values():
            self.register_theme(found)
        self._problems = [problem, *problems]
        self._theme = theme
        self._ascii = Ascii(enabled=ascii)
        self._harmless = Harmless()
        self._ascii_wanted = ascii
        use_ascii(ascii)
        wanted = theme or self.settings.theme
        # Before the styles are read, or they would be read once more.
        self.theme = wanted if wanted in self.available_themes else _DEFAULT_THEME
        self.stylesheet.set_variables(self.get_css_variables())
        self._styled_for = self._looks()
        self.is_open = False
        self._refused: dict[str, float] = {}
        self._left_at = 0.0
        self._attention = Attention(self)
        self._address = self._last_address = ""
        self._keys = KeyQueue(self, super().on_event)
        self._changes: set[asyncio.Future[Any]] = set()

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Colors of states and kinds for themes that don't say."""
        return state_colors(self.current_theme)

    def refresh_css(self, animate: bool = True) -> None:
        """Work the styles out anew, unless they are what they were worked out for."""
        if (looks := self._looks()) != self._styled_for:
            self._styled_for = looks
            super().refresh_css(animate)

    def _looks(self) -> tuple[object, ...]:
        """What styles, and what is drawn in them, depend on."""
        return self.current_theme, self.get_css_variables(), self._ascii.enabled

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What all that is drawn goes through."""
        filters = [*super().get_line_filters(), self._harmless]
        return [*filters, self._ascii] if self._ascii.enabled else filters

    def exit(
        self,
        result: Exception | None = None,
        return_code: int = 0,
        message: RenderableType | None = None,
    ) -> None:
        """Leave all screens."""
        super().exit(result, return_code, message)
        self.workers.cancel_all()

    def get_key_display(self, binding: Binding) -> str:
        """A key as all of the UI calls it."""
        return shown(binding.key)

    async def on_event(self, event: events.Event) -> None:
        """Take keys one after the other."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            await self._keys.take(event)
        else:
            await super().on_event(event)

    def on_mount(self) -> None:
        """Draw first, connect then."""
        self._write(_KEEP_TITLE)
        from axtui.screens.runs import RunsScreen

        self.push_screen(RunsScreen())
        self.call_after_refresh(self._open)

    @work(exit_on_error=False)
    async def _open(self) -> None:
        self._tell(self._problems)
        try:
            await self.desk.open()
            if self._load is not None:
                self._configure(self._load())
        except Exception as error:
            # Whatever it is, it is told where the UI was started from.
            self.exit(error)
            return
        # What is there by now stays. What comes is looked through in small portions, and seldom all
        # of it: a large one holds up a frame.
        gc.collect()
        gc.freeze()
        gc.set_threshold(1_000, 10, 200)
        for screen in self.screen_stack:
            begin = getattr(screen, "begin", None)
            # One that isn't there yet begins by itself.
            if begin is not None and screen.is_mounted:
                begin()
        self._questions = OpenQuestions(self.desk.client)
        self.read_questions()
        self._watch_files()
        self.is_open = True

    @work(exclusive=True, group="questions")
    async def read_questions(self) -> None:
        """Look for questions now, and from now on."""
        from axtui.client import LogError, Refused, Unreachable

        while True:
            try:
                self.questions = await self._questions.read()
            except (LogError, Refused, Unreachable):
                # The screens say what there is to be said of a log that can't be read.
                pass
            else:
                self._attention.tell(self.questions)
            await asyncio.sleep(_QUESTIONS_SECONDS)

    def watch_app_focus(self, focus: bool) -> None:
        """Who looks needn't be called."""
        if focus:
            self._attention.release()

    async def on_unmount(self) -> None:
        """Leave the terminal as it was, and nothing half done."""
        if self._changes:
            await asyncio.wait(self._changes, timeout=_LAST_SECONDS)
        self._attention.release()
        self._write(_OLD_TITLE)

    async def attempt(self, doing: Coroutine[Any, Any, T], *, change: bool = False) -> T | None:
        """Do what may be refused; tell why if it is, and give back None. A `change` is made to its
        end, though whoever asked for it may leave meanwhile."""
        from axtui.client import LogError, Refused, Unreachable

        try:
            return await (self._to_its_end(doing) if change else doing)
        except (Refused, LogError, Unreachable) as error:
            self.tell(error)
            return None

    async def _to_its_end(self, doing: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(doing)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._tell_late)
            raise

    def _tell_late(self, task: asyncio.Future[Any]) -> None:
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self.tell(error)

    async def latest_runs(self, limit: int) -> list[Listed]:
        """The conversations that were changed last; none before the desk is open."""
        if not hasattr(self.desk, "client"):
            return []
        return await self.attempt(self.desk.client.conversations(limit=limit)) or []

    # What is set: by the configuration, by the person, and by files that change

    def keep(self, **changes: Any) -> None:
        """Keep settings for the next start."""
        self.settings, problem = kept.save(self._settings_file, **changes)
        self._tell([problem])

    def choose_theme(self, name: str) -> None:
        """Use a theme from now on."""
        if name in self.available_themes:
            self.theme = name
            self.keep(theme=name)
        else:
            self.notify(f"there is no theme {name!r}", severity="error", markup=False)

    def _configure(self, config: Config) -> None:
        """Take up what a configuration says of the UI."""
        ui = config.ui
        self.keymap = keymap(ui.keymap, ui.keys)
        self.set_keymap(self.keymap)
        self._ascii.enabled = ascii = self._ascii_wanted if ui.ascii is None else ui.ascii
        use_ascii(ascii)
        if ui.theme and not self._theme:
            if ui.theme in self.available_themes:
                self.theme = ui.theme
            else:
                self._tell([f"ui.theme: there is no theme {ui.theme!r}"])
        self.refresh_css(animate=False)
        self._config_file = config.path

    @work(exit_on_error=False)
    async def _watch_files(self) -> None:
        config = self._config_file
        async for files in changed(config):
            if config in files:
                self._reload_config()
            if any(path.suffix == ".toml" for path in files):
                self._reload_themes()

    def _reload_config(self) -> None:
        from axtui.client import ConfigError

        assert self._load is not None
        try:
            self._configure(self._load())
        except (ConfigError, OSError) as error:
            self._tell([f"the configuration stays as it was: {error}"])

    def _reload_themes(self) -> None:
        """Take up themes that have changed; of those that can't be used the last good one stays."""
        found, problems = own_themes()
        for theme in found.values():
            self.register_theme(theme)
        self.own_themes |= found
        self._tell(problems)
        if self.theme in found:
            self.refresh_css(animate=False)

    def _tell(self, problems: Sequence[str]) -> None:
        for problem in filter(None, problems):
            self.notify(problem, severity="warning", markup=False)

    # Where one is

    def arrived(self, address: str) -> None:
        """A screen is on top now."""
        self._write(f"\x1b]2;axtui {printable(address)[:_TITLE_CHARS]}\a")
        if address and address != self._address:
            self._last_address, self._address = self._address, address
            word, _, run = address.partition(" ")
            if word == "run" and run != self.settings.last_run:
                self.keep(last_run=run)

    @work(exclusive=True, group="open run")
    async def open_run(self, conversation_id: str, seq: int = 0) -> None:
        """Show a run, at an event or the newest, with its events if they can be had at once."""
        from axtui.client import LogError, Refused, Unreachable
        from axtui.screens.run import RunScreen

        screen = RunScreen(conversation_id, seq)
        if self.is_open:
            # What goes wrong here is told where the screen tries it again.
            with contextlib.suppress(TimeoutError, LogError, Refused, Unreachable):
                async with asyncio.timeout(_AT_ONCE_SECONDS):
                    await screen.load(self.desk)
        await self.push_screen(screen)

    def show_view(self, address: str) -> None:
        """Go to a screen by its address: back, if it is open, or else by opening it."""
        while len(self.screen_stack) > 2 and getattr(self.screen, "address", "") != address:
            self.pop_screen()
        word, _, run = address.partition(" ")
        if getattr(self.screen, "address", "") == address:
            return
        if word == "run":
            self.open_run(run)
        else:
            self.call_next(self.run_action, word)

    def _write(self, sequence: str) -> None:
        # Textual has no other way to say what isn't drawn.
        if self._driver is not None and not self.is_headless:
            self._driver.write(sequence)

    async def do(self, active: ActiveBinding) -> None:
        """Do what a key would."""
        await self.run_action(active.binding.action, active.node)

    def copy_command(self, command: str) -> None:
        """Copy a command line that is about the same log."""
        command = " ".join(filter(None, (command, self._where)))
        self.copy_to_clipboard(command)
        self.notify(f"copied `{command}`", markup=False)

    def tell(self, error: Exception) -> None:
        """Show what went wrong, and what to do about it."""
        text = "\n".join(filter(None, (str(error), getattr(error, "hint", ""))))
        # What is tried again and again is told once in a while.
        if time.monotonic() > self._refused.get(text, 0.0):
            self._refused = {text: time.monotonic() + _REPEAT_SECONDS}
            self.notify(text, severity="error", markup=False)

    # What keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the server has nothing for is greyed."""
        return None if self.desk.why_not(action) else True

    def action_help(self) -> None:
        from axtui.screens.help import HelpScreen

        can = offered(self.screen)
        scopes = dict.fromkeys(BY_ID[name].scope for name in can)
        here = sorted(scopes, key=lambda scope: (scope == "app", scope in GENERIC))

        async def chosen(name: str | None) -> None:
            if name:
                await self.do(can[name])

        enabled = {name for name, active in can.items() if active.enabled}
        self.push_screen(HelpScreen(here, enabled, self.keymap), chosen)

    def action_palette(self) -> None:
        from axtui.screens.palette import palette

        self.push_screen(palette())

    def action_command(self) -> None:
        from axtui.screens.command_line import CommandLineScreen, obey
        from axtui.ui.commands import Order

        can = {name: one for name, one in offered(self.screen).items() if one.enabled}
        history = list(self.settings.history)

        async def entered(order: Order | None) -> None:
            if order is not None:
                self.keep(history=tuple(history))
                await obey(self, order, can)

        self.push_screen(CommandLineScreen(can, history), entered)

    def action_theme(self) -> None:
        from axtui.screens.themes import ThemesScreen

        def chosen(name: str | None) -> None:
            if name:
                self.choose_theme(name)

        self.push_screen(ThemesScreen(), chosen)

    def action_runs(self) -> None:
        self.show_view("runs")

    def action_run(self) -> None:
        if self.settings.last_run:
            self.show_view(f"run {self.settings.last_run}")
        else:
            self.notify("no run was opened yet; enter opens one")

    def action_last_view(self) -> None:
        if self._last_address:
            self.show_view(self._last_address)
        else:
            self.action_run()

    def action_next_pane(self) -> None:
        self.screen.focus_next()

    def action_previous_pane(self) -> None:
        self.screen.focus_previous()

    def action_jump(self) -> None:
        from axtui.screens.jump import JumpScreen

        def chosen(pane: Widget | None) -> None:
            if pane is not None:
                pane.focus()

        self.push_screen(JumpScreen(self.screen), chosen)

    def action_zoom(self) -> None:
        if self.screen.maximized is not None:
            self.screen.minimize()
        elif self.focused is not None:
            self.screen.maximize(self.focused, container=False)

    def action_actors(self) -> None:
        from axtui.screens.actors import ActorsScreen

        if not isinstance(self.screen, ActorsScreen):
            self.push_screen(ActorsScreen())

    def action_search(self, words: str = "") -> None:
        from axtui.screens.search import SearchScreen

        if not isinstance(self.screen, SearchScreen):
            self.push_screen(SearchScreen(words))
        elif words:
            self.screen.look_for(words)

    def action_approvals(self) -> None:
        from axtui.screens.approvals import ApprovalsScreen
        from axtui.screens.run import RunScreen

        if isinstance(self.screen, ApprovalsScreen):
            self.screen.show_all()
        else:
            here = self.screen.conversation_id if isinstance(self.screen, RunScreen) else ""
            self.push_screen(ApprovalsScreen(here))

    async def action_back(self) -> None:
        from axtui.screens.base import PlainScreen

        if isinstance(self.screen, PlainScreen) and await self.screen.step_back():
            return
        if len(self.screen_stack) > 2:
            self.pop_screen()

    async def action_quit(self) -> None:
        if len(self.screen_stack) > 2:
            self.pop_screen()
        else:
            self.exit()

    def action_suspend(self) -> None:
        self.action_suspend_process()

    def action_leave(self) -> None:
        if getattr(self.focused, "selected_text", ""):
            # Then it is to be copied.
            raise SkipAction
        if self.screen.get_selected_text():
            self.screen.action_copy_text()
            return
        now = time.monotonic()
        if now - self._left_at < _QUIT_SECONDS:
            self.exit()
        else:
            self._left_at = now
            again = shown(self.keymap["app.leave"])
            self.notify(f"{again} again to quit; runs go on without the UI", timeout=_QUIT_SECONDS)
