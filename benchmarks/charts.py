"""Bar charts as a PNG: panels below each other, each with its own scale, our bars in another color."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, MARGIN, LABEL_WIDTH, TEXT_WIDTH = 1_600, 40, 620, 200
BAR_HEIGHT, GAP, TITLE_HEIGHT = 30, 10, 56
BLACK, GRAY, GREEN, LIGHT_GRAY = "#1f2328", "#59636e", "#1a7f5a", "#b6bec9"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A value with a label; `text` is shown at its end, `ours` selects the color."""

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
        """The height in pixels."""
        return TITLE_HEIGHT + len(self.bars) * (BAR_HEIGHT + GAP) + GAP


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Write the panels as a PNG."""
    image = Image.new("RGB", (WIDTH, sum(panel.height for panel in panels) + 2 * MARGIN), "white")
    canvas, top = ImageDraw.Draw(image), MARGIN
    for panel in panels:
        draw_panel(canvas, panel, top)
        top += panel.height
    image.save(path, optimize=True)


def draw_panel(canvas: ImageDraw.ImageDraw, panel: Panel, top: int) -> None:
    """Draw a title and one bar per line."""
    canvas.text(
        (MARGIN, top + TITLE_HEIGHT / 2), panel.title, fill=BLACK, font=ImageFont.load_default(28), anchor="lm"
    )
    maximum = max(bar.value for bar in panel.bars) or 1.0
    left, width, font = (
        MARGIN + LABEL_WIDTH,
        WIDTH - 2 * MARGIN - LABEL_WIDTH - TEXT_WIDTH,
        ImageFont.load_default(22),
    )
    for number, bar in enumerate(panel.bars):
        upper = top + TITLE_HEIGHT + number * (BAR_HEIGHT + GAP)
        middle, right = upper + BAR_HEIGHT / 2, left + max(2.0, width * bar.value / maximum)
        canvas.text((left - 16, middle), bar.label, fill=BLACK if bar.ours else GRAY, font=font, anchor="rm")
        canvas.rectangle((left, upper, right, upper + BAR_HEIGHT), fill=GREEN if bar.ours else LIGHT_GRAY)
        canvas.text((right + 12, middle), bar.text, fill=BLACK, font=font, anchor="lm")
