"""A table as wide as it has to be and, on a terminal, no wider than that."""

from __future__ import annotations

from collections.abc import Sequence

from axtui.cli.common import columns
from axtui.cli.output import is_terminal, print_text

_GAP = "  "
_LEAST = 10


def print_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    spare: Sequence[int],
    styles: Sequence[str] | None = None,
) -> None:
    """Print a table. On a terminal the last column is cut to fit, and the `spare` ones are left
    out, in their order, where there is no room for them. `styles` are those of the second column.
    """
    if not is_terminal():
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
            print_text(_GAP.join(cells).rstrip())
        return
    _print_fitted(head, rows, spare, styles)


def _print_fitted(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    spare: Sequence[int],
    styles: Sequence[str] | None,
) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.text import Text

    widths = [max(map(cell_len, column)) for column in zip(head, *rows, strict=True)]
    shown = fitting(widths, columns(), spare)
    console = Console(no_color=styles is None, highlight=False)
    for number, row in enumerate((head, *rows)):
        line = Text(style="" if number else "bold")
        for column in shown:
            cell = Text(
                row[column], styles[number - 1] if styles and number and column == 1 else ""
            )
            if column != shown[-1]:
                cell.pad_right(widths[column] - cell_len(row[column]) + len(_GAP))
            line.append_text(cell)
        line.truncate(columns(), overflow="ellipsis")
        console.print(line, soft_wrap=True)


def fitting(widths: Sequence[int], available: int, spare: Sequence[int]) -> list[int]:
    """The columns that are shown where `available` characters fit into a line."""
    shown = list(range(len(widths)))
    for column in spare:
        fixed = sum(widths[c] + len(_GAP) for c in shown[:-1])
        if fixed + min(widths[shown[-1]], _LEAST) <= available:
            break
        shown.remove(column)
    return shown
