"""The screen of a run: its events, steps and actors, and one event in full."""

from __future__ import annotations

import contextlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from textual.content import Content
from textual.widgets import Input

from axtui.app import AxtuiApp
from axtui.client import Client, Delta, Refused
from axtui.model.events import Draft
from axtui.screens.run import RunScreen
from axtui.ui.log_view import PAGE
from axtui.v1 import event_pb2 as pb
from axtui.widgets.actors import ActorsPane
from axtui.widgets.inspector import Inspector
from axtui.widgets.steps_list import StepsList
from axtui.widgets.timeline import Timeline
from tests.remote.harness import Serve

from .harness import until
from .histories import ID, app_on, open_log, open_run, text_of, told, write
from .logs import one_run


class Counted:
    """A client that counts what is asked of it."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        self.calls[name] += 1
        return getattr(self._client, name)


def title(widget: Any) -> str:
    """A border title without its markup."""
    return Content.from_markup(str(widget.border_title)).plain


def below(widget: Any) -> str:
    """A border subtitle without its markup."""
    return Content.from_markup(str(widget.border_subtitle)).plain


SIZES = [(160, 45), (120, 40), (80, 24), (60, 18), (20, 12)]


async def test_it_is_not_drawn_before_its_newest_events_are_there(tmp_path: Path) -> None:
    await write(tmp_path, one_run(PAGE))
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: app.is_open)
        await app.open_run(ID).wait()
        assert isinstance(app.screen, RunScreen)
        assert app.screen.view is not None
        assert app.screen.view.record(app.screen.view.head)


@pytest.mark.parametrize("size", SIZES)
async def test_the_newest_event_is_shown_and_inspected(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    await write(tmp_path, one_run(100))
    app = app_on(tmp_path)
    async with app.run_test(size=size) as pilot:
        screen = await open_run(app, pilot)
        timeline = screen.query_one(Timeline)
        await until(pilot, lambda: "204" in text_of(timeline))
        assert timeline.seq == 204
        await pilot.press("up", "up")
        await until(pilot, lambda: timeline.seq == 202)
        await pilot.press("enter")
        inspector = screen.query_one(Inspector)
        await until(pilot, lambda: "#202" in text_of(inspector) and inspector.has_focus)
        if size[0] < 80:
            assert not timeline.region.width or not screen.query_one("#main").display
            await until(pilot, lambda: inspector.size.width >= size[0] - 2)
        await pilot.press("escape")
        await until(pilot, lambda: timeline.has_focus and timeline.size.width > 0)
        for key in ("f3", "f4", "f5"):
            await pilot.press(key)
            await until(pilot, lambda key=key: key.upper() in title(screen.query_one("#main")))
        await pilot.press("f2")
        await until(pilot, lambda: screen.query_one(Timeline).has_focus)


async def test_a_long_log_is_opened_by_a_few_pages(tmp_path: Path) -> None:
    steps = 20_000
    await write(tmp_path, one_run(steps))
    events = 2 * steps + 4
    counted: list[Counted] = []

    def count(client: Client) -> Any:
        counted.append(Counted(client))
        return counted[0]

    app = app_on(tmp_path, count)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        timeline = screen.query_one(Timeline)
        await until(pilot, lambda: f"{events}" in text_of(timeline))
        calls = counted[0].calls
        assert calls["read"] <= 4
        await pilot.press("g")
        await until(pilot, lambda: "run.started" in text_of(timeline))
        assert calls["read"] <= 8
        screen.go_to_seq(events // 2)
        await until(pilot, lambda: f" {events // 2} " in text_of(timeline))
        assert timeline.seq == events // 2
        await pilot.press("G")
        await until(pilot, lambda: "run.completed" in text_of(timeline))
        assert calls["read"] <= 16
        assert len(screen.view._pages) <= 16  # type: ignore[union-attr]
        await pilot.press("f3")
        steps_list = await until(pilot, lambda: next(iter(screen.query(StepsList)), None))
        await until(pilot, lambda: "work" in text_of(steps_list))
        await until(pilot, lambda: steps_list.count >= 2000)
        assert calls["read"] <= 40
        main = screen.query_one("#main")
        await until(pilot, lambda: "older not looked at" in below(main))
        assert events > PAGE


async def test_steps_are_paired_with_their_outcomes(tmp_path: Path) -> None:
    await write(tmp_path, one_run(10))
    app = app_on(tmp_path)
    async with app.run_test(size=(160, 40)) as pilot:
        screen = await open_run(app, pilot)
        await pilot.press("v")
        steps = await until(pilot, lambda: next(iter(screen.query(StepsList)), None))
        await until(pilot, lambda: steps.count == 14)
        await until(pilot, lambda: "it broke" in text_of(steps))
        lines = text_of(steps).splitlines()
        assert len([line for line in lines if "✓" in line and "work" in line]) == 9
        failed = next(line for line in lines if "it broke" in line)
        assert "✗ work1" in failed
        assert failed.endswith("ms")
        await pilot.press("k", "k")
        assert steps.seq == 21
        inspector = screen.query_one(Inspector)
        await until(pilot, lambda: "#21" in text_of(inspector))
        await pilot.press("i", ">")
        await until(pilot, lambda: "#22 step.failed" in text_of(inspector))
        await pilot.press("<")
        await until(pilot, lambda: "#21 step.started" in text_of(inspector))
        await pilot.press("<")
        await until(pilot, lambda: "#1 run.started" in text_of(inspector))


async def test_an_actor_is_picked_and_let_go(tmp_path: Path) -> None:
    note = Draft(pb.Note(text="n"), "run", "other")
    await write(tmp_path, [*one_run(3)[:-2], note, note, *one_run(0)[-2:]])
    app = app_on(tmp_path)
    async with app.run_test(size=(160, 40)) as pilot:
        screen = await open_run(app, pilot)
        actors, timeline = screen.query_one(ActorsPane), screen.query_one(Timeline)
        await until(pilot, lambda: "other" in text_of(actors))
        actors.focus()
        await pilot.press("end", "enter")
        await until(pilot, lambda: timeline.count == 2)
        assert "/actor:other" in below(screen.query_one("#main"))
        await pilot.press("enter")
        await until(pilot, lambda: timeline.count == 12)
        await pilot.press("enter")
        await until(pilot, lambda: timeline.count == 2)
        timeline.focus()
        await pilot.press("escape")
        await until(pilot, lambda: timeline.count == 12)


async def test_a_filter_with_odd_signs_is_a_filter(tmp_path: Path) -> None:
    await write(tmp_path, [*one_run(3), Draft(pb.Note(text="a [/b] [red] note"))])
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        timeline = screen.query_one(Timeline)
        await pilot.press("slash", *"[/b] [red]", "enter")
        await until(pilot, lambda: timeline.count == 1)
        assert "/[/b] [red]" in below(screen.query_one("#main"))
        assert timeline.has_focus


async def test_a_fork_is_shown_from_where_it_began(tmp_path: Path) -> None:
    forked = pb.ConversationForked(source_id="other", source_seq=1, exec_id="two")
    await write(tmp_path, [*one_run(1)[:2], Draft(forked, "two", "counter")])
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        await until(pilot, lambda: "conversation.for" in text_of(screen.query_one(Timeline)))
        await pilot.press("f3")
        steps = await until(pilot, lambda: next(iter(screen.query(StepsList)), None))
        await until(pilot, lambda: "conversation.for" in text_of(steps))


HOSTILE = "\x1b]0;title\x07\x1b[2J\tTab e\u0301 漢字 👩‍👩‍👧 \u202e \x9b31m\r\n" * 3


async def test_nothing_that_a_terminal_obeys_is_drawn(tmp_path: Path) -> None:
    drafts = [
        Draft(pb.RunStarted(agent=HOSTILE), "run", HOSTILE),
        Draft(pb.StepStarted(key="1", name=HOSTILE, arguments=pb.Data(text=HOSTILE), attempt=1)),
        Draft(pb.StepCompleted(key="1", attempt=1, result=pb.Data(text=HOSTILE))),
        Draft(pb.Message(role="user", content=[pb.Content(text=pb.Data(text=HOSTILE))])),
        Draft(pb.ApprovalRequested(id=HOSTILE, question=HOSTILE, diff=pb.Data(text=HOSTILE))),
    ]
    await write(tmp_path, drafts)
    app = app_on(tmp_path)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await open_run(app, pilot)
        for view in ("f2", "f3", "f4", "f5"):
            await pilot.press(view)
            await pilot.pause(0.3)
            await pilot.press("up")
            for key in ("i", "V", "V", "V", "escape"):
                await pilot.press(key)
            for y, strip in enumerate(screen._compositor.render_strips()):
                text = strip.text
                assert not [c for c in text if ord(c) < 32 or 127 <= ord(c) < 160], (view, y, text)
                assert strip.cell_length == 160


async def write_big(folder: Path, text: str) -> None:
    """A run with a result that is kept apart."""
    log = open_log(folder)
    conversation = await log.conversation(ID, create=True)
    result = conversation.data(text)
    await conversation.append(
        Draft(pb.RunStarted(agent="a"), "x", "a"),
        Draft(pb.StepCompleted(key="1", attempt=1, result=result), "x", "a"),
    )
    await log.close()


def editor_in(folder: Path) -> tuple[str, Path]:
    """A program that keeps what it was given, and where."""
    editor, seen = folder / "editor", folder / "seen"
    editor.write_text(f'#!/bin/sh\ncp "$1" {seen}\necho "$1" > {seen}.name\n')
    editor.chmod(0o755)
    return str(editor), seen


async def test_a_big_text_is_fetched_in_part_and_opened_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_big(tmp_path / "data", "0123456789\n" * 300_000 + "END")
    program, seen = editor_in(tmp_path)
    monkeypatch.setenv("VISUAL", program)
    app = app_on(tmp_path / "data")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        inspector = screen.query_one(Inspector)
        await until(pilot, lambda: "kept apart" in text_of(inspector))
        await pilot.press("i", "o")
        await until(pilot, lambda: "kept apart" not in text_of(inspector))
        await pilot.press("G")
        await until(pilot, lambda: "$EDITOR" in text_of(inspector))
        await pilot.press("e")
        # A terminal that is none can't be handed to another program.
        await until(pilot, lambda: told(app, "no other program"))
        monkeypatch.setattr(app, "suspend", contextlib.nullcontext)
        await pilot.press("e")
        await until(pilot, seen.exists)
        await until(pilot, Path(f"{seen}.name").exists)
        await until(pilot, lambda: not Path(Path(f"{seen}.name").read_text().strip()).exists())
        assert seen.read_text().rstrip().endswith("0123456789\nEND")


async def test_a_conversation_that_is_gone_is_told(tmp_path: Path) -> None:
    await write(tmp_path, one_run(1))
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: hasattr(app.desk, "client"))
        screen = RunScreen("nothing")
        await app.push_screen(screen)
        await until(pilot, lambda: told(app, "nothing"))
        await pilot.press("f3", "f4", "f5", "g", "i", "escape", "f2", "escape")
        await until(pilot, lambda: app.screen is not screen)


async def test_a_stream_is_a_row_that_grows_and_ends_with_its_step(tmp_path: Path) -> None:
    begun = Draft(pb.StepStarted(key="9", type="model", name="m", attempt=1), "run", "counter")
    await write(tmp_path, [*one_run(2)[:-2], begun])
    app = app_on(tmp_path)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await open_run(app, pilot)
        timeline = screen.query_one(Timeline)
        assert screen.view is not None
        drawn = 0
        renew = timeline.renew

        def counted(*rows: int) -> None:
            nonlocal drawn
            drawn += 1
            renew(*rows)

        timeline.renew = counted  # type: ignore[method-assign]
        for number in range(5000):
            delta = Delta(ID, "run", "counter", "9", 1, "text", number, f"{number} ")
            screen.view.streams.take(delta)
        assert not drawn, "nothing is drawn for a delta"
        await until(pilot, lambda: "9 +5000" in text_of(timeline))
        assert "4999" in text_of(timeline)
        assert timeline.count == screen.view.head + 1
        ended = pb.StepCompleted(key="9", attempt=1, result=pb.Data(text="done"))
        await write(tmp_path, [Draft(ended, "run", "counter")])
        await until(pilot, lambda: "9 +5000" not in text_of(timeline))
        await until(pilot, lambda: "step.completed     9 done" in text_of(timeline))
        assert timeline.count == screen.view.head


async def test_below_all_events_one_is_at_the_newest(tmp_path: Path) -> None:
    failed = pb.StepFailed(key="8", attempt=1, error=pb.Error(message="boom"), next="end")
    begun = pb.StepStarted(key="9", type="model", name="m", attempt=1)
    drafts = [Draft(failed, "run", "counter"), Draft(begun, "run", "counter")]
    await write(tmp_path, [*one_run(2)[:-2], *drafts])
    app = app_on(tmp_path)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await open_run(app, pilot)
        timeline = screen.query_one(Timeline)
        view = screen.view
        assert view is not None
        view.streams.take(Delta(ID, "run", "counter", "9", 1, "text", 0, "hello"))
        await until(pilot, lambda: timeline.cursor == view.head)
        assert timeline.seq == view.head
        await until(pilot, lambda: screen.inspected == view.head)
        await pilot.press("e")
        await until(pilot, lambda: told(app, "there is none after"))
        assert timeline.follow
        await pilot.press("E")
        await until(pilot, lambda: timeline.seq == view.head - 1)


async def test_a_state_may_come_before_the_chat_is_there(tmp_path: Path) -> None:
    await write(tmp_path, one_run(2))
    app = app_on(tmp_path)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await open_run(app, pilot)
        screen.action_chat()
        screen._take_state(screen.state)
        line = await until(pilot, lambda: next(iter(screen.query("#say").results(Input)), None))
        await until(pilot, lambda: "go on with counter" in line.placeholder)


@pytest.mark.parametrize("method", ["state", "watch"])
async def test_what_cant_be_had_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("axtui.screens.run.RETRY_SECONDS", 0.01)
    await write(tmp_path, one_run(2)[:-1])
    app = app_on(tmp_path)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await open_run(app, pilot)
        client = app.desk.client
        real = getattr(client, method)

        def fails(*_: object) -> None:
            monkeypatch.setattr(client, method, real)
            raise Refused("limit", "too many at a time")

        monkeypatch.setattr(client, method, fails)
        if method == "watch":
            screen._follow()
            await until(pilot, lambda: told(app, "too many at a time"))
        await write(tmp_path, one_run(2)[-1:])
        await until(pilot, lambda: screen.state.run.state == "completed")
        assert told(app, "too many at a time")


async def test_the_cursor_stays_on_its_actor(tmp_path: Path) -> None:
    steps = [pb.StepStarted(key=str(n), type="tool", name=f"t{n}", attempt=1) for n in range(2)]
    drafts = [Draft(step, "run", f"actor{n}") for n, step in enumerate(steps)]
    await write(tmp_path, [*one_run(2)[:-2], *drafts])
    app = app_on(tmp_path)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await open_run(app, pilot)
        pane = screen.query_one(ActorsPane)
        view = screen.view
        assert view is not None
        await until(pilot, lambda: "actor1" in text_of(pane))
        pane.go_to([row.actor for row in pane._lines].index("actor1"))
        lines = pane.count
        view.streams.take(Delta(ID, "run", "actor0", "0", 1, "text", 0, "one\ntwo\nthree"))
        await until(pilot, lambda: screen._draw_state() or pane.count > lines)
        assert pane._lines[pane.cursor].actor == "actor1"


async def test_a_run_over_the_wire_is_shown_and_its_end_told(served: Serve) -> None:
    server = await served()
    assert server.local.host is not None
    log = server.local.host.controller.log
    conversation = await log.conversation(ID, create=True)
    await conversation.append(*one_run(700))
    client = server.client()
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(160, 45)) as pilot:
        screen = await open_run(app, pilot)
        timeline = screen.query_one(Timeline)
        await until(pilot, lambda: "1404" in text_of(timeline))
        await conversation.append(*one_run(1))
        await until(pilot, lambda: "1410" in text_of(timeline))
        await pilot.press("slash", *"kind:failed", "enter")
        await until(pilot, lambda: timeline.count == 70)
        await until(pilot, lambda: "it broke" in text_of(timeline))
        await pilot.press("f3")
        steps = await until(pilot, lambda: next(iter(screen.query(StepsList)), None))
        await pilot.press("escape", "f2", "g")
        await until(pilot, lambda: steps.filter_text == "" and "run.started" in text_of(timeline))
        # Gone for good: what isn't here can't be read any more, which is told, once.
        screen.view._pages.clear()  # type: ignore[union-attr]
        await client.purge(ID)
        timeline.go_to(800)
        await until(pilot, lambda: told(app, "no conversation"))
        await pilot.press("g", "G", "f3", "f5", "f4", "f2", "e", "i", "<")
        await pilot.pause(0.5)
        assert app.screen is screen
