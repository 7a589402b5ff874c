"""Runs shell commands, one after the other, each as a step of its own."""

import signal
from typing import Any

from axtui.agent import Context, Effect, agent
from axtui.runtime.actors.environment import run_command


class CommandFailed(Exception):
    """A command ended with another exit status than 0."""


@agent
async def shell(ctx: Context) -> None:
    """Runs each line of its input as a command; stops at the first that fails."""
    config: dict[str, Any] = ctx.config if isinstance(ctx.config, dict) else {}
    effect: Effect = "idempotent" if config.get("idempotent") else ""
    for number, line in enumerate(ctx.input.splitlines(), start=1):
        command = line.strip()
        if not command or command.startswith("#"):
            continue
        done = await ctx.step(run_command, command, name="shell", effect=effect)
        if done is None:
            continue
        if output := done["output"]:
            await ctx.emit(output)
        if done["exit_status"] != 0:
            raise CommandFailed(f"line {number} ({command}) {_ending(done)}")


def _ending(done: dict[str, Any]) -> str:
    status = done["exit_status"]
    if done.get("timed_out"):
        return "took longer than a command may, and was ended; see environment.limits.time"
    if 128 < status < 128 + signal.NSIG:
        return f"was ended by signal {status - 128}"
    return f"ended with exit status {status}"
