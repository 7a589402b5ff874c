"""What every screen looks like, to the letter: in four sizes, in the dark and in the light, and
without color. After a change that is meant, look at the report and `pytest --snapshot-update`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input, TextArea

from axtui.app import AxtuiApp
from axtui.client import connect
from axtui.model.events import Draft, user_message
from axtui.runtime.config import Config
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.screens.actors import ActorsScreen
from axtui.screens.approvals import ApprovalsScreen
from axtui.screens.command_line import CommandLineScreen
from axtui.screens.confirm import ConfirmScreen
from axtui.screens.edit_call import EditCallScreen
from axtui.screens.fork import ForkScreen
from axtui.screens.help import HelpScreen
from axtui.screens.jump import JumpScreen
from axtui.screens.new_run import NewRunScreen
from axtui.screens.run import RunScreen
from axtui.screens.runs import RunsScreen
from axtui.screens.search import SearchScreen
from axtui.screens.themes import ThemesScreen
from axtui.v1 import event_pb2 as pb
from axtui.widgets import bars
from axtui.widgets.hit_list import HitList
from axtui.widgets.question_card import QuestionCard
from axtui.widgets.runs_table import RunsTable
from axtui.widgets.timeline import Timeline

from .harness import until
from .opened import drawn

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
SIZES = ((160, 45), (120, 40), (80, 24), (60, 18))
# The keys by which one gets there, and what is on top then.
SCREENS: dict[str, tuple[tuple[str, ...], type[Screen[Any]]]] = {
    "runs": ((), RunsScreen),
    "timeline": (("down", "enter", "up", "up"), RunScreen),
    "steps": (("down", "enter", "f3"), RunScreen),
    "chat": (("down", "enter", "f4"), RunScreen),
    "waterfall": (("down", "enter", "f5"), RunScreen),
    "approvals": (("a",), ApprovalsScreen),
    "edit": (("a", "e"), EditCallScreen),
    "actors": (("3",), ActorsScreen),
    "search": (("backslash", *"library"), SearchScreen),
    "new-run": (("c",), NewRunScreen),
    "fork": (("down", "f"), ForkScreen),
    "cancel": (("x",), ConfirmScreen),
    "delete": (("D",), ConfirmScreen),
    "help": (("question_mark",), HelpScreen),
    "command": (("colon", "r"), CommandLineScreen),
    "palette": (("ctrl+p",), CommandPalette),
    "themes": (("t",), ThemesScreen),
    "jump": (("down", "enter", "semicolon"), JumpScreen),
}
# Of what isn't about the size, one is enough.
BOTH = [(name, size) for name in SCREENS for size in SIZES if size != (160, 45) or "-" not in name]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A log whose every event is of the same noon, which is also what the clocks say."""

    class Noon(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return NOON

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.setattr(bars, "datetime", Noon)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda self: None)
    monkeypatch.setattr(TextArea, "_toggle_cursor_blink_visible", lambda self: None)
    monkeypatch.setattr(time, "time_ns", lambda: int(NOON.timestamp()) * 1_000_000_000)
    asyncio.run(_fill(tmp_path))
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


async def _fill(folder: Path) -> None:
    log = SqliteLog.open_to_write(Config(data_dir=folder).log_path)
    done = await log.conversation("0192f3a0-1111-7000-8000-000000000001", create=True)
    await done.append(*_run(), *_steps(), *_said("The sea is **wide**.\n\n- deep\n- blue"), _end())
    fork = await log.fork(done.id, 4, "0192f3a0-2222-7000-8000-000000000002")
    await fork.append(Draft(pb.ConversationForked(source_id=done.id, source_seq=4, exec_id="two")))
    waits = await log.conversation("0192f3a0-3333-7000-8000-000000000003", create=True)
    question = pb.ApprovalRequested(
        id="q3",
        key="1",
        type="permission",
        question="Run a command?",
        subject="shell(rm -rf build && make)",
        editable=True,
        detail=pb.Data(text='{"command": "rm -rf build && make"}'),
        choices=["approve", "deny"],
        rule="destructive, and the policy is silent",
    )
    await waits.append(*_run(), Draft(question, "run", "planner"))
    await log.close()


def _run() -> list[Draft]:
    started = pb.RunStarted(agent="planner", workspace="/home/ada/sea")
    asked = Draft(user_message("Write about the sea"), "run")
    return [Draft(started, "run", principal="ada"), asked]


def _steps() -> list[Draft]:
    args = pb.Data(text='{"text": "waves"}')
    lent = pb.Error(code="tool", message="it is lent")
    payloads = (
        pb.StepStarted(key="1", type="tool", name="library.find", arguments=args),
        pb.StepCompleted(key="1", result=pb.Data(text='"three books"')),
        pb.StepStarted(key="2", type="tool", name="library.read", arguments=args),
        pb.StepFailed(key="2", error=lent, next="end"),
    )
    return [Draft(payload, "run", "planner") for payload in payloads]


def _said(text: str) -> list[Draft]:
    said = pb.Message(role="assistant", content=[pb.Content(text=pb.Data(text=text))])
    return [Draft(said, "run", "planner")]


def _end() -> Draft:
    return Draft(pb.RunCompleted(output=pb.Data(text='"done"')), "run", "planner")


def _app(folder: Path, theme: str = "") -> AxtuiApp:
    return AxtuiApp(lambda: connect(Config(data_dir=folder)), theme=theme)


def _ready(app: AxtuiApp, screen: str) -> Callable[[Pilot[Any]], Any]:
    keys, wanted = SCREENS[screen]

    async def ready(pilot: Pilot[Any]) -> None:
        await until(pilot, lambda: app.is_open)
        await until(pilot, lambda: app.screen.query(RunsTable).first().count)
        for key in keys:
            if isinstance(app.screen, RunScreen):
                await until(pilot, lambda: any(one.count for one in app.screen.query(Timeline)))
            for card in app.screen.query(QuestionCard):
                await until(pilot, lambda card=card: card.armed)
            await pilot.press(key)
            if key == "enter":
                await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await until(pilot, lambda: isinstance(app.screen, wanted))
        for hits in app.screen.query(HitList):
            await until(pilot, lambda hits=hits: hits.count)
        await _settled(app, pilot)

    return ready


async def _settled(app: AxtuiApp, pilot: Pilot[Any]) -> None:
    """Until nothing has changed for a while, in which every poll has had its turn."""
    before, same = drawn(app), 0
    while same < 5:
        await pilot.pause(0.12)
        now = drawn(app)
        before, same = now, same + 1 if now == before else 0


@pytest.mark.parametrize(("screen", "size"), BOTH, ids=str)
def test_every_screen(store: Path, snap_compare: Any, screen: str, size: tuple[int, int]) -> None:
    app = _app(store)
    assert snap_compare(app, terminal_size=size, run_before=_ready(app, screen))


@pytest.mark.parametrize("screen", ["runs", "timeline", "approvals", "help"])
@pytest.mark.parametrize("theme", ["axtui-light", "ansi-dark"])
def test_in_another_theme(store: Path, snap_compare: Any, screen: str, theme: str) -> None:
    app = _app(store, theme)
    assert snap_compare(app, terminal_size=(120, 40), run_before=_ready(app, screen))


@pytest.mark.parametrize("screen", ["runs", "timeline", "approvals"])
def test_without_color(
    store: Path, snap_compare: Any, screen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = _app(store)
    assert snap_compare(app, terminal_size=(120, 40), run_before=_ready(app, screen))
