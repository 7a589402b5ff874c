"""What panes are in. Panes fill it, so nothing of its own is made to be drawn behind them."""

from textual.containers import Horizontal, Vertical


class Beside(Horizontal):
    """Panes beside each other."""

    BLANK = True


class Below(Vertical):
    """Panes below each other."""

    BLANK = True
