"""Lines of text to scroll through, drawn with little ado."""

from __future__ import annotations

from rich.style import Style
from textual.geometry import Region
from textual.scroll_view import ScrollView
from textual.strip import Strip

from axtui.widgets.theming import row_styles


class LineView(ScrollView, can_focus=True):
    """Its lines are made by `render_line`, as wide as it is."""

    DEFAULT_CSS = "LineView { overflow-x: hidden; scrollbar-size-vertical: 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._styles: dict[tuple[str, ...], Style] = {}

    def notify_style_update(self) -> None:
        """Forget what the colors were."""
        super().notify_style_update()
        self._styles.clear()

    def style_of(self, *names: str) -> Style:
        """What text looks like that is so called, see `row_styles`; names may be empty."""
        if (style := self._styles.get(names)) is None:
            styles = row_styles(self.app.theme_variables)
            style = self.rich_style
            for name in filter(None, names):
                style += styles[name]
            self._styles[names] = style
        return style

    def render_lines(self, crop: Region) -> list[Strip]:
        """Lines as they are. Textual would put border, padding and background around each, and
        keep it once more, which takes a third of a frame: here they are the same for all."""
        around = self.styles.gutter
        # Until a scrollbar that is due has been laid out, there is more room than lines take.
        (width, height), style = self.size, self.style_of()
        if not (width and height):
            return super().render_lines(crop)
        first = min(max(crop.y, around.top), crop.bottom)
        last = max(first, min(crop.bottom, around.top + height))
        lines = [
            self.render_line(y - around.top).adjust_cell_length(width, style)
            for y in range(first, last)
        ]
        background = self.background_colors[1]
        for line_filter in self.get_line_filters():
            lines = [line.apply_filter(line_filter, background) for line in lines]
        if around.width:
            [side] = super().render_lines(Region(0, around.top, self.outer_size.width, 1))
            left, right = side.crop(0, around.left), side.crop(around.left + width)
            lines = [Strip.join([left, line, right]) for line in lines]
        if crop.column_span != (0, self.outer_size.width):
            lines = [line.crop(*crop.column_span) for line in lines]
        return [*self._edge(crop, crop.y, first), *lines, *self._edge(crop, last, crop.bottom)]

    def _edge(self, crop: Region, first: int, last: int) -> list[Strip]:
        region = Region(crop.x, first, crop.width, last - first)
        return super().render_lines(region) if region else []
