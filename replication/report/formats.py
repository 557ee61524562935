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


def format_markdown_table(grid: Sequence[Sequence[str]]) -> str:
    """Format a grid, whose first row is the header, as a Markdown table."""
    head, *body = ([cell.replace("|", "\\|") for cell in row] for row in grid)
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


def format_markdown(grid: Sequence[Sequence[str]], title: str, lines: Sequence[str]) -> str:
    """Format a grid, whose first row is the header, under a heading and a paragraph for each line."""
    return "\n\n".join([f"# {title}", *lines, format_markdown_table(grid)]) + "\n"


def escape_latex(text: str) -> str:
    """Escape `text` for LaTeX: special characters are escaped, the signs of these tables become mathematics."""
    return text.translate(_LATEX)


def format_latex(grid: Sequence[Sequence[str]], title: str, lines: Sequence[str], label: str) -> str:
    """Format a grid, whose first row is the header, as a floating table; title and lines are the caption."""
    head, *body = (" & ".join(map(escape_latex, row)) + r" \\" for row in grid)
    return "\n".join(
        [
            r"% \usepackage{amssymb, booktabs, adjustbox}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(' '.join([f'{title}.', *lines]))}}}",
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


def format_number(value: float | None) -> str:
    """Format a number: four significant digits, whole numbers in full (`35,904`), "" for None."""
    if value is None:
        return ""
    if 1000 <= abs(value) < 1e12:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def format_range(low: float, high: float) -> str:
    """Format the range that a card declares for a claim: `1.9 to 2.1`, `at least 1`, `at most 3`."""
    if math.isinf(high):
        return f"at least {format_number(low)}"
    if math.isinf(low):
        return f"at most {format_number(high)}"
    return f"{format_number(low)} to {format_number(high)}"
