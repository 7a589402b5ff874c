"""What a run asks of people: durable questions, and the rules that answer some of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256

from axtui.agent import Request
from axtui.runtime import policy
from axtui.runtime.config import Policy
from axtui.runtime.recorder import Recorder
from axtui.runtime.replay import ABANDONED, Entry
from axtui.v1 import event_pb2 as pb


class Questions:
    """The questions of one run, as long as it is driven."""

    def __init__(
        self, recorder: Recorder, settings: Policy, fail: Callable[[str, str], None]
    ) -> None:
        self._recorder = recorder
        self._settings = settings
        self._fail = fail
        self._answers: dict[str, asyncio.Future[pb.ApprovalAnswered]] = {}

    def on_event(self, event: pb.Event) -> None:
        """Hear of an answer, whoever it is from."""
        if event.kind == "approval.answered":
            answer = self._future(event.approval_answered.id)
            if not answer.done():
                answer.set_result(event.approval_answered)

    def ask(
        self,
        request: Request,
        type: str,
        text: str,
        choices: Sequence[str],
        *,
        subject: str,
        key: str,
    ) -> pb.ApprovalRequested:
        """Record a question."""
        detail = request.arguments
        asked = pb.ApprovalRequested(
            id=f"q{self._recorder.conversation.head.seq + 1}",
            key=key,
            type=type,
            question=text,
            subject=subject,
            detail=self._recorder.data(detail),
            digest=sha256(f"{type}\0{subject}\0{text}\0{detail}".encode()).digest(),
            choices=choices,
        )
        self._recorder.append(request, asked)
        return asked

    async def answer(self, request: Request, asked: pb.ApprovalRequested) -> pb.ApprovalAnswered:
        """The answer that a rule gives, else a person's."""
        state = self._recorder.conversation.state
        if asked.id in state.questions and (
            verdict := policy.answer(state, asked.type, asked.subject)
        ):
            answer = pb.ApprovalAnswered(id=asked.id, choice=verdict.choice, rule=verdict.rule)
            self._recorder.append(request, answer)
            return answer
        return await asyncio.shield(self._future(asked.id))

    async def decide(self, request: Request, entry: Entry, error: pb.Error) -> str:
        """What is to become of a step of which nobody knows how it ended: retry, skip or fail."""
        if entry.decision is not None:
            return entry.decision.choice
        asked = entry.question
        if asked is None or asked.type != "interrupted":
            text = (
                f"Step {request.key} ({request.name}) was interrupted and may or may not have taken"
                f" effect ({error.message}). Run it again, skip it, or fail?"
            )
            choices = ("retry", "skip", "fail")
            asked = self.ask(
                request, "interrupted", text, choices, subject=request.name, key=request.key
            )
        return (await self.answer(request, asked)).choice

    async def refusal(self, request: Request, entry: Entry) -> pb.Error | None:
        """Why a step may not begin; None if it may."""
        state = self._recorder.conversation.state
        if policy.is_forbidden(self._settings, state, request.name):
            return pb.Error(code="denied", message="the policy forbids it")
        answer = entry.permitted
        if answer is None:
            asked = entry.question
            if asked is None or asked.type != "permission":
                if not policy.needs_permission(self._settings, state, request.name, request.effect):
                    return None
                text = f"May {request.scope.actor} run {request.type} {request.name!r}?"
                choices = ("approve", "deny")
                asked = self.ask(
                    request, "permission", text, choices, subject=request.name, key=request.key
                )
            answer = await self.answer(request, asked)
        if answer.choice == "approve":
            return None
        return pb.Error(code="denied", message=answer.text or "denied")

    async def within_budget(self, request: Request) -> None:
        """Ask for more once the run has used up what it was given."""
        run = self._recorder.conversation.state.run
        while run.limits.steps and run.steps >= run.limits.steps:
            await self._ask_for_more(request, "steps", f"{run.steps} steps")
        while run.limits.active_us and run.active_us >= run.limits.active_us:
            await self._ask_for_more(request, "seconds", f"{run.active_us / 1e6:.0f} s")

    async def _ask_for_more(self, request: Request, limit: str, used: str) -> None:
        questions = self._recorder.conversation.state.questions.values()
        open_id = next((q.id for q in questions if q.type == "budget"), None)
        if open_id is None:
            text = f"The run has used its budget ({used}). Give it as much again?"
            choices = ("more", "stop")
            open_id = self.ask(request, "budget", text, choices, subject=limit, key="").id
        answer = await asyncio.shield(self._future(open_id))
        if answer.choice != "more":
            self._fail("budget", f"the run's budget is used up ({used})")
            raise asyncio.CancelledError

    def abandon(self, request: Request) -> None:
        """Close what the agent itself stopped waiting for."""
        questions = self._recorder.conversation.state.questions.values()
        for question_id in [q.id for q in questions if q.key == request.key]:
            answer = pb.ApprovalAnswered(id=question_id, rule=ABANDONED)
            self._recorder.append(request, answer)

    def _future(self, question_id: str) -> asyncio.Future[pb.ApprovalAnswered]:
        if question_id not in self._answers:
            self._answers[question_id] = asyncio.get_running_loop().create_future()
        return self._answers[question_id]
