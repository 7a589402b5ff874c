"""The conversation as a chat, and going on with it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Markdown

from axtui.app import AxtuiApp
from axtui.client import Delta, RunOptions
from axtui.model.events import Draft, user_message
from axtui.screens.run import RunScreen
from axtui.ui.chat import Chat
from axtui.v1 import event_pb2 as pb
from axtui.widgets.transcript import Bubble, Messages, Transcript
from tests.remote.harness import Serve

from .harness import until
from .histories import ID, app_on, open_run, write
from .logs import Shelf, records_of
from .opened import drawn
from .test_log_view import Seen, following, taken


def answer(text: str, **fields: Any) -> Draft:
    return Draft(
        pb.Message(role="assistant", content=[pb.Content(text=pb.Data(text=text))], **fields),
        "x",
        "coder",
    )


def talk(messages: int) -> list[Draft]:
    """A run in which so many things are said, by turns."""
    drafts = [Draft(pb.RunStarted(agent="coder"), "x", "", "ada")]
    for number in range(1, messages + 1):
        if number % 2:
            drafts.append(Draft(user_message(f"question {number}"), "x", "", "ada"))
        else:
            drafts.append(answer(f"# Answer {number}\n\nwith **bold** words\n\n- one\n- two"))
        drafts.append(answer(f"secret {number}", internal_only=True))
    return [*drafts, Draft(pb.RunCompleted(), "x", "coder")]


async def chat_of(screen: RunScreen, pilot: Pilot[Any]) -> Messages:
    """The chat, once it shows something."""
    await pilot.press("f4")
    messages: Messages = await until(pilot, lambda: next(iter(screen.query(Messages)), None))
    await until(pilot, lambda: messages.query(Bubble))
    return messages


def said(messages: Messages) -> list[str]:
    return [bubble.said.text for bubble in messages.query(Bubble)]


async def test_what_was_said_is_shown_and_what_is_private_is_not(tmp_path: Path) -> None:
    await write(tmp_path, talk(6))
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        messages = await chat_of(screen, pilot)
        await until(pilot, lambda: len(said(messages)) == 6)
        assert "secret" not in "".join(said(messages))
        bubbles = list(messages.query(Bubble))
        assert [bubble.said.who for bubble in bubbles] == ["ada", "coder"] * 3
        await until(pilot, lambda: len(messages.query(Markdown)) == 3)
        assert messages.seq == bubbles[-1].said.seq
        await pilot.press("k")
        await until(pilot, lambda: messages.seq == bubbles[-2].said.seq)
        await until(pilot, lambda: screen.inspected == bubbles[-2].said.seq)


async def test_line_ends_are_kept(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    told = "printf 'one\\ntwo\\n  three   3\\n\\n    __four__.py\\n'"
    command = [sys.executable, "-m", "axtui", "exec", "--agent", "shell", "--input", told]
    command += ["--conversation", ID, "--data-dir", data]
    await asyncio.to_thread(subprocess.run, command, check=True)
    app = app_on(tmp_path / "data")
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        await chat_of(screen, pilot)
        # Apart from the frame, and the line at the side of the message.
        wanted = ["one", "two", "  three   3", "", "    __four__.py"]
        await until(pilot, lambda: _below(app, "shell  ")[:5] == wanted)


async def test_line_ends_within_markdown_are_kept(tmp_path: Path) -> None:
    await write(tmp_path, [*talk(1)[:-1], answer("**Roses** are red\nviolets `blue`\n\n- a\n  b")])
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        messages = await chat_of(screen, pilot)
        await until(pilot, lambda: messages.query(Markdown))
        wanted = ["Roses are red", "violets blue", "", "• a", "  b"]
        await until(pilot, lambda: _below(app, "coder  ")[:5] == wanted)


def _below(app: AxtuiApp, head: str) -> list[str]:
    """The lines of the chat below that of a message which begins so."""
    main = app.screen.query_one("#messages").region
    rows = [row[main.x + 2 : main.right].rstrip() for row in drawn(app).splitlines()]
    found = [index for index, row in enumerate(rows) if row.startswith(head)]
    return rows[found[-1] + 1 :] if found else []


async def test_only_what_is_in_sight_is_set(tmp_path: Path) -> None:
    await write(tmp_path, talk(450))
    app = app_on(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_run(app, pilot)
        messages = await chat_of(screen, pilot)
        await until(pilot, lambda: len(said(messages)) >= 200)
        await until(pilot, lambda: messages.query(Markdown))
        assert len(said(messages)) < 420
        await until(pilot, lambda: messages.scroll_y == messages.max_scroll_y > 0)
        await pilot.press("g")
        await until(pilot, lambda: len(said(messages)) >= 400)
        await pilot.press("g")
        await until(pilot, lambda: len(said(messages)) == 450)
        await pilot.press("g")
        await until(pilot, lambda: messages.query(Bubble)[1].awake)
        await until(pilot, lambda: len(messages.query(Markdown)) < 60)
        assert said(messages)[0] == "question 1"


async def test_a_chat_that_is_left_ends_what_goes(tmp_path: Path) -> None:
    await write(tmp_path, talk(4))
    app = app_on(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_run(app, pilot)
        messages = await chat_of(screen, pilot)
        bubble = await until(pilot, lambda: next((b for b in messages.query(Bubble) if b.awake), 0))
        for steps in range(1, 30):
            await until(pilot, lambda: bubble.awake and bubble.query(Markdown))
            text = bubble.query_one(Markdown)._task
            assert text is not None
            going = asyncio.ensure_future(bubble.sleep())
            for _ in range(steps):
                await asyncio.sleep(0)
            going.cancel()
            await asyncio.wait({going})
            await until(pilot, text.done)
            assert not text.cancelled()


async def test_what_has_long_been_said_is_kept_for_who_goes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("axtui.widgets.transcript._MOST", 60)
    await write(tmp_path, talk(2)[:-1])
    app = app_on(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        screen = await open_run(app, pilot)
        messages = await chat_of(screen, pilot)
        texts = [f"word {number}" for number in range(500)]
        for start in range(0, 500, 50):
            await write(tmp_path, [answer(text) for text in texts[start : start + 50]])
            last = texts[start + 49]
            await until(pilot, lambda last=last: said(messages)[-1:] == [last])
            assert len(said(messages)) <= 110
            await until(pilot, lambda: messages.scroll_y == messages.max_scroll_y)
        await until(pilot, lambda: messages.follow and len(said(messages)) <= 60)
        # Who goes back has all of it, each once.
        await pilot.press("k")
        while said(messages)[0] != "question 1":
            before = len(said(messages))
            await pilot.press("g")
            await until(pilot, lambda before=before: len(said(messages)) > before)
        assert said(messages)[2:] == texts


async def test_a_later_attempt_takes_the_place_of_an_earlier_one() -> None:
    begun = Draft(pb.RunStarted(agent="a"), "x", "a")

    def step(attempt: int) -> Draft:
        return Draft(pb.StepStarted(key="1", type="agent", name="r", attempt=attempt), "x", "a")

    first = answer("first", step="1", attempt=1)
    shelf = Shelf(records_of([begun, step(1), first, step(2), answer("more", step="1", attempt=2)]))
    seen = Seen(shelf, 5)
    async with following(seen):
        chat = Chat(seen.view, lambda: None)
        await chat.more()
        assert [message.text for message in chat.messages] == ["more"]
        shelf.append([step(3), answer("last", step="1", attempt=3)])
        await taken(shelf, seen)
        assert [message.text for message in chat.messages] == ["last"]
        assert not chat.left


async def test_a_long_message_is_cut_and_says_so() -> None:
    shelf = Shelf(records_of([answer("x" * 50_000)]))
    seen = Seen(shelf, 1)
    chat = Chat(seen.view, lambda: None)
    await chat.more()
    (message,) = chat.messages
    assert len(message.text) == 20_000
    assert message.more == 30_000


async def test_the_conversation_is_gone_on_with(served: Serve) -> None:
    server = await served()
    client = server.client()
    await client.start(ID, "hello", "asker", RunOptions())
    app = AxtuiApp(lambda: client, server.address)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        messages = await chat_of(screen, pilot)
        line = screen.query_one("#say", Input)
        await until(pilot, lambda: screen.state.questions)
        (question,) = screen.state.questions
        await client.answer(ID, question, "", "an answer", False)
        await until(pilot, lambda: "go on with asker" in line.placeholder)
        await until(pilot, lambda: screen.active_bindings["w"].enabled)
        messages.focus()
        await pilot.press("w", *"1 and 2", "enter")
        await until(pilot, lambda: screen.state.totals.runs == 2)
        await until(pilot, lambda: "1 and 2" in said(messages))
        await until(pilot, lambda: "tell asker" in line.placeholder)
        assert messages.follow


async def test_what_a_model_is_saying_is_shown_until_it_has_said_it(tmp_path: Path) -> None:
    await write(tmp_path, talk(2))
    app = app_on(tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await open_run(app, pilot)
        await chat_of(screen, pilot)
        assert screen.view is not None
        streamed = screen.query_one("#streaming-said")
        screen.view.streams.take(Delta(ID, "x", "coder", "5", 1, "text", 0, "I think [b]\x1b"))
        await until(pilot, lambda: "I think [b]␛" in str(streamed.render()))
        screen.view.streams.clear()
        await until(pilot, lambda: not streamed.display)
        assert screen.query_one(Transcript).display
