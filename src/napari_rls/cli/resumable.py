"""What the commands that train have in common: places, Ctrl-C, exit codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_rls.cli.reporting import WRONG_USAGE, check_new, exit_code, on_stop
from napari_rls.errors import InputError, KeptError, SettingsError
from napari_rls.files.outputs import check_outputs
from napari_rls.models.bundle_file import SUFFIX


def check_bundle(out: Path, *, overwrite: bool) -> None:
    """Check that the bundle can be written.

    Raises
    ------
    InputError
        If not.
    """
    if not out.name.endswith(SUFFIX) or out.is_dir():
        raise InputError(f"The output {out} must be a file that ends in {SUFFIX}.")
    check_new([out], overwrite=overwrite)
    check_outputs([out])


def check_run(folder: Path, *, resume: bool) -> None:
    """Check that the folder holds a run just if one is resumed.

    Raises
    ------
    InputError
        If not.
    """
    from napari_rls.workflow.train.run_files import begun

    if begun(folder) and not resume:
        raise InputError(
            f"{folder} holds a run already; give --resume to go on with it, or another --run."
        )
    if resume and not begun(folder):
        raise InputError(f"{folder} holds no run to resume; leave out --resume to start one.")


@contextmanager
def wrong_usage() -> Iterator[None]:
    """Tell images and options that cannot be used from a run that failed, by the exit code."""
    try:
        yield
    except KeptError:
        raise
    except (InputError, SettingsError) as error:
        with exit_code(WRONG_USAGE):
            raise error from None


@contextmanager
def kept(folder: Path, besides: str = "") -> Iterator[None]:
    """Say how to go on when Ctrl-C or what else asks to stop ends the block.

    ``besides`` says what else the same command can do then.
    """

    def sentence() -> str:
        from napari_rls.workflow.train.run_files import begun

        also = besides and f", {besides}"
        how = f": {folder} keeps the run; the same command with --resume goes on with it{also}."
        return f"Stopped{how if begun(folder) else '.'}"

    with on_stop(sentence):
        yield
