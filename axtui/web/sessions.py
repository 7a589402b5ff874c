"""The process of the UI behind each page that is open."""

from __future__ import annotations

import asyncio
from typing import Any

from textual_serve.app_service import AppService

_END_SECONDS = 5.0


class Session(AppService):
    """Runs `command` with more in its environment, and ends it whatever it does."""

    def __init__(self, command: str, environment: dict[str, str], **ways: Any) -> None:
        super().__init__(f"exec {command}", **ways)
        self._environment = environment

    def _build_environment(self, width: int = 80, height: int = 24) -> dict[str, str]:
        return {**super()._build_environment(width, height), **self._environment}

    async def stop(self) -> None:
        """Ask it to end, and have it ended where it doesn't."""
        try:
            async with asyncio.timeout(_END_SECONDS):
                await super().stop()
        except TimeoutError:
            self._task = None
        if self._process is not None and self._process.returncode is None:
            try:
                await asyncio.wait_for(self._process.wait(), _END_SECONDS)
            except TimeoutError:
                self._process.kill()
                await self._process.wait()
