"""Whether all is there that runs need, and what to do about what isn't.

Nothing is written that isn't gone again at once.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from axtui.agent import ActorError, ToolError
from axtui.runtime.actors.environment import Environment
from axtui.runtime.actors.models.faults import ModelFault
from axtui.runtime.actors.models.providers import DEFAULT_MODEL, endpoint, named_model
from axtui.runtime.actors.tools.actor import ToolServers
from axtui.runtime.config import Config
from axtui.runtime.eventlog.base import LogError, NoLog
from axtui.runtime.eventlog.lease import holder, refuse_network
from axtui.runtime.eventlog.schema import MIGRATIONS
from axtui.runtime.eventlog.sqlite import SqliteLog
from axtui.runtime.inventory import list_agents, unrecorded
from axtui.runtime.redaction import A_PATH, redactor
from axtui.runtime.skills.loader import find_skills

# Below that a log can't go on for long, and below the other it is time to think of it.
LEAST_SPACE = 64 << 20
LITTLE_SPACE = 1 << 30
# Between the clocks of machines that a log was copied between, and what a person would notice.
CLOCK_SECONDS = 60
PROBE_SECONDS = 20.0

_GIB = 1 << 30
_ANOTHER_FOLDER = "check its permissions, or name another with --data-dir"
_NO_SANDBOX = (
    "install bubblewrap, and let users have namespaces (kernel.unprivileged_userns_clone=1,\n"
    "kernel.apparmor_restrict_unprivileged_userns=0); or do without, each command that a model\n"
    "chooses being asked about, with `environment: {sandbox: none}`"
)

State = Literal["ok", "warning", "failed"]


class Check(NamedTuple):
    """What was looked at, what came of it, and what to do where that isn't right."""

    what: str
    state: State
    result: str
    fix: str = ""


async def checkup(config: Config) -> AsyncIterator[Check]:
    """All checks of what a configuration says, as they are made."""
    folder = config.log_path.parent
    there = _existing(folder)
    found = _folder(folder, there)
    yield found
    if found.state == "ok":
        yield _space(there)
    async for check in _log(config):
        yield check
    yield await _sandbox(config)
    yield _model(config)
    async for check in _agents(config):
        yield check
    async for check in _servers(config):
        yield check
    for check in _skills(config):
        yield check
    for check in _secrets(config):
        yield check


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if os.path.lexists(path))


def _folder(folder: Path, there: Path) -> Check:
    """`there` is the folder, or of those that it is to be in the one that exists."""
    what = "data directory"
    try:
        refuse_network(there)
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"axtui")
            file.flush()
    except LogError as error:
        return Check(what, "failed", str(error), error.hint)
    except OSError as error:
        why = f"{there} can't be written: {error.strerror}"
        return Check(what, "failed", why, _ANOTHER_FOLDER)
    return Check(what, "ok", f"{folder}" if there == folder else f"{folder}, to be made yet")


def _space(folder: Path) -> Check:
    free = shutil.disk_usage(folder).free
    state: State = "failed" if free < LEAST_SPACE else "warning" if free < LITTLE_SPACE else "ok"
    fix = "" if state == "ok" else "free some; `axtui prune` removes old conversations"
    return Check("disk space", state, f"{free / _GIB:.1f} GiB free", fix)


async def _log(config: Config) -> AsyncIterator[Check]:
    path = config.log_path
    try:
        log = SqliteLog.open_to_read(path, probe=True)
    except NoLog:
        yield Check("log", "ok", "none yet; the first run makes it")
        return
    except LogError as error:
        yield Check("log", "failed", str(error), error.hint)
        return
    try:
        last = await log.conversations(deleted=True, limit=1)
    except LogError as error:
        yield Check("log", "failed", str(error), error.hint or "`axtui verify` says what is wrong")
        return
    finally:
        await log.close()
    writer, _ = holder(path)
    now = f", being written by process {writer}" if writer else ""
    yield Check("log", "ok", f"{path}, version {len(MIGRATIONS)}{now}")
    if last:
        yield _clock(last[0].updated_us)


def _clock(last_us: int) -> Check:
    ahead = last_us / 1e6 - time.time()
    if ahead <= CLOCK_SECONDS:
        return Check("clock", "ok", "it is later than the last event")
    return Check(
        "clock",
        "failed",
        f"the last event was written {ahead:.0f} s from now: the clock is wrong, or was then",
        "set the clock; times in a conversation stand still until it is later",
    )


