"""The themes, each shown as one goes over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen

from axtui.screens.fleeting import Fleeting
from axtui.widgets.bars import KeyBar
from axtui.widgets.bindings import bindings
from axtui.widgets.row_list import Cells, RowList

if TYPE_CHECKING:
    from axtui.app import AxtuiApp


class ThemeRows(RowList):
    """The names of the themes, ours first."""

    def __init__(self, names: list[str], light: frozenset[str]) -> None:
        super().__init__()
        self.names, self._light = names, light

    def cells(self, index: int, width: int) -> Cells:
        """The name, and whether it is light."""
        name = self.names[index]
        return [(f"{name:<28}", ""), ("light" if name in self._light else "dark", "dim")]


class ThemesScreen(Fleeting, ModalScreen[str]):
    """Ends with the name of the theme to use, or with nothing, and then the one that there was is
    there again."""

    BINDINGS = bindings("themes")
    AUTO_FOCUS: ClassVar[str] = "ThemeRows"

    @property
    def ui(self) -> AxtuiApp:
        """The application."""
        return cast("AxtuiApp", self.app)

    def compose(self) -> ComposeResult:
        """The names."""
        themes = self.ui.available_themes
        ours = self.ui.own_themes
        names = sorted(themes, key=lambda name: (name not in ours, name))
        light = frozenset(name for name in names if not themes[name].dark)
        self._before = self.ui.theme
        with Vertical(classes="dialog", id="themes") as dialog:
            dialog.border_title = "themes"
            yield ThemeRows(names, light)
        yield KeyBar()

    def on_mount(self) -> None:
        """Begin at the one that is in use."""
        rows = self.query_one(ThemeRows)
        rows.set_count(len(rows.names))
        rows.go_to(rows.names.index(self._before))

    @on(RowList.Moved)
    def _preview(self) -> None:
        rows = self.query_one(ThemeRows)
        self.ui.theme = rows.names[rows.cursor]

    @on(RowList.Opened)
    def _choose(self) -> None:
        rows = self.query_one(ThemeRows)
        self.dismiss(rows.names[rows.cursor])

    def action_cancel(self) -> None:
        self.ui.theme = self._before
        self.dismiss(None)
