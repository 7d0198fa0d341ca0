"""The noise of an LR image: what it is made of, and how it is found in the image itself."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_rls.errors import InputError, SettingsError

if TYPE_CHECKING:
    from torch import Tensor

    from napari_rls.search.noise_fit import NoiseLine

    Image = TypeVar("Image", NDArray[Any], Tensor)

Interval = tuple[float, float]

_NO_GAIN = 1e-6
"""Gain, as a share of the read noise, up to which fits leave it where there is none."""

MISFIT = 0.04
"""Deviation of what a generator cannot draw of an LR pixel, of -1 to 1: chosen on real cells."""

_Z: Final = 1.645
"""Deviations at the ends of a 90 % interval."""

_TOO_WIDE: Final = 1.5
"""Ratio of the ends of an interval of a standard deviation from which an estimate is in doubt."""

_CUT: Final = 0.02
"""Share of pixels of the lowest value from which dark noise seems to be cut off."""


@dataclass(frozen=True)
class NoiseModel:
    """Variance of an LR pixel: gain x (signal - offset) + read noise^2, a value a channel.

    Attributes
    ----------
    gain
        Counts per photon; 0 without photon noise.
    offset
        Counts of a pixel without light.
    read_noise
        Standard deviation of the camera's own noise, in counts.

    Examples
    --------
    >>> import numpy as np
    >>> noise = NoiseModel(gain=(2.0,), offset=(100.0,), read_noise=(3.0,))
    >>> noise.variance(np.array([[[90.0, 100.0, 150.0]]]))
    array([[[  9.,   9., 109.]]])
    """

    gain: tuple[float, ...]
    offset: tuple[float, ...]
    read_noise: tuple[float, ...]

    def __post_init__(self) -> None:
        """Check what was given."""
        values = (*self.gain, *self.offset, *self.read_noise)
        if not all(map(math.isfinite, values)) or min(*self.gain, *self.read_noise) < 0:
            raise SettingsError(
                f"Noise of gain {self.gain}, offset {self.offset} and read noise "
                f"{self.read_noise} cannot be; gain and read noise must be numbers from 0."
            )
        if not len(self.gain) == len(self.offset) == len(self.read_noise):
            raise SettingsError(
                f"There are {len(self.gain)} gains, {len(self.offset)} offsets and "
                f"{len(self.read_noise)} read noises; give one of each for every channel."
            )

    def variance(self, signal: Image) -> Image:
        """Return the variance (..., C, h, w) of pixels of an expected signal, both in counts."""
        columns = [
            [[[value]] for value in values] for values in (self.gain, self.offset, self.read_noise)
        ]
        make: Any = getattr(signal, "new_tensor", partial(np.asarray, dtype=np.float32))
        gain, offset, read = (make(column) for column in columns)
        found: Image = gain * (signal - offset).clip(0) + read**2
        return found

    def in_unit(self, scale: Sequence[float], shift: Sequence[float]) -> NoiseModel:
        """Return the noise of images that are scale x counts + shift, a value a channel.

        Examples
        --------
        >>> NoiseModel((2.0,), (100.0,), (3.0,)).in_unit([0.5], [-50.0])
        NoiseModel(gain=(1.0,), offset=(0.0,), read_noise=(1.5,))
        """
        each = range(len(self.gain))
        return NoiseModel(
            tuple(abs(scale[c]) * self.gain[c] for c in each),
            tuple(scale[c] * self.offset[c] + shift[c] for c in each),
            tuple(abs(scale[c]) * self.read_noise[c] for c in each),
        )

    def numbers(self, channels: Sequence[str]) -> str:
        """Return the numbers in words, channel by channel; a gain that is as good as none is 0.

        Examples
        --------
        >>> NoiseModel((2.0,), (100.0,), (3.0,)).numbers(["DNA"])
        'DNA offset 100, gain 2, read noise 3'
        >>> NoiseModel((5.6e-14,), (100.0,), (3.0,)).numbers(["DNA"])
        'DNA offset 100, gain 0, read noise 3'
        """
        parts = zip(channels, self.offset, self.gain, self.read_noise, strict=True)
        return "; ".join(
            f"{n} offset {o:.4g}, gain {g if g > _NO_GAIN * r else 0:.3g}, read noise {r:.3g}"
            for n, o, g, r in parts
        )

    def record(self) -> dict[str, list[float]]:
        """Return gain, offset and read noise, lists of a value a channel."""
        return {name: list(values) for name, values in asdict(self).items()}


@dataclass(frozen=True)
class ChannelNoise:
    """Noise of one channel as an image tells it, with intervals of 90 %.

    Attributes
    ----------
    gain, offset, read_noise
        Estimates in counts. Background light cannot be told from a camera's offset: the offset
        is the darkest level, its interval goes to where the darkest pixels have photon noise
        alone, and the read noise is all noise of the darkest pixels.
    gain_interval, offset_interval, read_noise_interval
        Their intervals.
    levels
        Signals of a dark, a middle and a bright place.
    deviations, deviation_intervals
        Standard deviation of the noise there: what matters to a data term, and known better than
        its parts.
    """

    gain: float
    offset: float
    read_noise: float
    gain_interval: Interval
    offset_interval: Interval
    read_noise_interval: Interval
    levels: tuple[float, float, float]
    deviations: tuple[float, float, float]
    deviation_intervals: tuple[Interval, Interval, Interval]


@dataclass(frozen=True)
class NoiseEstimate:
    """What :func:`estimate_noise` found.

    Attributes
    ----------
    channels
        The noise of each.
    doubts
        Sentences that say where noise could not be told from structure; none if all is well.
    """

    channels: tuple[ChannelNoise, ...]
    doubts: tuple[str, ...] = ()

    @property
    def model(self) -> NoiseModel:
        """The noise as a data term takes it."""
        return NoiseModel(
            tuple(channel.gain for channel in self.channels),
            tuple(channel.offset for channel in self.channels),
            tuple(channel.read_noise for channel in self.channels),
        )

    def record(self) -> dict[str, Any]:
        """Return all of it: numbers, lists and sentences."""

        def plain(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: plain(part) for name, part in value.items()}
            return [plain(part) for part in value] if isinstance(value, tuple | list) else value

        found: dict[str, Any] = plain(asdict(self))
        return found


def estimate_noise(
    lr: NDArray[Any] | Sequence[NDArray[Any]],
    *,
    psf_sigma: float | None = None,
    offset: Sequence[float] | None = None,
    names: Sequence[str] = (),
) -> NoiseEstimate:
    """Estimate the noise of LR images from the images themselves.

    Noise that is independent between pixels has the same power at all spatial frequencies, and a
    variance that is linear in the signal (Foi, Trimeche, Katkovnik & Egiazarian, "Practical
    Poissonian-Gaussian noise modeling and fitting for single-image raw-data", IEEE TIP 17, 2008).
    What a lens and pixels have recorded falls off towards fine frequencies, in a form that is
    known but for a few numbers. Both are fitted together to the mean power of the cosines of
    small blocks, sorted by their brightness; masks that take all of what is finest for noise
    (Immerkaer, "Fast noise variance estimation", CVIU 64, 1996) are several times too high where a
    cell is two pixels wide. :mod:`~napari_rls.search.noise_fit` has the formulas.

    Images must not have been smoothed, compressed with loss, or enlarged.

    Parameters
    ----------
    lr
        A field (C, h, w) in counts, or several of one camera; crops (N, C, h, w) will do. Pixels
        that are not finite count for nothing.
    psf_sigma
        Deviation of the PSF in LR pixels, if known: structure is then told from noise more
        sharply.
    offset
        Counts of pixels without light, a value a channel, if known.
    names
        Names of the channels for what is in doubt.

    Raises
    ------
    InputError
        If the images are not (C, h, w) with the same channels, or are too small.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> light = np.tile(np.linspace(0, 50, 256), (256, 1))
    >>> field = 100 + 2 * rng.poisson(light / 2) + rng.normal(0, 3, light.shape)
    >>> found = estimate_noise(field[None], offset=[100.0]).channels[0]
    >>> abs(found.gain - 2) < 0.2, abs(found.read_noise - 3) < 0.2
    (True, True)
    """
    fields = [np.asarray(field) for field in lr] if _is_several(lr) else [np.asarray(lr)]
    counts = {field.shape[0] if field.ndim == 3 else -1 for field in fields}
    if len(counts) != 1 or min(counts) < 1:
        raise InputError("Noise is estimated from LR images (C, y, x) with the same channels.")
    found = [
        _channel(
            [np.asarray(field[c], np.float64) for field in fields],
            psf_sigma,
            None if offset is None else offset[c],
            names[c] if c < len(names) else str(c + 1),
        )
        for c in range(counts.pop())
    ]
    doubts = tuple(doubt for _, channel_doubts in found for doubt in channel_doubts)
    return NoiseEstimate(tuple(channel for channel, _ in found), doubts)


def _is_several(lr: NDArray[Any] | Sequence[NDArray[Any]]) -> bool:
    return not isinstance(lr, np.ndarray) or lr.ndim == 4


def _channel(
    fields: list[NDArray[np.float64]], psf_sigma: float | None, offset: float | None, name: str
) -> tuple[ChannelNoise, list[str]]:
    from napari_rls.search.noise_fit import fit_noise

    line = fit_noise(fields, psf_sigma)
    dark, middle, bright = line.levels
    spread = _Z * line.deviation_of_variance(dark)
    at_dark = line.variance(dark)
    least, most = max(at_dark - spread, 0.0), at_dark + spread
    error = _Z * line.gain_deviation
    gains = max(line.gain - error, 0.0), line.gain + error
    if offset is not None:
        low = high = usual = float(offset)
        reads = (
            math.sqrt(max(least - gains[1] * max(dark - usual, 0), 0)),
            math.sqrt(max(most - gains[0] * max(dark - usual, 0), 0)),
        )
        read = math.sqrt(max(at_dark - line.gain * (dark - usual), 0))
    else:
        usual, high = dark, dark + 2 * line.dark_error
        # Where the darkest pixels have photon noise alone, and not below what a camera can give.
        floor = 0.0 if line.lowest >= 0 else line.lowest
        low = min(max(floor, dark - most / gains[0]) if gains[0] else floor, dark)
        reads = (math.sqrt(max(least - gains[1] * (dark - low), 0)), math.sqrt(most))
        read = math.sqrt(at_dark)
    levels = (dark, middle, bright)
    values = [line.variance(level) for level in levels]
    errors = [_Z * line.deviation_of_variance(level) for level in levels]
    intervals = [
        (math.sqrt(max(v - e, 0)), math.sqrt(v + e)) for v, e in zip(values, errors, strict=True)
    ]
    one = ChannelNoise(
        gain=line.gain,
        offset=usual,
        read_noise=read,
        gain_interval=gains,
        offset_interval=(low, high),
        read_noise_interval=reads,
        levels=levels,
        deviations=(math.sqrt(values[0]), math.sqrt(values[1]), math.sqrt(values[2])),
        deviation_intervals=(intervals[0], intervals[1], intervals[2]),
    )
    return one, _doubts(one, line, name)


def _doubts(channel: ChannelNoise, line: NoiseLine, name: str) -> list[str]:
    found = []
    if line.cut > _CUT:
        found.append(
            f"Channel {name}: {line.cut:.0%} of the pixels have the lowest value, {line.lowest:g}; "
            "dark noise seems to be cut off, so that its estimate is too low."
        )
    for level, (low, high) in zip(channel.levels, channel.deviation_intervals, strict=True):
        if high > _TOO_WIDE * low:
            found.append(
                f"Channel {name}: these images tell noise only roughly, as cells fill them: at a "
                f"signal of {level:.4g} a standard deviation of {low:.2g} to {high:.2g} (90 % "
                "interval). The search takes the estimate; more fields make it surer, or gain and "
                "read noise if you know them."
            )
            break
    return found
