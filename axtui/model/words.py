"""Times, durations, amounts and texts as people are shown them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from axtui.v1 import event_pb2 as pb

# What a terminal would obey is shown instead, except tabs and ends of lines.
_CONTROLS = {
    **{code: 0x2400 + code for code in range(32) if code not in (9, 10)},
    127: 0x2421,
    **dict.fromkeys(range(128, 160), 0xFFFD),
}
_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def count(number: int, word: str) -> str:
    """An amount of something: 1 event, 2 events."""
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def clock(time_us: int) -> str:
    """A time as the clock on the wall shows it, to the millisecond."""
    from datetime import datetime

    moment = datetime.fromtimestamp(time_us / 1e6)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def took(time_us: int) -> str:
    """How long something took, in its two largest units."""
    seconds = max(0, time_us) / 1e6
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    left = round(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        amount, left = divmod(left, size)
        if amount or parts:
            parts.append(f"{amount}{unit}")
    return " ".join(parts[:2])


def ago(time_us: int, now_us: int) -> str:
    """How long ago something was, in the largest unit that says something."""
    seconds = max(0, (now_us - time_us) // 1_000_000)
    for unit, size in _UNITS[:3]:
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def used(usage: pb.Usage) -> str:
    """What model calls used."""
    tokens = f"{usage.input_tokens:,} tokens in, {usage.output_tokens:,} out"
    if not usage.cost_nusd and usage.unpriced_calls:
        return f"{tokens}, price unknown"
    unpriced = f" and {count(usage.unpriced_calls, 'call')} of unknown price"
    return f"{tokens}, ${usage.cost_nusd / 1e9:.4f}{unpriced if usage.unpriced_calls else ''}"


def cost(nusd: int, unpriced_calls: int = 0) -> str:
    """Billionths of a dollar for people, with a plus for calls beside whose price nobody knows;
    nothing for nothing."""
    return f"${nusd / 1e9:.4f}{'+' if unpriced_calls else ''}" if nusd else ""


def size_text(size: int) -> str:
    """Bytes for people."""
    value = float(size)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def printable(text: str) -> str:
    """Text without anything that a terminal would obey."""
    return text.replace("\r\n", "\n").translate(_CONTROLS)


def visible(text: str) -> str:
    """Text with nothing in it that can't be seen, or moves what is beside it: that is shown as its
    code point. Tabs and ends of lines stay."""
    return "".join(
        char if char.isprintable() or char in "\t\n" else f"<U+{ord(char):04X}>" for char in text
    )


def one_line(text: str) -> str:
    """Text as it fits into a row of a table."""
    return printable(" ".join(text.split()))
