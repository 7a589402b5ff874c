"""What runs ask of people, and the card that it is answered on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.app import ComposeResult
from textual.widgets import Input

from axtui.screens.base import PlainScreen
from axtui.ui.card import (
    NO,
    YES,
    can_last,
    choice_of,
    numbered,
    risk,
    takes_words,
)
from axtui.widgets.bars import TopBar
from axtui.widgets.bindings import bindings
from axtui.widgets.panes import Below
from axtui.widgets.question_card import About, QuestionCard, Words
from axtui.widgets.question_list import QuestionList
from axtui.widgets.row_list import RowList

if TYPE_CHECKING:
    from axtui.ui.questions import Asked


class ApprovalsScreen(PlainScreen):
    """All open questions, or those of the run of one conversation. Arrivals move nothing: cursor
    and card stay on the question that they are on for as long as it is open."""

    BINDINGS = bindings("approvals")

    def __init__(self, only: str = "") -> None:
        super().__init__()
        self._only = only
        self._answered: set[tuple[str, str]] = set()
        self._denying = False

    @property
    def address(self) -> str:
        """How the command line calls it."""
        return "approvals"

    def panes(self) -> ComposeResult:
        """The questions, and the one under the cursor."""
        with Below(id="body"):
            yield QuestionList(id="questions")
            yield QuestionCard(id="card", blob=self._blob)

    def on_mount(self) -> None:
        """The list has the focus."""
        self._entitle()
        self.query_one(QuestionList).focus()

    def opened(self) -> None:
        """Show what is known, and what comes."""
        here = self.desk.connection(0) if self.desk.server else "local"
        self.query_one(TopBar).connection = here
        self.watch(self.ui, "questions", self._arrange)
        self.set_interval(1.0, self.query_one(QuestionList).renew)

    def show_all(self) -> None:
        """Show the questions of all runs."""
        self._only = ""
        self._entitle()
        self._arrange()

    @property
    def _card(self) -> QuestionCard:
        return self.query_one(QuestionCard)

    async def _blob(self, digest: bytes) -> bytes | None:
        return await self.ui.attempt(self.desk.client.blob(digest))

    def _entitle(self) -> None:
        of_run = f"runs › {self._only[:8]} › " if self._only else ""
        self.crumbs = f"› {of_run}approvals"
        self.query_one(TopBar).crumbs = self.crumbs

    def _arrange(self) -> None:
        shown = tuple(
            asked for asked in self.ui.questions if self._only in ("", asked.conversation_id)
        )
        table, before = self.query_one(QuestionList), self._card.asked
        table.empty_text = "nothing is asked" + (" by this run" if self._only else "")
        table.take(shown)
        table.border_title = f"approvals [{len(shown)}]"
        self._show()
        if before is not None and before.key not in {asked.key for asked in self.ui.questions}:
            self._tell_who(before)

    @on(RowList.Moved)
    def _show(self) -> None:
        self._card.show(self.query_one(QuestionList).asked)
        self.refresh_bindings()

    @on(RowList.Opened)
    def _opened(self) -> None:
        self._card.query_one(About).focus()

    @work
    async def _tell_who(self, asked: Asked) -> None:
        """Say what became of the question that was on the card, if it wasn't answered here."""
        if asked.key in self._answered:
            return
        client, name, question = self.desk.client, asked.conversation_id, asked.question
        answers = await self.ui.attempt(
            client.read(name, after=question.seq, kinds=["approval.answered"])
        )
        for record in answers or ():
            event = record.event()
            answer = event.approval_answered
            if answer.id == question.id:
                who, what = answer.rule or event.principal, answer.choice or answer.text
                self.app.notify(f"{question.id} was answered by {who}: {what}", markup=False)
                return
        self.app.notify(f"{question.id} of {name[:8]} isn't asked any more", markup=False)

    # What keys do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What the question has no such answer for is greyed."""
        asked = self._card.asked if self.has_widgets else None
        if action not in ("approve", "always", "edit", "deny", "deny_with", "words"):
            return super().check_action(action, parameters)
        if asked is None or self.desk.why_not(action):
            return None
        question = asked.question
        fits = {
            "approve": bool(choice_of(question, YES)),
            "always": can_last(question),
            "edit": question.editable,
            "deny": bool(choice_of(question, NO)),
            "deny_with": "deny" in question.choices,
            "words": takes_words(question),
        }
        return fits[action] or None

    def action_approve(self) -> None:
        self._approve(always=False)

    def action_always(self) -> None:
        self._approve(always=True)

    @work
    async def action_edit(self) -> None:
        from axtui.screens.edit_call import EditCallScreen

        asked = self._ready()
        if not asked or not self._card.complete:
            return
        edited = await self.ui.push_screen_wait(EditCallScreen(self._card.whole))
        if edited is not None:
            self._answer(asked, choice_of(asked.question, YES), yes=True, edit=edited)

    def action_deny(self) -> None:
        if asked := self._ready():
            self._answer(asked, choice_of(asked.question, NO))

    def action_deny_with(self) -> None:
        if self._ready():
            self._denying = True
            self._card.ask_words("why not; Enter denies, Esc leaves it open")

    def action_words(self) -> None:
        if self._ready():
            self._denying = False
            self._card.ask_words("the answer; Enter gives it, Esc leaves it open")

    def action_choose(self, number: int) -> None:
        asked = self._ready()
        choices = numbered(asked.question) if asked else ()
        if asked and number <= len(choices):
            self._answer(asked, choices[number - 1])

    def action_skip(self) -> None:
        table = self.query_one(QuestionList)
        if self._ready():
            table.go_to((table.cursor + 1) % table.count, center=False)

    @on(Words.Left)
    def _left(self) -> None:
        self._card.close_words()
        self._card.disarm()

    @on(Input.Submitted)
    def _typed(self, event: Input.Submitted) -> None:
        asked, late = self._card.asked, self._card.words_are_late
        if not late and (asked is None or (not event.value.strip() and not self._denying)):
            return
        self._card.close_words()
        if late or asked is None:
            self._card.disarm()
            self.notify("nothing is answered: the question was another", severity="warning")
            return
        if self._denying:
            self._answer(asked, "deny", event.value)
        else:
            self._answer(asked, event.value if asked.question.choices else "", event.value)

    def _ready(self) -> Asked | None:
        """The question on the card, if a key may answer it by now."""
        return self._card.asked if self._card.armed else None

    def _approve(self, *, always: bool) -> None:
        asked = self._ready()
        if asked and self._card.complete:
            self._answer(asked, choice_of(asked.question, YES), always=always, yes=True)

    @work
    async def _answer(
        self,
        asked: Asked,
        choice: str,
        text: str = "",
        *,
        always: bool = False,
        yes: bool = False,
        edit: dict[str, object] | None = None,
    ) -> None:
        name, question, card = asked.conversation_id, asked.question, self._card
        card.hold()
        if yes and (why := risk(question)) and not await self._confirmed(name, why):
            card.release()
            return

        async def answer() -> bool:
            writer = await self.desk.writer()
            await writer.answer(name, question.id, choice, text, always, edit)
            return True

        if await self.ui.attempt(answer(), change=True):
            self._answered.add(asked.key)
            what = f"always {choice}" if always else choice or text
            what += " as edited" if edit is not None else ""
            self.app.notify(f"{question.id}: {what[:80]}", markup=False)
        else:
            card.release()
        self.ui.read_questions()

    async def _confirmed(self, name: str, why: str) -> bool:
        from axtui.screens.confirm import ConfirmScreen

        asked = ConfirmScreen("Approve it?", f"There is a risk: {why}.", typed=name[:8])
        return await self.ui.push_screen_wait(asked)
