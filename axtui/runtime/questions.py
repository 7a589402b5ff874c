"""What a run asks of people: durable questions, and the rules that answer some of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha256

from axtui.agent import Request
from axtui.model.commands import command_of
from axtui.runtime import policy
from axtui.runtime.errors import Refused
from axtui.runtime.history import ABANDONED, Entry
from axtui.runtime.recorder import Recorder
from axtui.runtime.replay import Place, Replay
from axtui.v1 import event_pb2 as pb
from axtui.v1 import state_pb2 as st

# A state holds a bounded number of open questions; who asks more has to wait.
MAX_OPEN = 100

# It is part of the state, once as what is asked and once as what a rule would be about. What a
# person needs to know beside it is the detail.
MAX_QUESTION = 1 << 16
_ABOUT_CHARS = 120


class Questions:
    """The questions of one run, as long as it is driven."""

    def __init__(
        self,
        recorder: Recorder,
        replay: Replay,
        rules: policy.Rules,
        fail: Callable[[str, str], None],
    ) -> None:
        self._recorder = recorder
        self._replay = replay
        self._rules = rules
        self._fail = fail
        self._room = asyncio.Semaphore(MAX_OPEN)
        self._answers: dict[str, pb.Event] = {}
        self._places: dict[str, Place] = {}

    def on_event(self, event: pb.Event) -> None:
        """Hear of an answer, whoever it is from."""
        if event.kind == "approval.answered":
            question_id = event.approval_answered.id
            self._answers[question_id] = event
            self._replay.join(self._place(question_id))

    async def put(
        self,
        request: Request,
        asked: pb.ApprovalRequested | None,
        type: str,
        text: str,
        choices: Sequence[str],
        rule: str = "",
    ) -> pb.Event:
        """The answer to a question about what is requested; `asked` if it was put before. Else
        raises ValueError if it is too long."""
        if asked is None and len(text) + sum(map(len, choices)) > MAX_QUESTION:
            raise ValueError(
                f"a question and its choices are at most {MAX_QUESTION:,} characters long"
            )
        async with self._room:
            return await self._put(request, asked, type, text, choices, rule)

    def said(self, answer: pb.ApprovalAnswered, choices: Sequence[str]) -> str:
        """The answer for who offered the choices, as they were before redaction."""
        redact = self._recorder.redactor.text
        offered = (choice for choice in choices if redact(choice) == answer.choice)
        return next(offered, answer.choice) or answer.text

    async def decide(self, request: Request, entry: Entry, error: pb.Error) -> str:
        """What is to become of a step of which nobody knows how it ended: retry, skip or fail."""
        if entry.decision is not None:
            return entry.decision.choice
        text = (
            f"Step {request.key} ({_about(request)}) was interrupted and may or may not have taken"
            f" effect ({error.message}). Run it again, skip it, or fail?"
        )
        choices = ("retry", "skip", "fail")
        # There is always room for these: as many as there can be steps in flight.
        event = await self._put(request, entry.question, "interrupted", text, choices)
        return event.approval_answered.choice

    async def refusal(self, request: Request, entry: Entry) -> pb.Error | None:
        """Why a step may not begin; None if it may, perhaps as a person has edited it."""
        state = self._recorder.conversation.state
        verdict = policy.judge(self._rules, state, request)
        if verdict.choice == "deny":
            return pb.Error(code="denied", message=f"the policy forbids it ({verdict.rule})")
        answer, subject = entry.permitted, entry.permitted_subject
        asked = entry.question
        if asked and (asked.type != "permission" or (answer and answer.id == asked.id)):
            asked = None
        while answer is None or (answer.choice == "approve" and self._changed(request, subject)):
            if answer is not None and request.edited:
                message = f"{request.name} is described otherwise than when the call was edited"
                return pb.Error(code="changed", message=message)
            if asked is None and verdict.choice == "allow":
                return None
            text = f"May {request.scope.actor} run {_wanted(request)}"
            choices = ("approve", "deny")
            subject = asked.subject if asked else self._subject(request)
            event = await self.put(request, asked, "permission", text, choices, verdict.rule)
            answer, asked = event.approval_answered, None
            if answer.edited.HasField("blob"):
                # Only what is on disk can be read back.
                await self._recorder.committed()
            request.edited = await self._recorder.text(answer.edited)
        if answer.choice != "approve":
            return pb.Error(code="denied", message=answer.text or answer.rule or "denied")
        if request.edited:
            verdict = policy.judge(self._rules, state, request)
            if verdict.choice == "deny":
                message = f"the policy forbids it as it was edited ({verdict.rule})"
                return pb.Error(code="denied", message=message)
        return None

    def _changed(self, request: Request, subject: str) -> bool:
        """Whether a tool is described otherwise than it was when `subject` was asked about."""
        return bool(request.pin) and subject != self._subject(request)

    def _subject(self, request: Request) -> str:
        return _without_secrets(request.subject or request.name, self._recorder.redactor.text)

    async def within_budget(self, request: Request) -> None:
        """Ask for more once the run has used up what it was given."""
        # The state is another object after each keyframe.
        while used := _used_up(self._recorder.conversation.state.run):
            await self._ask_for_more(request, *used)

    async def _ask_for_more(self, request: Request, limit: str, used: str) -> None:
        questions = self._recorder.conversation.state.questions.values()
        found = next((q for q in questions if q.type == "budget" and q.subject == limit), None)
        asked = found and pb.ApprovalRequested(id=found.id, type=found.type, subject=limit)
        if asked is None:
            text = f"The run has used its budget ({used}). Give it as much again?"
            asked = await self._ask(request, "budget", text, ("more", "stop"), limit, "")
        event = await self._answer(request, asked)
        if event.approval_answered.choice != "more":
            self._fail("budget", f"the run's budget is used up ({used})")
            raise asyncio.CancelledError

    def abandon(self, request: Request) -> bool:
        """Close what the agent itself stopped waiting for; whether there was anything."""
        questions = self._recorder.conversation.state.questions.values()
        ids = [question.id for question in questions if question.key == request.key]
        for question_id in ids:
            answer = pb.ApprovalAnswered(id=question_id, rule=ABANDONED)
            self._recorder.append(request.scope, answer)
        return bool(ids)

    async def _put(
        self,
        request: Request,
        asked: pb.ApprovalRequested | None,
        type: str,
        text: str,
        choices: Sequence[str],
        rule: str = "",
    ) -> pb.Event:
        if asked is None or asked.type != type:
            subject = request.subject or request.name
            asked = await self._ask(request, type, text, choices, subject, request.key, rule)
        return await self._answer(request, asked)

    async def _ask(
        self,
        request: Request,
        type: str,
        text: str,
        choices: Sequence[str],
        subject: str,
        key: str,
        rule: str = "",
    ) -> pb.ApprovalRequested:
        # What is shown is what is asked about, so that the digest is of what a person has seen.
        redact = self._recorder.redactor.text
        detail = redact(request.called_with)
        text = redact(text)
        shown = _without_secrets(subject, redact)
        wanted = request.diff if type == "permission" else None
        # Before the question has its number, since others may ask meanwhile.
        diff = await asyncio.to_thread(wanted) if wanted is not None else ""
        asked = pb.ApprovalRequested(
            id=f"q{self._recorder.conversation.head.seq + 1}",
            key=key,
            type=type,
            question=text,
            subject=shown,
            detail=self._recorder.data(detail),
            digest=sha256(f"{type}\0{shown}\0{text}\0{detail}".encode()).digest(),
            choices=map(redact, choices),
            rule=rule,
            diff=self._recorder.data(diff) if diff else None,
            # What is asked for again in a replay is known by its subject, or else by this.
            fingerprint=request.fingerprint if type == "permission" or shown != subject else b"",
            editable=type == "permission" and request.type == "tool" and request.body is None,
        )
        self._recorder.append(request.scope, asked)
        return asked

    async def _answer(self, request: Request, asked: pb.ApprovalRequested) -> pb.Event:
        """The answer that a rule gives, else a person's."""
        state = self._recorder.conversation.state
        if asked.id in state.questions and (
            verdict := policy.answer(state, asked.type, asked.subject)
        ):
            answer = pb.ApprovalAnswered(id=asked.id, choice=verdict.choice, rule=verdict.rule)
            self._recorder.append(request.scope, answer)
        # Others may wait for the same one, and must not be canceled along.
        await asyncio.shield(self._place(asked.id))
        return self._answers[asked.id]

    def _place(self, question_id: str) -> Place:
        if question_id not in self._places:
            self._places[question_id] = asyncio.get_running_loop().create_future()
        return self._places[question_id]


