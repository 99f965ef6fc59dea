"""A document of headings, paragraphs, lists, tables and figures, written as Markdown and as one HTML page."""

import base64
import html
import pathlib
import re
from collections.abc import Sequence
from typing import NamedTuple

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; color: #1c2128;
  background: #fff; max-width: 104rem; margin: 0 auto; padding: 1.5rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; padding-top: .7rem; border-top: 1px solid #d8dee4; }
p, ul { max-width: 52rem; margin: .5rem 0; }
li { margin: .2rem 0; overflow-wrap: anywhere; }
code { font: .88em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; background: #f3f5f7;
  padding: .1em .3em; border-radius: 3px; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; vertical-align: top; white-space: nowrap;
  border-bottom: 1px solid #e6eaee; }
th { border-bottom: 2px solid #c3cbd3; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
tr.group td { padding-top: .8rem; font-weight: 600; color: #57606a; }
.aside { color: #6a737d; }
img { max-width: min(100%, 72rem); height: auto; display: block; margin: .8rem 0; }
nav { margin: 1rem 0; }
nav a { margin-right: 1.1rem; white-space: nowrap; }
a { color: #0059b3; }
"""


class Heading(NamedTuple):
    """The heading of a section."""

    text: str


class Paragraph(NamedTuple):
    """Text, in which `code` and **bold** are marked as in Markdown."""

    text: str


class Bullets(NamedTuple):
    """A list of such texts."""

    texts: list[str]


class Table(NamedTuple):
    """A table; a row of one cell is the heading of the rows after it."""

    columns: list[str]
    rows: list[list[str]]
    aside: int = 0  # columns, the last, that are less important


class Figure(NamedTuple):
    """A picture."""

    path: pathlib.Path  # of a .png file, in a folder beside the document
    description: str
    beside: bool = False  # the file lies beside the document itself


Block = Heading | Paragraph | Bullets | Table | Figure


def markdown(title: str, blocks: Sequence[Block]) -> str:
    """The document as Markdown; a figure is a link to its file."""
    parts = [f"# {title}", *map(_markdown, blocks)]
    return "\n\n".join(parts) + "\n"


def page(title: str, blocks: Sequence[Block]) -> str:
    """The document as an HTML page, with all that it needs in itself."""
    headings = [block.text for block in blocks if isinstance(block, Heading)]
    links = "".join(f'<a href="#{_anchor(text)}">{html.escape(text)}</a> ' for text in headings)
    shown = list(blocks)
    first = next((i for i, block in enumerate(shown) if isinstance(block, Heading)), len(shown))
    body = [
        f"<h1>{_inline(title)}</h1>",
        *map(_html, shown[:first]),
        f"<nav>{links}</nav>",
        *map(_html, shown[first:]),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{html.escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _markdown(block: Block) -> str:
    match block:
        case Heading(text):
            return f"## {text}"
        case Paragraph(text):
            return text
        case Bullets(texts):
            return "\n".join("- " + text.replace("\n", "\n  ") for text in texts)
        case Figure(path, description, beside):
            return f"![{description}]({'' if beside else path.parent.name + '/'}{path.name})"
        case Table(columns, rows, _):
            filled = [[f"**{row[0]}**"] + [""] * (len(columns) - 1) if len(row) == 1 else row for row in rows]
            cells = [[cell.replace("|", "\\|") for cell in row] for row in (columns, *filled)]
            widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(columns))]
            lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
            rule = "|" + "|".join("-" * (width + 1) + (":" if i else "-") for i, width in enumerate(widths)) + "|"
            return "\n".join([lines[0], rule, *lines[1:]])
    raise AssertionError(block)


def _html(block: Block) -> str:
    match block:
        case Heading(text):
            return f'<h2 id="{_anchor(text)}">{html.escape(text)}</h2>'
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Bullets(texts):
            return "<ul>" + "".join(f"<li>{_inline(text)}</li>" for text in texts) + "</ul>"
        case Figure(path, description, _):
            data = base64.b64encode(path.read_bytes()).decode()
            return f'<img src="data:image/png;base64,{data}" alt="{html.escape(description)}">'
        case Table(columns, rows, aside):
            head = "".join(_cell("th", text, i, columns, aside) for i, text in enumerate(columns))
            lines = [
                f'<tr class="group"><td colspan="{len(columns)}">{_inline(row[0])}</td></tr>'
                if len(row) == 1
                else "<tr>" + "".join(_cell("td", text, i, columns, aside) for i, text in enumerate(row)) + "</tr>"
                for row in rows
            ]
            body = "\n".join(lines)
            table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
            return f'<div class="scroll">{table}</div>'
    raise AssertionError(block)


def _cell(tag: str, text: str, column: int, columns: Sequence[str], aside: int) -> str:
    kind = ' class="aside"' if column >= len(columns) - aside else ""
    return f"<{tag}{kind}>{_inline(text)}</{tag}>"


def _inline(text: str) -> str:
    """Text with what is marked in it as Markdown has it."""
    parts = re.split(r"(`[^`]+`)", text)
    marked = [
        f"<code>{html.escape(part[1:-1])}</code>"
        if i % 2
        else re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", html.escape(part))
        for i, part in enumerate(parts)
    ]
    return "".join(marked).replace("\n", "<br>")


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
