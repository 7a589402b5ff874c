"""The environment: where the commands of a run are run."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from axtui.agent import ToolError, call
from axtui.runtime.actors.cgroup import ControlGroup, remove_stale
from axtui.runtime.actors.files import Workspace
from axtui.runtime.actors.limits import guarded, is_superuser, limited
from axtui.runtime.actors.patience import to_the_end
from axtui.runtime.actors.running import Output, Running
from axtui.runtime.actors.sandbox import Sandbox, View, find_sandbox, home_folder, within
from axtui.runtime.config import Environment as Settings

_VARIABLES = ("PATH", "LANG", "TERM", "TZ", "USER")


class Environment:
    """Runs commands as the settings say. Belongs to the running event loop.

    What is named in `hidden`, absolute paths, no command gets to see.
    """

    def __init__(self, settings: Settings, hidden: Sequence[str] = ()) -> None:
        self._settings = settings
        self._hidden = hidden
        self._found: Sandbox | str | None = None
        self._warnings: list[str] = []
        self._told = 0

    async def sandbox(self) -> Sandbox | None:
        """What commands are run behind; None if they are run without a sandbox.

        Raises ToolError if the settings want one, and there can't be one.
        """
        if self._settings.sandbox == "none":
            self._warn("commands are run without a sandbox, as the configuration says")
            return None
        if self._found is None:
            self._found = await asyncio.to_thread(find_sandbox)
            if is_superuser():
                remove_stale()
        if isinstance(self._found, Sandbox):
            return self._found
        if self._settings.sandbox == "bubblewrap":
            raise ToolError(f"there is no sandbox to run commands in: {self._found}")
        self._warn(f"commands are run WITHOUT A SANDBOX: {self._found}")
        return None

    async def unprotected(self) -> str:
        """Why commands that a model chose aren't run in a sandbox; nothing if they are, or if the
        configuration wants none.
        """
        if self._settings.sandbox == "none":
            return ""
        try:
            found = await self.sandbox()
        except ToolError:
            # Nothing is run, as the call itself will say.
            return ""
        return "" if found else "there is no sandbox"

    def files(self, workspace: str) -> Workspace:
        """The files of a workspace folder, without those that are hidden here."""
        return Workspace(workspace, self._hidden)

    def take_warning(self) -> str:
        """What a person should know of how commands are run here; each thing is told once."""
        warnings = "; ".join(self._warnings[self._told :])
        self._told = len(self._warnings)
        return warnings

    async def run(
        self,
        command: str,
        *,
        workspace: str,
        timeout: float | None = None,
        on_output: Callable[[str], None] = lambda text: None,
        variables: Mapping[str, str] | None = None,
        readable: Sequence[str] = (),
    ) -> dict[str, Any]:
        """Run a shell command in a workspace folder, and end all that it leaves behind.

        Gives back `exit_status`, 128 and more meaning a signal, and `output`, standard output and
        error as one text. Of output beyond the limit the middle is left out, and `dropped_bytes`
        says how much; `on_output` gets the beginning as it comes. `timed_out` is true if the
        command was ended because it took longer than `timeout` seconds, or the limit if that is
        less. `variables` are added to its environment, `readable` to the folders that it may read.

        Raises ToolError if the command can't be started. Canceled, it ends the command first.
        """
        limits = self._settings.limits
        seconds = min(limits.time, timeout or limits.time)
        view = self._view(workspace, readable)
        sandbox = await self.sandbox()
        output = Output(limits.output, on_output)
        starting = Running.start(
            limited(command, limits, sandboxed=True) if sandbox else guarded(command, limits),
            view,
            sandbox,
            self._control_group() if sandbox else None,
            self._environment(variables or {}, sandbox),
            output,
        )
        running = await _not_canceled(starting)
        try:
            try:
                in_time = await running.wait(seconds)
            finally:
                status = await running.end()
            if in_time and await running.failed_to_start():
                raise ToolError(f"can't start a command in {workspace}: {output.text()[0].strip()}")
        finally:
            await running.close()
        text, dropped = output.text()
        result: dict[str, Any] = {"exit_status": status, "output": text}
        if dropped:
            result["dropped_bytes"] = dropped
        if not in_time:
            result["timed_out"] = True
        return result

    def _view(self, workspace: str, readable: Sequence[str]) -> View:
        folder = os.path.abspath(workspace)
        if not os.path.isdir(folder):
            raise ToolError(f"can't start a command in {workspace}: there is no such folder")
        if within(home_folder(), [folder]):
            self._warn(f"commands can read and change the whole home folder: it is in {folder}")
        return View(
            folder,
            readable=(*self._settings.readable, *readable),
            hidden=self._hidden,
            network=self._settings.network,
        )

    def _control_group(self) -> ControlGroup | None:
        if not is_superuser():
            return None
        limits = self._settings.limits
        try:
            return ControlGroup.make(limits.processes, limits.memory)
        except OSError as error:
            self._warn(f"nothing limits how many processes a command has: {error}")
            return None

    def _environment(self, variables: Mapping[str, str], sandbox: Sandbox | None) -> dict[str, str]:
        wanted = {*_VARIABLES, *self._settings.env}
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in wanted or name.startswith("LC_")
        }
        home = home_folder() if sandbox else os.path.expanduser("~")
        return {"PATH": os.defpath, "HOME": home, **kept, **variables}

    def _warn(self, text: str) -> None:
        if text not in self._warnings:
            self._warnings.append(text)


async def run_command(command: str) -> dict[str, Any]:
    """Run a shell command for the step that this is called in: see `Environment.run`."""
    this = call()
    return await this.environment.run(
        command,
        workspace=this.workspace,
        on_output=this.delta,
        variables={"AXTUI_IDEMPOTENCY_KEY": this.idempotency_key},
    )


async def _not_canceled(starting: Coroutine[Any, Any, Running]) -> Running:
    """What was started; if this is canceled, what has begun by then is ended."""
    task = asyncio.ensure_future(starting)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await to_the_end(_undone(task))
        raise


async def _undone(starting: asyncio.Future[Running]) -> None:
    with contextlib.suppress(ToolError):
        running = await starting
        try:
            await running.end()
        finally:
            await running.close()
