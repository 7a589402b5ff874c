"""What can be done with the run that a screen is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual import work

if TYPE_CHECKING:
    from textual.screen import Screen

    from axtui.app import AxtuiApp

    _Base = Screen[Any]
else:
    _Base = object


class Acting(_Base):
    """For a screen that has a `conversation_id`."""

    ui: AxtuiApp

    @property
    def conversation_id(self) -> str:
        """The conversation that is meant; empty if none is."""
        raise NotImplementedError

    @property
    def fork_seq(self) -> int | None:
        """Where a fork is to be; None: at the end."""
        return None

    def refresh_soon(self) -> None:
        """Something has changed."""

    async def _do(self, method: str, *args: Any, done: str) -> Any:
        async def doing() -> Any:
            writer = await self.ui.desk.writer()
            result = await getattr(writer, method)(*args)
            return True if result is None else result

        result = await self.ui.attempt(doing(), change=True)
        if result is not None:
            self.app.notify(done, markup=False)
            self.refresh_soon()
        return result

    @work
    async def action_new(self) -> None:
        from axtui.screens.new_run import NewRunScreen

        started = await self.ui.push_screen_wait(NewRunScreen())
        if started:
            self.ui.open_run(started)

    @work
    async def action_resume(self) -> None:
        if name := self.conversation_id:
            from axtui.client import RunOptions

            await self._do("resume", name, RunOptions(), done="the run goes on")

    @work
    async def action_pause(self) -> None:
        if name := self.conversation_id:
            await self._do("pause", name, "", done="the run is paused at the next step")

    @work
    async def action_cancel(self) -> None:
        if name := self.conversation_id:
            question = f"Cancel the run of {name}?"
            if await self._confirmed(question, "It ends for good; a fork of it can go on."):
                await self._do("cancel", name, "", done="the run is canceled")

    @work
    async def action_fork(self) -> None:
        from axtui.screens.fork import ForkScreen

        if name := self.conversation_id:
            forked = await self.ui.push_screen_wait(ForkScreen(name, self.fork_seq))
            if forked:
                self.refresh_soon()

    @work
    async def action_delete(self) -> None:
        if name := self.conversation_id:
            consequence = "It is hidden; `axtui prune` removes it for good."
            if await self._confirmed(f"Delete {name}?", consequence, typed=name[:8]):
                await self._do("delete", name, "", done="deleted")

    async def _confirmed(self, question: str, consequence: str, *, typed: str = "") -> bool:
        from axtui.screens.confirm import ConfirmScreen

        return await self.ui.push_screen_wait(ConfirmScreen(question, consequence, typed=typed))

    def action_copy(self) -> None:
        if name := self.conversation_id:
            self.app.copy_to_clipboard(name)
            self.app.notify(f"copied {name}", markup=False)

    def action_copy_command(self) -> None:
        if name := self.conversation_id:
            self.ui.copy_command(f"axtui attach {name}")