def _without_secrets(subject: str, redact: Callable[[str], str]) -> str:
    """The subject, still another one than that of what differs from it in its secrets only: a rule
    is about one of them.
    """
    shown = redact(subject)
    if shown == subject:
        return subject
    return f"{shown} sha256 {sha256(subject.encode(errors='replace')).hexdigest()}"


def _used_up(run: st.Run) -> tuple[str, str] | None:
    """Which limit a run has reached, and what it has used of that."""
    limits, usage = run.limits, run.usage
    if limits.steps and run.steps >= limits.steps:
        return "steps", f"{run.steps} steps"
    if limits.active_us and run.active_us >= limits.active_us:
        return "seconds", f"{run.active_us / 1e6:.0f} s"
    tokens = usage.input_tokens + usage.output_tokens
    if limits.tokens and tokens >= limits.tokens:
        return "tokens", f"{tokens:,} tokens"
    if limits.cost_nusd and usage.cost_nusd >= limits.cost_nusd:
        return "cost_usd", f"${usage.cost_nusd / 1e9:.2f}"
    return None


def _wanted(request: Request) -> str:
    """What may be run, to the end of the question."""
    command = command_of(request.name, request.called_with)
    if command is None:
        return f"the {request.type} {_about(request)}?"
    if command.short:
        return f"this command? {command.short}"
    return f"this command of {command.size}?"


