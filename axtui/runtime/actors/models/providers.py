"""Which providers there are, where they are reached, and with which key.

Nothing but the standard library: a missing key is told before anything heavy is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from axtui.runtime.actors.models.faults import ModelFault
from axtui.runtime.actors.models.weights import weights
from axtui.runtime.config import ModelProvider, Models

# What is spoken on the wire. `responses` is OpenAI's newer API, `openai` the chat completions that
# everybody else has taken over from it, `ollama` a dialect of those. `local` is a model that we run
# ourselves, and then speak chat completions with.
Kind = Literal["gemini", "vertex", "anthropic", "responses", "openai", "ollama", "local"]

# The name that stands for the model of the configuration.
DEFAULT_MODEL = "default"
# Of a key that is shorter, nothing in a message could be told apart from ordinary text.
MIN_SECRET = 8

_WITHOUT = "The agents shell, echo, lowercase and demo work without"


@dataclass(frozen=True)
class BuiltIn:
    """A provider that needs no configuration.

    `keys` are the variables its key may be in, the first one that is set counting; `moved_by` is
    the one that moves it elsewhere. Only with a `default` model is it chosen by itself.
    """

    kind: Kind | None = None
    keys: tuple[str, ...] = ()
    moved_by: str = ""
    base_url: str = ""
    default: str = ""
    keyless: bool = False


BUILT_IN: dict[str, BuiltIn] = {
    "gemini": BuiltIn(
        "gemini",
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "GOOGLE_GEMINI_BASE_URL",
        default="gemini-3.8-flash",
    ),
    "anthropic": BuiltIn(
        "anthropic",
        ("ANTHROPIC_API_KEY",),
        "ANTHROPIC_BASE_URL",
        "https://api.anthropic.com",
        default="claude-sonnet-5-5",
    ),
    "openai": BuiltIn(
        "responses",
        ("OPENAI_API_KEY",),
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        default="gpt-6.1-terra",
    ),
    "vertex": BuiltIn("vertex", (), "GOOGLE_VERTEX_BASE_URL"),
    "ollama": BuiltIn(
        "ollama",
        ("OLLAMA_API_KEY",),
        "OLLAMA_BASE_URL",
        "http://127.0.0.1:11434/v1",
        keyless=True,
    ),
    "local": BuiltIn("local"),
}


@dataclass(frozen=True)
class Endpoint:
    """Where one provider is reached. `provider` is its name in configuration and requests.

    `base_url` is empty where the provider's own library knows it best, `key` where none is needed.
    `project` and `location` are those of Google Cloud.
    """

    provider: str
    kind: Kind
    base_url: str
    key: str = field(repr=False)
    key_names: tuple[str, ...] = ()
    project: str = ""
    location: str = ""


def default_model(environ: Mapping[str, str], settings: Models) -> str:
    """The model to use where nobody named one, as "provider:name".

    That is the configured one, else one of the first provider whose key is in `environ`. Raises
    ModelFault("no_key") if there is none, and for a configured one whose key is missing.
    """
    if settings.default:
        endpoint(settings.default, environ, settings)
        return settings.default
    for name, built_in in BUILT_IN.items():
        if built_in.default and _key(_key_names(name, settings), environ):
            return f"{name}:{built_in.default}"
    names = ", ".join(
        key for built_in in BUILT_IN.values() if built_in.default for key in built_in.keys
    )
    raise ModelFault(
        "no_key",
        f"no model can be called: set one of {names}, or name a model in `models.default` that "
        f"needs none, such as ollama:NAME or local:FILE. {_WITHOUT}",
    )


def named_model(name: str, environ: Mapping[str, str], settings: Models) -> str:
    """The model that a name in a run stands for, as "provider:name". Raises ModelFault if it can't
    be called."""
    if name == DEFAULT_MODEL:
        return default_model(environ, settings)
    endpoint(name, environ, settings)
    return name


def endpoint(model: str, environ: Mapping[str, str], settings: Models) -> Endpoint:
    """Where the provider of `model`, written "provider:name", is reached.

    Raises ModelFault: "invalid" if there is no such provider, "no_key" if it has no key, "auth" if
    what it has can be none, "not_found" for a model of this machine that isn't there.
    """
    name, _, model_name = model.partition(":")
    built_in = BUILT_IN.get(name, BuiltIn())
    configured = settings.providers.get(name, ModelProvider())
    kind = _kind(name, settings)
    if not kind or not model_name:
        known = ", ".join({**BUILT_IN, **settings.providers})
        raise ModelFault(
            "invalid",
            f"{model!r} is not a model: write PROVIDER:NAME, where PROVIDER is one of {known}",
        )
    if kind == "local":
        weights(model_name)
    base_url = configured.base_url or environ.get(built_in.moved_by) or built_in.base_url
    if name not in BUILT_IN and not base_url:
        raise ModelFault("invalid", f"models.providers.{name} has no base_url")
    key_names = _key_names(name, settings)
    key = _key(key_names, environ)
    project = environ.get("GOOGLE_CLOUD_PROJECT", "")
    if kind == "vertex" and not key and not project:
        raise ModelFault(
            "no_key",
            "vertex needs GOOGLE_CLOUD_PROJECT, and credentials: GOOGLE_APPLICATION_CREDENTIALS "
            "or `gcloud auth application-default login`",
        )
    if key_names and not key and not built_in.keyless:
        raise ModelFault("no_key", f"{name} has no key: set {' or '.join(key_names)}. {_WITHOUT}")
    if not key.isascii() or not key.isprintable() or " " in key:
        # No header can hold it, and the libraries' own complaints would show it.
        names = " or ".join(key_names)
        raise ModelFault(
            "auth", f"{name}: what {names} holds can't be a key; check for stray characters"
        )
    location = environ.get("GOOGLE_CLOUD_LOCATION") or "global"
    return Endpoint(name, kind, base_url, key, key_names, project, location)


def is_local(model: str, settings: Models) -> bool:
    """Whether we run the model ourselves; a server of one's own may be called `local` too."""
    return _kind(model.partition(":")[0], settings) == "local"


def secrets(environ: Mapping[str, str], settings: Models) -> list[str]:
    """All keys in `environ` that a message could give away, the longest first."""
    names = {
        name
        for provider in (*BUILT_IN, *settings.providers)
        for name in _key_names(provider, settings)
    }
    # Of a provider whose `key_env` names another variable, the usual ones may be set all the same.
    names.update(key for built_in in BUILT_IN.values() for key in built_in.keys)
    found = {environ.get(name, "").strip() for name in names}
    return sorted((key for key in found if len(key) >= MIN_SECRET), key=len, reverse=True)


def _kind(provider: str, settings: Models) -> Kind | None:
    configured = settings.providers.get(provider, ModelProvider())
    return configured.kind or BUILT_IN.get(provider, BuiltIn()).kind


def _key_names(provider: str, settings: Models) -> tuple[str, ...]:
    configured = settings.providers.get(provider)
    if configured and configured.key_env:
        return (configured.key_env,)
    return BUILT_IN[provider].keys if provider in BUILT_IN else ()


def _key(names: tuple[str, ...], environ: Mapping[str, str]) -> str:
    found = (environ.get(name, "").strip() for name in names)
    return next(filter(None, found), "")
