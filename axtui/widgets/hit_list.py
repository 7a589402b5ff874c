"""What a search has found, a row each."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from rich.cells import cell_len

from axtui.model.search import Hit
from axtui.model.words import ago, one_line, printable
from axtui.ui.glyphs import glyph
from axtui.ui.rows import style_of
from axtui.widgets.row_list import Cells, RowList
from axtui.widgets.text import fit

_ACTOR, _KIND = 12, 18
# Not several as one: marks count characters.
_SPACE = re.compile(r"\s")


class HitList(RowList):
    """Shows what it was last given, the cursor where it was."""

    hits: Sequence[Hit] = ()

    def show(self, hits: Sequence[Hit]) -> None:
        """Show these."""
        self.hits = hits
        self.set_count(len(hits))
        self.renew()

    def cells(self, index: int, width: int) -> Cells | None:
        """Conversation, how long ago, actor and kind as far as there is room, and the excerpt."""
        hit = self.hits[index]
        cells = [
            (f"{fit(one_line(hit.conversation_id), 13 if width >= 90 else 8)} ", "dim"),
            (f"{ago(hit.time_us, time.time_ns() // 1000):>4}  ", "dim"),
        ]
        if width >= 90:
            cells.append((f"{fit(one_line(hit.actor), _ACTOR)} ", "strong"))
        if width >= 70:
            cells.append((f"{fit(one_line(hit.kind), _KIND)} ", style_of(hit.kind)))
        if hit.internal:
            cells.append(("private: ", "dim"))
        return cells + _excerpt(hit, width - sum(cell_len(text) for text, _ in cells))


def _excerpt(hit: Hit, room: int) -> list[tuple[str, str]]:
    """The places that were found stand out, and the first of them is in sight."""
    text = printable(_SPACE.sub(" ", hit.excerpt))
    cells, at = [], 0
    if hit.marks and cell_len(text[: hit.marks[0][1]]) > room:
        at = max(0, hit.marks[0][0] - room // 4)
        cells.append((glyph("more"), "dim"))
    for start, end in hit.marks:
        cells += [(text[at:start], ""), (text[start:end], "hit")]
        at = end
    return [*cells, (text[at:], "")]