def _about(request: Request) -> str:
    """What is asked about in a few words; the whole of it is the question's detail."""
    if command := command_of(request.name, request.called_with):
        return f"{request.name}: {command.short or command.size}"
    said = request.called_with
    short = said if len(said) <= _ABOUT_CHARS else said[:_ABOUT_CHARS] + "…"
    return f"{request.name} {short}" if said not in ("[]", "{}", "null") else request.name


def answer_to(
    question: st.Question, choice: str, text: str, always: bool, edited: bool
) -> pb.ApprovalAnswered:
    """What answers a question. Raises Refused for what doesn't."""
    if edited and not question.editable:
        raise Refused("usage", f"question {question.id} is about nothing that can be edited")
    if edited and (always or choice != "approve"):
        raise Refused("usage", "what is edited can only be approved, and for this once")
    if question.choices and choice not in question.choices:
        raise Refused(
            "usage",
            f"{choice!r} doesn't answer question {question.id} ({question.question})",
            f"the answers are {', '.join(question.choices)}",
        )
    if not question.choices:
        choice, text = "", text or choice
        if always:
            raise Refused("usage", "only an answer that is one of some choices can be a rule")
    return pb.ApprovalAnswered(id=question.id, choice=choice, text=text, always=always)


def open_question(state: st.State, question_id: str) -> st.Question:
    """The question of that id; without one, the only one that is open. Raises Refused."""
    if question_id in state.questions:
        return state.questions[question_id]
    ids = sorted(state.questions)
    if not ids:
        raise Refused("state", f"conversation {state.conversation_id} asks nothing")
    if question_id:
        raise Refused("unknown", f"no question {question_id!r} is open", f"open: {', '.join(ids)}")
    if len(ids) > 1:
        raise Refused("usage", f"{len(ids)} questions are open", f"name one of {', '.join(ids)}")
    return state.questions[ids[0]]
