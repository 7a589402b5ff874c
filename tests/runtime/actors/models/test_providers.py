"""Which provider is called, where, and with which key."""

from __future__ import annotations

import subprocess
import sys

import pytest

from axtui.runtime.actors.models.faults import FaultCode, ModelFault
from axtui.runtime.actors.models.providers import default_model, endpoint, secrets
from axtui.runtime.config import ModelProvider, Models

NOTHING = Models()
KEY = "sk-0123456789"


def fault(code: FaultCode, model: str, settings: Models = NOTHING, **environ: str) -> str:
    with pytest.raises(ModelFault) as caught:
        endpoint(model, environ, settings)
    assert caught.value.code == code
    assert not caught.value.retryable
    return caught.value.message


@pytest.mark.parametrize(
    ("environ", "provider"),
    [
        ({"GEMINI_API_KEY": KEY}, "gemini"),
        ({"GOOGLE_API_KEY": KEY}, "gemini"),
        ({"ANTHROPIC_API_KEY": KEY, "OPENAI_API_KEY": KEY}, "anthropic"),
        ({"ANTHROPIC_API_KEY": " ", "OPENAI_API_KEY": KEY}, "openai"),
    ],
)
def test_the_first_key_that_is_there_chooses(environ: dict[str, str], provider: str) -> None:
    model = default_model(environ, NOTHING)
    assert model.startswith(f"{provider}:")
    assert endpoint(model, environ, NOTHING).key == KEY


def test_what_is_configured_comes_first() -> None:
    settings = Models("ollama:qwen3")
    assert default_model({"GEMINI_API_KEY": KEY}, settings) == "ollama:qwen3"
    with pytest.raises(ModelFault) as caught:
        default_model({"GEMINI_API_KEY": KEY}, Models("openai:gpt-6-luna"))
    assert caught.value.code == "no_key"
    moved = Models(providers={"openai": ModelProvider(key_env="WORK_KEY")})
    assert default_model({"WORK_KEY": KEY}, moved).startswith("openai:")


def test_without_any_key_it_is_said_what_would_do() -> None:
    with pytest.raises(ModelFault) as caught:
        default_model({"GOOGLE_CLOUD_PROJECT": "some"}, NOTHING)
    assert (caught.value.code, caught.value.retryable) == ("no_key", False)
    for word in ("GEMINI_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY"):
        assert word in caught.value.message
    for agent in ("shell", "echo", "lowercase", "demo"):
        assert agent in caught.value.message


def test_that_is_said_at_once() -> None:
    code = (
        "import sys\n"
        "from axtui.runtime.actors.models.providers import default_model\n"
        "from axtui.runtime.config import Models\n"
        "default_model({'OPENAI_API_KEY': 'x'}, Models())\n"
        "heavy = {'asyncio', 'httpx2', 'pydantic', 'pydantic_ai', 'openai', 'yaml'}\n"
        "print(heavy & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("model", ["", "gpt", "gpt:", ":x", "no:x"])
def test_what_is_no_model(model: str) -> None:
    settings = Models(providers={"mine": ModelProvider("openai", "http://x")})
    message = fault("invalid", model, settings)
    assert "gemini, anthropic, openai, vertex, ollama, local, mine" in message


def test_a_key_is_missing() -> None:
    assert "set ANTHROPIC_API_KEY" in fault("no_key", "anthropic:x", OPENAI_API_KEY=KEY)
    assert "set GEMINI_API_KEY or GOOGLE_API_KEY" in fault("no_key", "gemini:x")
    assert "GOOGLE_CLOUD_PROJECT" in fault("no_key", "vertex:x")
    settings = Models(providers={"mine": ModelProvider("openai", "http://x", "MY_KEY")})
    assert "set MY_KEY" in fault("no_key", "mine:x", settings, OPENAI_API_KEY=KEY)


@pytest.mark.parametrize("key", ["two\nlines-of-key", "schlüssel", "a-key and-another"])
def test_what_can_be_no_key_is_told_without_showing_it(key: str) -> None:
    message = fault("auth", "openai:x", OPENAI_API_KEY=key)
    assert "OPENAI_API_KEY" in message
    assert key.split()[-1] not in message


def test_where_providers_are_reached() -> None:
    environ = {
        "ANTHROPIC_API_KEY": f" {KEY}\n",
        "ANTHROPIC_BASE_URL": "http://proxy",
        "GOOGLE_CLOUD_PROJECT": "project",
    }
    anthropic = endpoint("anthropic:x", environ, NOTHING)
    assert (anthropic.base_url, anthropic.key) == ("http://proxy", KEY)
    moved = Models(providers={"anthropic": ModelProvider(base_url="http://here")})
    assert endpoint("anthropic:x", environ, moved).base_url == "http://here"
    assert endpoint("ollama:x", environ, NOTHING).base_url == "http://127.0.0.1:11434/v1"
    vertex = endpoint("vertex:x", environ, NOTHING)
    assert (vertex.project, vertex.location, vertex.key) == ("project", "global", "")
    # OpenAI's own API is the newer one; other servers offer the older one.
    assert endpoint("openai:x", {"OPENAI_API_KEY": KEY}, NOTHING).kind == "responses"
    older = Models(providers={"openai": ModelProvider("openai", "http://here")})
    assert endpoint("openai:x", {"OPENAI_API_KEY": KEY}, older).kind == "openai"


def test_a_server_of_ones_own_is_never_sent_the_usual_keys() -> None:
    settings = Models(providers={"mine": ModelProvider("anthropic", "http://x")})
    assert endpoint("mine:x", {"ANTHROPIC_API_KEY": KEY}, settings).key == ""


def test_no_key_is_shown() -> None:
    settings = Models(providers={"openai": ModelProvider(key_env="WORK_KEY")})
    environ = {"WORK_KEY": KEY, "OPENAI_API_KEY": f"{KEY}-too", "GEMINI_API_KEY": "x", "HOME": "/h"}
    assert KEY not in repr(endpoint("openai:x", environ, settings))
    assert secrets(environ, settings) == [f"{KEY}-too", KEY]
