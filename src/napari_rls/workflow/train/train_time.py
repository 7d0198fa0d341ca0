"""How long a training takes on this machine: from the speed of earlier runs, or a few steps."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import platformdirs
from pydantic import PositiveFloat, TypeAdapter, ValidationError

from napari_rls.files.whole_file import whole_file
from napari_rls.text import duration
from napari_rls.training.training_settings import TrainSettings

LARGEST = 256
"""Greatest side, in pixels, at which speed is measured; of larger images it is worked out."""

USUAL = 40.0
"""Images a second, at the default settings, that a core of a server's CPU is trained on."""

_UNIT = 4_456_448
"""What :func:`work` counts for an image at the default settings."""

_SPEEDS = TypeAdapter(dict[str, PositiveFloat])


@dataclass(frozen=True)
class Estimate:
    """About how long the parts of a training take, in seconds.

    ``half`` and ``full`` are training at half and at full size, for ``kimg`` in all.
    """

    kimg: float
    half: float
    full: float
    fitting: float

    @property
    def seconds(self) -> float:
        """The whole."""
        return self.half + self.full + self.fitting

    def share(self, half: float, full: float, fitting: float) -> float:
        """Return the share of the whole that is done, if these are the shares of its parts."""
        done = half * self.half + full * self.full + fitting * self.fitting
        return min(done / self.seconds, 1.0) if self.seconds else 1.0

    def __str__(self) -> str:
        """Say it in a sentence."""
        return f"About {duration(self.seconds)} for {self.kimg:g} kimg on this machine (estimate)."


def estimate(
    settings: TrainSettings, speed: float, fitting: float, *, grow_kimg: float = 0.0
) -> Estimate:
    """Estimate how long a run takes.

    Parameters
    ----------
    settings
        The settings of the run, or of what is left of it.
    speed
        Images of work 1 a second, see :func:`work`.
    fitting
        How long a core of the speed :data:`USUAL` fits flow and encoders, in seconds.
    grow_kimg
        Thousands of images at half the size, with blocks of the same widths.
    """
    small = work(settings) - _block(settings, settings.size)
    return Estimate(
        settings.kimg + grow_kimg,
        grow_kimg * 1000 * small / speed,
        settings.kimg * 1000 * work(settings) / speed,
        # A GPU trains, but the fits are made by the CPU.
        fitting * min(max(USUAL / speed, 1.0), 10.0),
    )


def work(settings: TrainSettings) -> float:
    """Return how much there is to compute for an image; 1 at the default settings.

    Counted are the multiplications of convolutions that keep size and width of their block.
    """
    sizes = [4 << k for k in range(settings.size.bit_length() - 2)]
    return sum(_block(settings, size) for size in sizes)


def _block(settings: TrainSettings, size: int) -> float:
    return size**2 * settings.architecture.width(size) ** 2 / _UNIT


def recalled(settings: TrainSettings) -> float | None:
    """Return the remembered speed of this device, or None."""
    return _read().get(_key(settings))


def measured(settings: TrainSettings) -> float:
    """Return the speed as a few steps show it, and remember it.

    Raises
    ------
    SettingsError
        If the device that was asked for is not there.
    """
    from napari_rls.training.speed import images_per_second

    some = settings.model_copy(update={"size": min(settings.size, LARGEST)})
    speed = images_per_second(some) * work(some)
    _write(settings, speed)
    return speed


def remember(settings: TrainSettings, images_per_second: float) -> None:
    """Remember how fast a run was."""
    if images_per_second > 0:
        _write(settings, images_per_second * work(settings))


def _write(settings: TrainSettings, speed: float) -> None:
    path = _file()
    # What cannot be remembered is measured again.
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as draft:
            draft.write_bytes(_SPEEDS.dump_json(_read() | {_key(settings): speed}))


def _read() -> dict[str, float]:
    try:
        return _SPEEDS.validate_json(_file().read_bytes())
    except (OSError, ValidationError):
        return {}


def _key(settings: TrainSettings) -> str:
    return f"{settings.device}, {settings.precision}, threads {settings.threads}"


def _file() -> Path:
    return platformdirs.user_cache_path("napari-rls") / "training-speed.json"
