"""Bars as a PNG: panels below each other, each on its own scale, ours in colour."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, MARGIN, LABELS, FIGURES = 1_600, 40, 620, 200
BAR, GAP, TITLE = 30, 10, 56
INK, QUIET, OURS, OTHERS = "#1f2328", "#59636e", "#1a7f5a", "#b6bec9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A labelled value; `text` is how it is written, `ours` whether it stands out."""

    label: str
    value: float
    text: str
    ours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Bars that are compared with each other."""

    title: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        """In pixels."""
        return TITLE + len(self.bars) * (BAR + GAP) + GAP


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Write the panels as a PNG."""
    image = Image.new("RGB", (WIDTH, sum(panel.height for panel in panels) + 2 * MARGIN), "white")
    canvas, top = ImageDraw.Draw(image), MARGIN
    for panel in panels:
        draw_panel(canvas, panel, top)
        top += panel.height
    image.save(path, optimize=True)


def draw_panel(canvas: ImageDraw.ImageDraw, panel: Panel, top: int) -> None:
    """A title, and a bar a line."""
    canvas.text((MARGIN, top + TITLE / 2), panel.title, fill=INK, font=ImageFont.load_default(28), anchor="lm")
    longest = max(bar.value for bar in panel.bars) or 1.0
    left, room, font = MARGIN + LABELS, WIDTH - 2 * MARGIN - LABELS - FIGURES, ImageFont.load_default(22)
    for number, bar in enumerate(panel.bars):
        upper = top + TITLE + number * (BAR + GAP)
        middle, right = upper + BAR / 2, left + max(2.0, room * bar.value / longest)
        canvas.text((left - 16, middle), bar.label, fill=INK if bar.ours else QUIET, font=font, anchor="rm")
        canvas.rectangle((left, upper, right, upper + BAR), fill=OURS if bar.ours else OTHERS)
        canvas.text((right + 12, middle), bar.text, fill=INK, font=font, anchor="lm")
