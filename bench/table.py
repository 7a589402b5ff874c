"""The table that a benchmark ends in."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: `at_least` or at most `limit`."""

    limit: float
    unit: str = "x"
    at_least: bool = False

    def met(self, figure: float) -> bool:
        """Whether a figure is what it should be."""
        return figure >= self.limit if self.at_least else figure <= self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {format_figure(self.limit, self.unit)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line: ours, what it is compared with, the figure that this makes, and its target."""

    what: str
    ours: str
    against: str = ""
    figure: float | None = None
    target: Target | None = None

    def cells(self) -> tuple[str, ...]:
        """The line's texts."""
        unit = self.target.unit if self.target is not None else "x"
        figure = "" if self.figure is None else format_figure(self.figure, unit)
        if self.target is None:
            return self.what, self.ours, self.against, figure, "", ""
        if self.figure is None:
            return self.what, self.ours, self.against, figure, str(self.target), "not measured"
        verdict = "met" if self.target.met(self.figure) else "missed"
        return self.what, self.ours, self.against, figure, str(self.target), verdict


@dataclass(slots=True)
class Table:
    """A benchmark's rows, under a title and above notes."""

    title: str
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        what: str,
        ours: str,
        against: str = "",
        figure: float | None = None,
        target: Target | None = None,
    ) -> None:
        """Add a row."""
        self.rows.append(Row(what, ours, against, figure, target))

    def render(self) -> str:
        """The table as text."""
        head = ("", "ours", "compared with", "figure", "target", "")
        lines = [head, *(row.cells() for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        texts = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, *(f"  {text}" for text in texts), *self.notes])


def format_figure(value: float, unit: str) -> str:
    """A figure with three significant digits, its unit close by."""
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{number}{unit}" if unit == "x" else f"{number} {unit}".rstrip()
