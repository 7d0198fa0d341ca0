"""Texts of others are shown as they are, wherever they go."""

from __future__ import annotations

import doctest

import pytest

from napari_rls import text

HOSTILE = ("\x1b[2J\x1b]0;owned\x07", "a\rb", "\u202egnp.exe", "\x9b31m", "\ud800", "a\u2028b")


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_terminal_gets_nothing_that_it_obeys(hostile: str) -> None:
    shown = text.for_terminal(hostile)
    assert shown.isprintable()
    assert shown.encode()
    assert text.for_terminal("a\nb", lines=True) == "a\nb"


@pytest.mark.parametrize("plain", ["µm, β-actin, 細胞", "naïve [GFP] <0.5 nm>"])
def test_a_terminal_gets_all_other_text_as_it_is(plain: str) -> None:
    assert text.for_terminal(plain) == plain


@pytest.mark.parametrize("words", ["=1+1", "+1", "-drug", "@sum", "\tx", "'=1", "'s", "dmso", ""])
def test_what_a_table_guards_comes_back(words: str) -> None:
    guarded = text.for_table(words)
    assert not guarded.startswith(text.FORMULA_SIGNS)
    assert text.from_table(guarded) == words


@pytest.mark.usefixtures("qapp")
def test_qt_shows_markup_as_text() -> None:
    from qtpy.QtGui import QTextDocument

    document = QTextDocument()
    document.setHtml(text.for_qt("<img src='x'>\n<b>a</b> & b"))
    assert document.toPlainText() == "<img src='x'>\n<b>a</b> & b"
    assert text.for_qt("") == ""


def test_examples_hold() -> None:
    assert doctest.testmod(text).failed == 0
