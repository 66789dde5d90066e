"""docs/training.md lists every field of the configuration."""

from pathlib import Path

from lc_trt.training.config_file import fields

DOCUMENT = Path(__file__).parents[2] / "docs" / "training.md"
START, END = "<!-- fields -->\n", "<!-- end of fields -->"


def table() -> str:
    """The expected table in Markdown."""
    rows = [
        f"| `{name}` | {f'`{default}`' if default else ''} | {text} |"
        for name, default, text in fields()
    ]
    return "\n".join(["", "| field | default | meaning |", "|---|---|---|", *rows, "", ""])


def test_the_document_lists_every_field() -> None:
    text = DOCUMENT.read_text()
    found = text[text.index(START) + len(START) : text.index(END)]
    assert found == table(), f"put this into {DOCUMENT.name}:\n{table()}"
