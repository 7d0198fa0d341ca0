"""What ended some work, in a sentence."""

from __future__ import annotations

from napari.utils.notifications import notification_manager

from napari_rls.errors import sentence_of


def explain(error: Exception, what: str, more_memory: str = "choose a smaller batch size") -> str:
    """Return in a sentence what ended ``what``; an error of the program is handed to napari."""
    sentence = sentence_of(error, more_memory)
    if sentence is not None:
        return sentence
    notification_manager.receive_error(type(error), error, error.__traceback__)
    return f"An unexpected error ended the {what}: {error}"
