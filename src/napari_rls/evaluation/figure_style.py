"""How figures look, on paper and on a screen, and how texts of others are written in them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from napari_rls.text import for_figure, for_terminal

BASE_FONT = "DejaVu Sans"
"""Comes with matplotlib; Latin, Greek and Cyrillic."""

OTHER_FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "Yu Gothic", "Microsoft YaHei",
    "Malgun Gothic", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo", "WenQuanYi Zen Hei",
    "Arial Unicode MS", "Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari",
    "Noto Sans Thai", "Segoe UI", "Nirmala UI", "Leelawadee UI",
)  # fmt: skip
"""Fonts of other scripts, used where they are installed."""

NO_NAME = "(none)"
MORE = "\N{HORIZONTAL ELLIPSIS}"

LETTER_WIDTH = 0.6
"""Mean width of a letter, as a share of the font's size."""

LINE_HEIGHT = 1.4
"""Height of a line, as a share of the font's size."""

LABEL_LINES, TICK_LINES = 2, 3
"""Most lines of the name of an axis, and of a condition at its place."""

FEWEST_LETTERS, LONG_WORD, UPRIGHT = 6, 12, 0.25
"""A name is turned upright, in the last share of the height, where a line has room for fewer
letters than the first, or than its words of up to the second have."""

FEW_LINES, MANY_COLUMNS = 4, 3
"""A legend of more lines than this is laid in columns, where they have room."""


@dataclass(frozen=True)
class Look:
    """Colours and size of a figure; those of print if not given.

    Parameters
    ----------
    paper, ink
        Colours of the background, and of axes and texts, #rrggbb.
    size
        Width and height in inches.
    font
        Size of texts in points.
    """

    paper: str = "#ffffff"
    ink: str = "#000000"
    size: tuple[float, float] = (6.4, 4.4)
    font: float = 10

    @property
    def dark(self) -> bool:
        """Whether the background is darker than the ink."""
        return _brightness(self.paper) < _brightness(self.ink)

    @property
    def line(self) -> float:
        """Height of a line of text in inches."""
        return self.font * LINE_HEIGHT / 72

    def letters(self, inches: float, font: float | None = None) -> int:
        """Return how many letters of a text are so long."""
        return max(int(inches * 72 / ((font or self.font) * LETTER_WIDTH)), 1)


PRINT = Look()


def start(look: Look) -> tuple[Figure, Axes]:
    """Return a figure with axes in its colours."""
    figure = Figure(figsize=look.size, layout="constrained", facecolor=look.paper)
    axes = figure.add_subplot(facecolor=look.paper)
    axes.spines[["top", "right"]].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(look.ink)
    axes.tick_params(which="both", colors=look.ink, labelsize=look.font)
    return figure, axes


def name_axes(axes: Axes, look: Look, *, x: str = "", y: str = "", under: float = 0.2) -> None:
    """Name the axes in as many lines as they need; what has no room is left out.

    Parameters
    ----------
    axes, look
        The axes, whose legend is still to come.
    x, y
        Names of the axes.
    under
        Inches that the x axis takes without its name.
    """
    width, height = look.size
    legend = len(axes.get_legend_handles_labels()[1]) * look.line
    if x:
        text = shown(x, look.letters(0.75 * width), LABEL_LINES)
        axes.set_xlabel(text, color=look.ink, fontsize=look.font)
        under += (1 + text.count("\n")) * look.line
    if y:
        text = shown(y, look.letters(0.9 * height - legend - under), LABEL_LINES)
        axes.set_ylabel(text, color=look.ink, fontsize=look.font)


def name_places(axes: Axes, look: Look, names: Sequence[str]) -> float:
    """Write names at 0, 1, 2, ... of the x axis: level if they have room, else upright.

    Return the inches that they take.
    """
    room = look.letters(0.75 * look.size[0] / max(len(names), 1))
    longest = max((len(word) for name in names for word in name.split()), default=0)
    if room >= max(FEWEST_LETTERS, min(longest, LONG_WORD)):
        labels = [shown(name or NO_NAME, room, TICK_LINES) for name in names]
        axes.set_xticks(range(len(names)), labels)
        return (1 + max((label.count("\n") for label in labels), default=0)) * look.line
    upright = UPRIGHT * look.size[1]
    labels = [shown(name or NO_NAME, look.letters(upright)) for name in names]
    axes.set_xticks(range(len(names)), labels, rotation=90)
    return upright


def explain(figure: Figure, look: Look) -> None:
    """Explain colours below the axes, where nothing is hidden however narrow the figure is."""
    small = look.font * 5 / 6
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if not labels:
        return
    width = look.size[0]
    columns = MANY_COLUMNS if len(labels) > FEW_LINES and width > PRINT.size[0] - 1 else 1
    # A line has a sign before it, of about four letters.
    room = max(look.letters(width, small) // columns - 4, FEWEST_LETTERS)
    legend = figure.legend(
        handles,
        [shown(label, room, LABEL_LINES) for label in labels],
        loc="outside lower left",
        frameon=False,
        fontsize=small,
        ncols=columns,
        labelcolor=look.ink,
    )
    for handle in legend.legend_handles:
        if handle is not None:
            handle.set_alpha(1)  # points overlap in the figure, not here


def use_other_fonts(figure: Figure) -> None:
    """Let the texts of a figure that need them use fonts of other scripts."""
    for text in figure.findobj(lambda artist: isinstance(artist, Text)):
        if isinstance(text, Text) and not _in_base(text.get_text()):
            text.set_fontfamily(list(_families()))


def shown(text: str, letters: int = 10_000, lines: int = 1) -> str:
    """Return a text of others as matplotlib draws it letter by letter, in so many lines.

    What has no room is left out in its middle, as names differ as often at their end. Letters
    that no font has are written as escapes, as are line ends.

    Parameters
    ----------
    text
        Any text.
    letters
        Letters of a line, about.
    lines
        Most lines.
    """
    return for_figure(_fitted(_drawable(for_terminal(text)), letters, lines))


def _fitted(text: str, letters: int, lines: int) -> str:
    if len(text) <= letters:
        return text
    broken = _broken(text, letters) if lines > 1 else []
    if 0 < len(broken) <= lines:
        return "\n".join(broken)
    room = max(letters * lines - 1, 2)
    if len(text) > room:
        text = text[: room - room // 2] + MORE + text[-(room // 2) :]
    return "\n".join(text[k : k + letters] for k in range(0, len(text), letters))


def _broken(text: str, letters: int) -> list[str]:
    """Return lines, broken where words end, be it with an underscore."""
    marked = text.replace("_", "_\0").replace(" ", " \0")
    words = [word for word in marked.split("\0") if word]
    found = [""]
    for word in words:
        for part in textwrap.wrap(word, letters, drop_whitespace=False) or [word]:
            if found[-1] and len(found[-1] + part.rstrip()) > letters:
                found.append("")
            found[-1] += part
    return [line.rstrip() for line in found]


def _drawable(text: str) -> str:
    if _in_base(text):
        return text
    return "".join(
        letter
        if any(ord(letter) in _letters_of(family) for family in _families())
        else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )


def _in_base(text: str) -> bool:
    known = _letters_of(BASE_FONT)
    return all(letter == "\n" or ord(letter) in known for letter in text)


@cache
def _families() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    return (BASE_FONT, *(name for name in OTHER_FONTS if name in installed))


@cache
def _letters_of(family: str) -> frozenset[int]:
    font = font_manager.get_font(font_manager.findfont(family))
    return frozenset(font.get_charmap())


def _brightness(colour: str) -> float:
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue
