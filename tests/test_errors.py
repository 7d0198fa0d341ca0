"""Errors that a user can do something about are one sentence, wherever they come from."""

from __future__ import annotations

import errno
import os

import pytest

from napari_rls import errors
from napari_rls.errors import InputError, ReasonError, UserError, sentence_of, why_not

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type)]


def test_memory_that_is_used_up_is_told_with_what_to_do():
    import torch

    raised = (
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    )
    for error in raised:
        told = sentence_of(error, "choose a smaller batch size")
        assert told == "There is not enough memory; choose a smaller batch size."
    assert sentence_of(MemoryError()) == "There is not enough memory."


@pytest.mark.parametrize("error", [ValueError("out of memory"), RuntimeError("bad"), KeyError(1)])
def test_faults_of_the_program_are_no_sentences(error):
    assert sentence_of(error) is None


def test_a_full_disk_is_named(tmp_path):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "a.tif"))
    told = sentence_of(error)
    assert told is not None
    assert told.startswith(f"{tmp_path / 'a.tif'}: No space left on device: ")
    assert "are free on the disk /" in told
    denied = PermissionError(errno.EACCES, "Permission denied", "x")
    assert why_not(denied, tmp_path) == "Permission denied"


def test_every_error_of_the_package_is_of_one_of_two_families():
    """No module defines an error beside these, so that none is told as a fault by mistake."""
    import ast
    from pathlib import Path

    families = {kind.__name__ for kind in KINDS if issubclass(kind, UserError | ReasonError)}
    assert InputError.__name__ in families
    source = Path(errors.__file__).parent
    defined = {
        node.name
        for file in source.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
    }
    assert defined - {"AbsoluteError"} == families
