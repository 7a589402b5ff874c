"""Questions are read in full and answered on purpose, in the UI as anywhere."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Input, Static, TextArea

from axtui.app import AxtuiApp
from axtui.client import Config, Refused, RunOptions, connect, load_config
from axtui.model.codec import event_to_json
from axtui.model.fold import status
from axtui.model.ids import new_id
from axtui.screens.approvals import ApprovalsScreen
from axtui.screens.confirm import ConfirmScreen
from axtui.screens.edit_call import EditCallScreen
from axtui.screens.run import RunScreen
from axtui.screens.runs import RunsScreen
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st
from axtui.widgets import question_card
from axtui.widgets.attention import Attention
from axtui.widgets.bars import TopBar
from axtui.widgets.question_card import About, QuestionCard, Words
from axtui.widgets.question_list import QuestionList

from .harness import end_holder, until

_AGENTS = ("asker", "chooser", "publisher", "commander", "writer", "unsure")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    """A data directory whose runs a process in the background drives, from the first one on."""
    folder = tmp_path_factory.mktemp("approvals")
    module = "asking_agents_of_the_ui"
    shutil.copy(Path(__file__).with_name("asking_agents.py"), folder / f"{module}.py")
    agents = "".join(f'  - {{id: {name}, python: "{module}:{name}"}}\n' for name in _AGENTS)
    policy = 'policy: {approve: {"shell(*destructive*)": ask}}\n'
    (folder / "axtui.yaml").write_text(f"agents:\n{agents}{policy}")
    config = load_config(None, str(folder / "data"), {}, folder)
    with pytest.MonkeyPatch.context() as patch:
        # Where the process in the background finds the agents.
        patch.chdir(folder)
        yield config
    end_holder(config.log_path)


class Clock:
    """The clock of cards, which goes on only where a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Nothing depends on how fast this machine is."""
    made = Clock()
    monkeypatch.setattr(question_card, "monotonic", made)
    return made


class Desk:
    """An app, and what a test does beside it."""

    def __init__(self, app: AxtuiApp, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot
        self.started: list[str] = []

    @property
    def client(self) -> Any:
        return self.app.desk.client

    @property
    def card(self) -> QuestionCard:
        return self.app.screen.query_one(QuestionCard)

    async def start(self, agent: str, input: str = "x", **options: Any) -> str:
        """Start a run; its conversation, once it asks something."""
        name = new_id()
        writer = await self.app.desk.writer()
        await writer.start(name, input, agent, RunOptions(**options))
        self.started.append(name)
        await self.asked(name)
        return name

    async def end(self) -> None:
        """End what was started and goes on."""
        for name in self.started:
            # It may have ended by itself meanwhile.
            with contextlib.suppress(Refused):
                await self.client.cancel(name, "")

    async def asked(self, name: str) -> Any:
        """The question of a conversation, once the app knows of it."""
        return await until(
            self.pilot,
            lambda: next((q for q in self.app.questions if q.conversation_id == name), None),
        )

    async def open(self, name: str = "") -> QuestionCard:
        """Show the questions of a conversation, or all; the card once it takes answers."""
        await self.app.push_screen(ApprovalsScreen(name))
        return await self.armed()

    async def armed(self) -> QuestionCard:
        await until(self.pilot, lambda: self.card.asked)
        for _ in range(3):
            self.pass_by(0.3)
        assert self.card.armed
        return self.card

    def pass_by(self, seconds: float) -> None:
        """Have some time gone by for the card."""
        assert isinstance(question_card.monotonic, Clock)
        question_card.monotonic.now += seconds
        self.card.tick()

    async def output(self, name: str) -> str:
        """What a run comes to."""
        while status(state := await self.client.state(name)) not in ("completed", "failed"):
            await self.pilot.pause(0.02)
        return str(state.run.output.text)

    async def answers(self, name: str) -> list[dict[str, Any]]:
        """The answers in the log."""
        records = await self.client.read(name, kinds=["approval.answered"])
        return [event_to_json(record.event())["data"] for record in records]

    def said(self) -> list[str]:
        """What the app has told lately."""
        return [told.message for told in self.app._notifications]


@asynccontextmanager
async def desk(config: Config, width: int = 100, height: int = 30) -> AsyncIterator[Desk]:
    """The UI on the data directory."""
    app = AxtuiApp(partial(connect, config))
    async with app.run_test(size=(width, height)) as pilot:
        await until(pilot, lambda: hasattr(app, "_questions"))
        made = Desk(app, pilot)
        try:
            yield made
        finally:
            await made.end()
            await app.desk.client.close()


def read(about: About) -> list[str]:
    """Every line that there is to scroll to, as it is drawn."""
    lines = []
    for y in range(about.virtual_size.height):
        about.scroll_to(y=y, animate=False, immediate=True)
        lines.append(about.render_line(y - about.scroll_offset.y).text.rstrip())
    return lines


async def test_an_approval_lets_the_run_go_on_to_its_end(config: Config) -> None:
    async with desk(config) as ui:
        name = new_id()
        writer = await ui.app.desk.writer()
        await writer.start(name, "x", "demo", RunOptions(config={"speed": 0}))
        await ui.asked(name)
        assert isinstance(ui.app.screen, RunsScreen)
        assert ui.app.screen.query_one(TopBar).waiting == len(ui.app.questions)
        await ui.pilot.press("a")
        card = await ui.armed()
        assert "Publish the page?" in read(card.query_one(About))
        assert "lines: 4" in read(card.query_one(About))
        await ui.pilot.press("y")
        assert "Published" in await ui.output(name)
        (answer,) = await ui.answers(name)
        assert (answer["choice"], answer.get("always", False)) == ("approve", False)
        await until(ui.pilot, lambda: not ui.app.screen.query_one(QuestionList).count)
        assert card.asked is None
        assert ui.app.screen.query_one(TopBar).waiting == 0


async def test_keys_that_come_too_early_are_dropped(config: Config, clock: Clock) -> None:
    async with desk(config) as ui:
        first, second = await ui.start("asker"), await ui.start("publisher")
        await ui.pilot.press("a")
        table = ui.app.screen.query_one(QuestionList)
        await until(ui.pilot, lambda: table.count == 2)
        keys = [asked.conversation_id for asked in table.questions]
        table.go_to(keys.index(second))
        await until(ui.pilot, lambda: ui.card.asked and ui.card.asked.conversation_id == second)
        await ui.pilot.press("y", "n", "Y", "N", "1", "i", "s")
        assert not ui.card.armed
        assert not ui.card.query_one(Words).has_class("-open")
        assert "armed in 0.4 s" in str(ui.card.query_one("#answers").render())  # type: ignore[attr-defined]

        ui.pass_by(0.39)
        assert not ui.card.armed
        ui.pass_by(0.02)
        assert ui.card.armed
        # The terminal has the focus again.
        ui.app.post_message(events.AppBlur())
        ui.app.post_message(events.AppFocus())
        await ui.pilot.pause()
        assert not ui.card.armed
        await ui.pilot.press("y")
        ui.pass_by(0.2)
        ui.pass_by(0.21)
        assert ui.card.armed
        # Nothing was drawn for a while, and what was typed meanwhile comes all at once.
        clock.now += 5
        assert not ui.card.armed
        await ui.pilot.press("y")
        ui.card.tick()
        assert not ui.card.armed
        ui.pass_by(0.2)
        ui.pass_by(0.21)
        # Another question.
        await ui.pilot.press("s")
        await until(ui.pilot, lambda: ui.card.asked and ui.card.asked.conversation_id == first)
        assert not ui.card.armed
        assert await ui.answers(first) == await ui.answers(second) == []


async def test_enter_and_space_answer_nothing(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("publisher")
        card = await ui.open(name)
        await ui.pilot.press("enter")
        assert ui.app.focused is card.query_one(About)
        await ui.pilot.press("enter", "space", "enter", "space")
        assert isinstance(ui.app.screen, ApprovalsScreen)
        assert card.armed
        assert await ui.answers(name) == []


async def test_an_approval_that_lasts_is_for_what_the_card_says(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("publisher")
        card = await ui.open(name)
        said = str(card.query_one("#answers").render())  # type: ignore[attr-defined]
        assert said.startswith("Y always: this very question")
        await ui.pilot.press("Y")
        assert await ui.output(name) == "[true,true]"
        person, rule = await ui.answers(name)
        assert person["always"]
        assert rule["rule"].startswith("always, since event")


async def test_rules_in_force_are_listed(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("commander", "echo one", approve="ask")
        await ui.open(name)
        await ui.pilot.press("Y")
        assert "one" in await ui.output(name)
        (answered,) = await ui.client.read(name, kinds=["approval.answered"])
        writer = await ui.app.desk.writer()
        await writer.start(name, "x", "asker", RunOptions())
        await ui.asked(name)
        card = await ui.armed()
        shown = " ".join(" ".join(read(card.query_one(About))).split())
        assert f"approve permission shell(echo one) since event {answered.seq}" in shown


async def test_it_is_denied_with_a_message(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("commander", "echo one", approve="ask")
        card = await ui.open(name)
        await ui.pilot.press("N", *"not y", "escape")
        assert not card.query_one(Words).has_class("-open")
        assert isinstance(ui.app.screen, ApprovalsScreen)
        await ui.armed()
        await ui.pilot.press("N", *"not yet", "enter")
        assert await ui.output(name) == '"not yet"'
        (answer,) = await ui.answers(name)
        assert (answer["choice"], answer["text"]) == ("deny", "not yet")


async def test_a_command_is_edited_and_then_approved(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("commander", "echo one", approve="ask")
        await ui.open(name)
        await ui.pilot.press("e")
        text = await until(ui.pilot, lambda: next(iter(ui.app.screen.query(TextArea)), None))
        assert text.text == "echo one"
        await ui.pilot.press("escape")
        await ui.armed()
        await ui.pilot.press("e")
        await until(ui.pilot, lambda: ui.app.screen.query(TextArea))
        await ui.pilot.press("space", *"two", "ctrl+s")
        assert "one two" in await ui.output(name)
        (answer,) = await ui.answers(name)
        assert answer["edited"] == {"command": "echo one two"}
        await until(ui.pilot, lambda: any("as edited" in said for said in ui.said()))


async def test_arguments_are_edited_as_json(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("writer", "some " * 10_000, approve="ask")
        await ui.open(name)
        await until(ui.pilot, lambda: ui.card.complete)
        await ui.armed()
        await ui.pilot.press("e")
        text = await until(ui.pilot, lambda: next(iter(ui.app.screen.query(TextArea)), None))
        assert json.loads(text.text) == {"path": "page.txt", "content": "some " * 10_000}
        problem = ui.app.screen.query_one("#problem", Static)
        for wrong, why in (
            ("{", "that isn't JSON"),
            ("[]", "a JSON object"),
            ("[" * 100_000, "nested too deeply"),
            ('{"path": NaN}', "not JSON compliant"),
        ):
            text.text = wrong
            await ui.pilot.press("ctrl+s")
            await until(ui.pilot, lambda why=why: why in str(problem.render()))
        text.text = '{"path": "other.txt", "content": "less"}'
        await ui.pilot.press("ctrl+s")
        assert "other.txt" in await ui.output(name)


@pytest.mark.parametrize(
    "given",
    [
        {"path": "page.txt", "content": "one\u2028two\x85three\u202efour\r\nfive\U000e0001"},
        {"command": "echo one\x0ctwo\recho \u2028 three\necho four\r\n"},
        {"command": "echo one\n\techo two\n"},
    ],
)
async def test_what_an_editor_cant_hold_is_not_changed_by_it(given: dict[str, str]) -> None:
    tool = "shell" if "command" in given else "write_file"
    question = st.Question(subject=f"{tool}@1", detail=pb.Data(text=json.dumps(given)))
    app: App[None] = App()
    async with app.run_test() as pilot:
        edited: list[Any] = []
        await app.push_screen(EditCallScreen(question), edited.append)
        text = app.screen.query_one(TextArea).text
        assert all(char.isprintable() or char in "\t\n" for char in text)
        await pilot.press("ctrl+s")
        assert edited == [given]


async def test_what_is_no_call_of_a_tool_is_not_edited(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("publisher")
        await ui.open(name)
        await ui.pilot.press("e")
        assert isinstance(ui.app.screen, ApprovalsScreen)


async def test_a_question_is_answered_in_words(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("asker")
        card = await ui.open(name)
        # None of these is an answer to it.
        await ui.pilot.press("y", "Y", "n", "N", "1")
        assert isinstance(ui.app.screen, ApprovalsScreen)
        await ui.pilot.press("i", "enter", *"a friend", "enter")
        assert not card.query_one(Words).has_class("-open")
        assert await ui.output(name) == '"Hello, a friend"'


async def test_a_choice_is_taken_by_its_digit(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("chooser")
        card = await ui.open(name)
        assert [" 2  white" in line for line in read(card.query_one(About))].count(True) == 1
        await ui.pilot.press("9", "2")
        assert await ui.output(name) == '"You took white"'


@pytest.mark.parametrize(("digit", "choice"), [("1", "retry"), ("2", "skip"), ("3", "fail")])
async def test_what_becomes_of_an_interrupted_step_is_decided(
    config: Config, digit: str, choice: str
) -> None:
    async with desk(config) as ui:
        name = await ui.start("unsure")
        card = await ui.open(name)
        assert f" {digit}  {choice}: " in "\n".join(read(card.query_one(About)))
        await ui.pilot.press("y", digit)
        while not await ui.answers(name):
            await ui.pilot.pause(0.02)
        (answer, *_) = await ui.answers(name)
        assert answer["choice"] == choice


async def test_a_command_is_there_to_its_last_character(config: Config) -> None:
    long = "echo " + "".join(chr(0x4E00 + n % 5000) if n % 7 else "x" for n in range(10_000))
    many = "\n".join(f"echo {n} \x1b[2J\u202e\u200b\x07" for n in range(500))
    async with desk(config, 80, 24) as ui:
        for command in (long, many):
            name = await ui.start("commander", command, approve="ask")
            card = await ui.open(name)
            lines = read(card.query_one(About))
            begin = next(n for n, line in enumerate(lines) if line.startswith("$ "))
            end = next(n for n, line in enumerate(lines) if line.startswith("asked because"))
            shown = "".join(lines[begin : end - 1])
            if command is long:
                # Lines are broken where words end, if there are any.
                assert shown.replace(" ", "") == f"$ {long}".replace(" ", "")
            else:
                assert lines[begin].startswith("$ echo 0 <U+001B>[2J<U+202E><U+200B><U+0007>")
                assert all(f"> echo {n} <U+001B>[2J" in shown for n in range(1, 500))
            assert not any("\x1b" in line or "\u202e" in line for line in lines)
            ui.app.pop_screen()


@pytest.mark.parametrize("width", [50, 100, 130, 200])
async def test_a_diff_is_shown_whole(config: Config, width: int) -> None:
    content = "\n".join(f"line-{n}-{'z' * 200}" for n in range(390))
    async with desk(config, width) as ui:
        name = await ui.start("writer", content, approve="ask")
        card = await ui.open(name)
        # It is kept apart from the question.
        assert card.asked is not None
        assert card.asked.question.diff.HasField("blob")
        await until(ui.pilot, lambda: card.complete and card.query_one(About).size.width)
        lines = read(card.query_one(About))
        shown = "".join(map(str.lstrip, lines))
        assert all(f"+line-{n}-{'z' * 200}" in shown for n in range(390))
        await ui.armed()
        await ui.pilot.press("n")
        await ui.output(name)


async def test_what_is_dangerous_is_confirmed_by_typing(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("commander", "echo destructive")
        card = await ui.open(name)
        await ui.pilot.press("y")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, ConfirmScreen))
        await ui.pilot.press("y", "enter", "space", "enter")
        assert isinstance(ui.app.screen, ConfirmScreen)
        await ui.pilot.press("escape")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, ApprovalsScreen))
        assert await ui.answers(name) == []
        await ui.armed()
        await ui.pilot.press("y")
        await until(ui.pilot, lambda: isinstance(ui.app.screen, ConfirmScreen))
        ui.app.screen.query_one(Input).value = name[:8]
        await ui.pilot.press("enter")
        assert "destructive" in await ui.output(name)
        assert card is not None


async def test_arrivals_take_no_focus_and_open_nothing(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    monkeypatch.setattr(Attention, "_write", lambda self, sequence: written.append(sequence))
    monkeypatch.setattr(AxtuiApp, "bell", lambda self: written.append("bell"))
    async with desk(config) as ui:
        screen, focused = ui.app.screen, ui.app.focused
        first = await ui.start("asker", "x")
        assert (ui.app.screen, ui.app.focused) == (screen, focused)
        assert screen.query_one(TopBar).waiting == 1
        assert written == []
        # On the card, another question that comes changes nothing either.
        card = await ui.open()
        await ui.start("publisher")
        await until(ui.pilot, lambda: ui.app.screen.query_one(QuestionList).count == 2)
        assert card.asked is not None
        assert card.asked.conversation_id == first
        assert card.armed
        # Who looks elsewhere is called, once.
        ui.app.post_message(events.AppBlur())
        await ui.pilot.pause()
        await ui.start("chooser")
        await until(ui.pilot, lambda: written)
        assert written.count("bell") == 1
        text = "".join(written)
        assert "axtui: Which one?" in text or "axtui;Which one?" in text
        assert "\x1b]2;axtui: 3 waiting" in text
        await ui.pilot.pause(0.6)
        assert "".join(written) == text
        ui.app.post_message(events.AppFocus())
        await until(ui.pilot, lambda: len(written) > text.count("bell") and "23;2t" in written[-1])


async def test_a_runs_screen_leads_to_its_own_questions(config: Config) -> None:
    async with desk(config) as ui:
        one, other = await ui.start("asker"), await ui.start("chooser")
        await ui.app.push_screen(RunScreen(other))
        await ui.pilot.press("a")
        table = ui.app.screen.query_one(QuestionList)
        assert [asked.conversation_id for asked in table.questions] == [other]
        await ui.pilot.press("a")
        await until(ui.pilot, lambda: table.count == 2)
        assert [asked.conversation_id for asked in table.questions] == [one, other]
        assert ui.card.asked is not None
        assert ui.card.asked.conversation_id == other
        await ui.end()
        await until(ui.pilot, lambda: not table.count)
        assert "nothing is asked" in table.render_line(0).text


async def test_a_second_terminal_sees_that_the_first_has_answered(config: Config) -> None:
    async with desk(config) as one, desk(config) as other:
        name = await one.start("publisher")
        await one.open(name)
        await other.asked(name)
        card = await other.open(name)
        assert card.asked is not None
        asked = card.asked.question.id
        await one.armed()
        await one.pilot.press("n")
        await until(other.pilot, lambda: card.asked and card.asked.question.id != asked)
        await until(other.pilot, lambda: any("was answered by" in said for said in other.said()))
        (told,) = (said for said in other.said() if "was answered by" in said)
        assert told.startswith(f"{asked} was answered by")
        assert told.endswith(": deny")
        # It was another question by then, which nobody has read yet.
        assert len(await other.answers(name)) == 1
        await other.armed()
        await other.pilot.press("n")
        assert await other.output(name) == "[false,false]"


@pytest.mark.parametrize("key", ["enter", "escape"])
async def test_who_is_typing_answers_no_other_question(config: Config, key: str) -> None:
    async with desk(config) as ui:
        name = await ui.start("publisher")
        card = await ui.open(name)
        assert card.asked is not None
        asked = card.asked.question.id
        await ui.pilot.press("N", *"not ")
        await ui.client.answer(name, asked, "deny", "", False)
        await until(ui.pilot, lambda: card.asked and card.asked.question.id != asked)
        await ui.armed()
        await ui.pilot.press(*"yet")
        words = card.query_one(Words)
        assert words.has_focus
        assert words.value == "not yet"
        assert "isn't on the card any more" in str(card.query_one("#answers", Static).render())
        await ui.pilot.press(key)
        await until(ui.pilot, lambda: not words.has_class("-open"))
        assert not card.armed
        assert len(await ui.answers(name)) == 1
        await ui.armed()
        await ui.pilot.press("n")
        assert await ui.output(name) == "[false,false]"


async def test_an_answer_that_comes_too_late_is_refused(config: Config) -> None:
    async with desk(config) as ui:
        name = await ui.start("publisher")
        card = await ui.open(name)
        assert card.asked is not None
        asked = card.asked.question.id
        # It doesn't hear that somebody else answers meanwhile.
        ui.app.workers.cancel_group(ui.app, "questions")
        await ui.client.answer(name, asked, "deny", "", False)
        await ui.pilot.press("y")
        await until(ui.pilot, lambda: any(f"'{asked}'" in said for said in ui.said()))
        await until(ui.pilot, lambda: card.asked and card.asked.question.id != asked)
        assert not card.armed
        assert [answer["choice"] for answer in await ui.answers(name)] == ["deny"]