async def _sandbox(config: Config) -> Check:
    environment = Environment(config.environment, hidden=config.own_paths)
    workspace = config.environment.workspace or os.getcwd()
    if not await asyncio.to_thread(os.path.isdir, workspace):
        why = f"commands are to work in {workspace}, which is no folder"
        return Check("sandbox", "failed", why, "make it, or correct environment.workspace")
    try:
        done = await environment.run("true", workspace=workspace, timeout=PROBE_SECONDS)
        sandbox = await environment.sandbox()
    except ToolError as error:
        return Check("sandbox", "failed", str(error), _NO_SANDBOX)
    if done["exit_status"] or "timed_out" in done:
        why = f"`true` ended with {done['exit_status']}: {done['output'].strip()}"
        return Check("sandbox", "failed", why, _NO_SANDBOX)
    warning = environment.take_warning()
    if sandbox is None and config.environment.sandbox == "none":
        fix = "with `environment: {sandbox: auto}` they get one, where there can be one"
        return Check("sandbox", "warning", warning, fix)
    if sandbox is None:
        return Check("sandbox", "failed", warning, _NO_SANDBOX)
    if warning:
        fix = "start axtui in a folder of its own, and not as root"
        return Check("sandbox", "warning", warning, fix)
    return Check("sandbox", "ok", f"it works, with {sandbox.binary}")


def _model(config: Config) -> Check:
    name = config.planner.model or DEFAULT_MODEL
    try:
        model = named_model(name, os.environ, config.models)
        reached = endpoint(model, os.environ, config.models)
    except ModelFault as fault:
        # Who has named none may well want none.
        named = name != DEFAULT_MODEL or config.models.default
        state: State = "failed" if named or fault.code != "no_key" else "warning"
        fix = "keys are taken from the environment of whoever starts axtui, and from nowhere else"
        return Check("model", state, str(fault), fix)
    key = next((name for name in reached.key_names if os.environ.get(name, "").strip()), "")
    return Check("model", "ok", f"{model}, {f'its key is in {key}' if key else 'without a key'}")


async def _agents(config: Config) -> AsyncIterator[Check]:
    for agent in await list_agents(config):
        if agent.kind == "built-in":
            continue
        fix = f"check `{agent.kind}:` in the configuration"
        if agent.kind != "address":
            fix += ", and the folder that axtui is started in"
        ready = "it can be loaded" if agent.kind == "python" else "it answers"
        what = f"agent {agent.id}"
        yield (
            Check(what, "failed", agent.problem, fix) if agent.problem else Check(what, "ok", ready)
        )


async def _servers(config: Config) -> AsyncIterator[Check]:
    if not config.tools:
        return
    redact = redactor(config, os.environ).text
    async with unrecorded(config) as roster:
        servers = ToolServers(roster, config)
        try:
            tools = await servers.all()
        except ActorError as error:
            yield Check("tool servers", "failed", str(error), "`axtui tools` tries it again")
            return
    for name, state in servers.states.items():
        count = sum(tool.name.startswith(f"{name}.") for tool in tools)
        about = f"{state['name']} {state['version']}, tools: {count}"
        fix = f"check tools.{name} in {config.path}; `axtui tools --from {name}` tries it again"
        if state["state"] == "failed":
            yield Check(f"tools {name}", "failed", redact(state["error"]), fix)
        elif state["error"]:
            yield Check(f"tools {name}", "warning", redact(state["error"]), fix)
        else:
            yield Check(f"tools {name}", "ok", redact(about).strip())


def _skills(config: Config) -> Iterator[Check]:
    found = find_skills(config.skill_paths, Path.cwd(), Path.home())
    for item in found:
        if item.problems:
            state: State = "warning" if item.skill else "failed"
            why = "\n".join(map(str, item.problems))
            fix = "correct it; `axtui skills` tells more"
            yield Check(f"skill {item.path.name}", state, why, fix)
    usable = sum(item.skill is not None and not item.shadowed_by for item in found)
    yield Check("skills", "ok", f"{usable} can be used")


def _secrets(config: Config) -> Iterator[Check]:
    ignored = {
        name: why
        for name, why in redactor(config, os.environ).ignored.items()
        if os.environ[name].strip() and why != A_PATH
    }
    for name, why in ignored.items():
        fix = "give it a value that can't be taken for ordinary text, or none"
        yield Check(f"secret {name}", "warning", f"it is shown as it is: it is {why}", fix)
    if not ignored:
        yield Check("secrets", "ok", "those in the environment are shown nowhere")
