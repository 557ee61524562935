"""A grid of text as a Markdown or a LaTeX table (booktabs rules, scaled down to the page if it is wide)."""

from __future__ import annotations

import math
from collections.abc import Sequence

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "–": "--",
        "†": r"\dag{}",
        "✓": r"$\checkmark$",
        "≠": r"$\neq$",
        "⊕": r"$\oplus$",
        "⊖": r"$\ominus$",
        "○": r"$\circ$",
        "◇": r"$\diamond$",
        "△": r"$\triangle$",
        "×": r"$\times$",
        "→": r"$\rightarrow$",
        "±": r"$\pm$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "−": "$-$",
    }
)


def markdown_table(grid: Sequence[Sequence[str]]) -> str:
    """The grid, its first row the header."""
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in grid)
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


def markdown(grid: Sequence[Sequence[str]], title: str, lines: Sequence[str]) -> str:
    """The grid, its first row the header, under a heading and a paragraph for each line."""
    return "\n\n".join([f"# {title}", *lines, markdown_table(grid)]) + "\n"


def latex_escape(text: str) -> str:
    """`text` as LaTeX sets it: special characters escaped, the signs of these tables as mathematics."""
    return text.translate(_LATEX)


def latex(grid: Sequence[Sequence[str]], title: str, lines: Sequence[str], label: str) -> str:
    """The grid, its first row the header, as a floating table with the title and the lines as its caption."""
    head, *body = (" & ".join(map(latex_escape, row)) + r" \\" for row in grid)
    return "\n".join(
        [
            r"% \usepackage{amssymb, booktabs, adjustbox}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{latex_escape(' '.join([f'{title}.', *lines]))}}}",
            rf"\label{{tab:{label}}}",
            r"\begin{adjustbox}{max width=\linewidth, max totalheight=0.8\textheight}",
            rf"\begin{{tabular}}{{{'l' * len(grid[0])}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{adjustbox}",
            r"\end{table}",
            "",
        ]
    )


def number(value: float | None) -> str:
    """A number for a reader: four significant digits, whole numbers in full (`35,904`), nothing for None."""
    if value is None:
        return ""
    if 1000 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def declared(low: float, high: float) -> str:
    """The range that a card declares for a claim, in words: `1.9 to 2.1`, `at least 1`, `at most 3`."""
    if math.isinf(high):
        return f"at least {number(low)}"
    if math.isinf(low):
        return f"at most {number(high)}"
    return f"{number(low)} to {number(high)}"
