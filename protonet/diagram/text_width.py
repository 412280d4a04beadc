"""How wide a text is, without a font at hand.

Widths are those of DejaVu Sans, which the PNG and PDF writers use and which is wider than the
sans-serif fonts that a browser may take instead: what fits by this table is never clipped.
"""

from __future__ import annotations

import unicodedata

# advance of the characters from space to ~, in thousandths of the font size
_REGULAR = (
    *(318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337),
    *(636, 636, 636, 636, 636, 636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531),
    *(1000, 684, 686, 698, 770, 632, 575, 775, 752, 295, 295, 656, 557, 863, 748, 787),
    *(603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838, 500),
    *(500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612),
    *(635, 635, 411, 521, 392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838),
)
_BOLD = (
    *(348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365),
    *(696, 696, 696, 696, 696, 696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 580),
    *(1000, 774, 762, 734, 830, 683, 683, 821, 837, 372, 372, 775, 637, 995, 837, 850),
    *(733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457, 838, 500),
    *(500, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687),
    *(716, 716, 493, 595, 478, 712, 652, 924, 645, 652, 582, 712, 365, 712, 838),
)
_OTHER = {"·": 380, "×": 838, "→": 838, "−": 838}
_SLACK = 1.03  # Verdana's digits and bold letters are a little wider


def text_width(text: str, size: float, bold: bool = False) -> float:
    """Return the width of a line of text at a font size, in the unit of the size."""
    table = _BOLD if bold else _REGULAR
    total = 0
    for char in text:
        index = ord(char) - 32
        if 0 <= index < len(table):
            total += table[index]
        elif unicodedata.combining(char):
            continue
        elif char in _OTHER:
            total += _OTHER[char]
        else:
            total += 1050 if unicodedata.east_asian_width(char) in "WF" else 1000
    return total * size * _SLACK / 1000


def shortened(text: str, most: int) -> str:
    """Return a text of at most ``most`` characters, its middle left out where it is longer."""
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - most :]}"
