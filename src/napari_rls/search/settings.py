"""The settings of a super-resolution run: one class for the widget, the CLI and the record."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from napari_rls.errors import JsonError, SettingsError
from napari_rls.files.json_file import first_fault, read_json
from napari_rls.files.whole_file import whole_file
from napari_rls.models.field_notes import BatchSize, Device, Healthy, Threads
from napari_rls.models.part import Checked
from napari_rls.search.operators import DEFAULT_OPERATOR, OperatorName
from napari_rls.search.presets import LARGEST_LAMBDA_W, PRESET_FIELDS, PRESETS, MethodName
from napari_rls.search.schedule import Schedule

DEFAULT_BUNDLE = "bbbc013-translocation-64"
FACTORS = (2, 4, 8, 16, 32)
METHODS: tuple[str, ...] = tuple(PRESETS)


def _or_none(value: Any) -> Any:
    """Take an empty field for one that says nothing."""
    return None if value == "" else value


class Settings(Checked):
    """All that determines a super-resolution run, beside the LR image itself.

    lambda_w, lambda_c and the healthy ranges are those of Gheisari & Genovesio
    2024, section 4.1; where other defaults differ from the paper, ``docs/method.md`` has
    the evidence. Field titles and descriptions are what the widget and the command line
    show. Fields that are not given take the defaults of the method, see
    :data:`~napari_rls.search.presets.PRESETS`.

    Examples
    --------
    >>> from napari_rls import Settings
    >>> Settings().steps, Settings(method="rls-paper").steps
    (100, 200)
    >>> Settings.parse({"steps": 0})
    Traceback (most recent call last):
    ...
    napari_rls.errors.SettingsError: settings: steps must be 1 or more.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: MethodName = Field(
        default="rls",
        title="Method",
        description=(
            "What makes SR images: 'rls', or a method to compare it with. Choosing one sets "
            "lambdas, steps, learning rate, start and samples to its defaults."
        ),
    )
    bundle: str = Field(
        default=DEFAULT_BUNDLE,
        title="Bundle",
        description="Model bundle: the name of an embedded one, or a file.",
    )
    factor: int = Field(
        default=8,
        ge=2,
        le=256,
        title="Scale factor",
        description="HR size divided by LR size.",
    )
    operator: OperatorName = Field(
        default=DEFAULT_OPERATOR,
        title="Operator",
        description="What makes LR images of HR ones, which the search undoes.",
    )
    lambda_w: Annotated[float, Healthy(1e-6, 5e-4)] = Field(
        default=5e-5,
        ge=0,
        le=LARGEST_LAMBDA_W,
        title="lambda_w",
        description=(
            "Weight of P_w, which keeps every latent vector where the bundle has seen images: "
            "higher is more typical, lower follows the LR image more."
        ),
    )
    lambda_c: Annotated[float, Healthy(0.005, 0.05)] = Field(
        default=0.01,
        ge=0,
        le=10,
        title="lambda_c",
        description=(
            "Weight of P_cross, which keeps coarse and fine latent vectors together: "
            "higher is more coherent, lower follows the LR image more."
        ),
    )
    lambda_m: float = Field(
        default=0.05,
        ge=0,
        le=10,
        title="lambda_m",
        description=(
            "Weight of the nucleus to cytoplasm ratio that the LR image tells by itself, if a "
            "network of the bundle knows it: higher is measured more like that; 0 leaves it out."
        ),
    )
    reading: Literal["auto", "likelihood", "scaled", "mean", "sum", "code"] = Field(
        default="auto",
        title="Normalisation",
        description=(
            "How the terms of RLS's objective are summed: 'scaled' weighs the LR image by its "
            "number of pixels, so that the lambdas fit every factor and size; 'likelihood' by the "
            "noise of each, which the LR images tell if the bundle has a field encoder; 'auto' "
            "does that where they are noisy. 'mean' does not weigh; 'code' weighs 5 times, as the "
            "authors' code; 'sum' takes the formula as printed."
        ),
    )
    steps: int = Field(
        default=100, ge=1, le=10_000, title="Steps", description="Iterations of the search."
    )
    refine_steps: int = Field(
        default=50,
        ge=1,
        le=10_000,
        title="Refinement steps",
        description=(
            "Further iterations of 'rls-plus', which refine noise and generator weights as well."
        ),
    )
    learning_rate: float = Field(
        default=0.3, gt=0, le=10, title="Learning rate", description="Step size of Adam."
    )
    schedule: Schedule = Field(
        default="one-cycle",
        title="Schedule",
        description=(
            "Step size over the run: 'one-cycle' rises to the learning rate and falls again, "
            "'constant' keeps it."
        ),
    )
    patience: int = Field(
        default=0,
        ge=0,
        le=10_000,
        title="Patience",
        description=(
            "Stop a cell after this many steps without a better objective; 0 runs every step."
        ),
    )
    samples: int = Field(
        default=5,
        ge=0,
        le=100,
        title="Samples",
        description=(
            "Further SR images of every cell that fit its LR image too, for error bars; 0 makes "
            "none, 1 gives no error bar."
        ),
    )
    posterior: Literal["auto", "flow", "bound", "paper"] = Field(
        default="auto",
        title="Posterior",
        description=(
            "What samples are drawn from: 'flow', all images that cells of such an LR image have, "
            "by flow matching, without the generator; 'bound', the Gaussian in its latent space "
            "that an evidence bound chooses; 'paper', the published form, whose samples lie too "
            "close together; 'auto', 'flow' if the bundle has it, else 'bound'."
        ),
    )
    temperature: float = Field(
        default=2e-4,
        gt=0,
        le=1,
        title="Temperature",
        description=(
            "By how much a sample's objective may lie above the best: higher draws samples "
            "farther apart. Corrections of intervals hold for the bundle's own. It is that of the "
            "posterior 'bound'; the others have none."
        ),
    )
    sample_steps: int = Field(
        default=40,
        ge=1,
        le=10_000,
        title="Sampling steps",
        description="Iterations in which the samples are fitted; 'flow' has none.",
    )
    start: Literal["encoder", "mean", "random"] = Field(
        default="encoder",
        title="Start",
        description=(
            "Where the search starts: 'encoder', the bundle's estimate from the LR image where it "
            "has one for the factor, 'mean', the mean of 10,000 random latent vectors, or "
            "'random', one that is drawn for each cell."
        ),
    )
    seed: int = Field(
        default=0,
        ge=0,
        le=2**31 - 1,
        title="Seed",
        description="Seed of the samples, of random latent vectors and of noise.",
    )
    camera_noise: bool = Field(
        default=True,
        title="Camera noise",
        description=(
            "Give SR images the noise that HR images have and the generator leaves out, if the "
            "bundle knows it; without, they are smoother than any camera's."
        ),
    )
    intensity: Literal["auto", "bundle", "match"] = Field(
        default="auto",
        title="Intensity",
        description=(
            "How LR intensities meet the bundle's: 'bundle' takes them as they are, 'match' finds "
            "offset and gain of each channel so that the median cell is as dark and as bright as "
            "the bundle's, 'auto' matches only data of another range."
        ),
    )
    camera_offset: Annotated[float | None, BeforeValidator(_or_none)] = Field(
        default=None,
        allow_inf_nan=False,
        title="Camera offset",
        description=(
            "Intensity of LR pixels without any light, in the LR image's unit, if known; LR images "
            "are then matched to the bundle's. Empty: found from the images where it is needed."
        ),
    )
    batch_size: BatchSize = 32
    device: Device = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto",
        title="Precision",
        description="Arithmetic of the search; the final image is always made in float32.",
    )
    threads: Threads = 0

    @model_validator(mode="wrap")
    @classmethod
    def _follow_the_method(cls, values: Any, make: ModelWrapValidatorHandler[Settings]) -> Settings:
        """Fill in what the method presets; fields count as set only if they were given."""
        if not isinstance(values, dict):
            return make(values)
        method = values.get("method", "rls")
        preset = PRESETS[method] if method in METHODS else None
        if preset and preset.fault:
            raise PydanticCustomError("method", "{fault}", {"fault": preset.fault})
        made = make({**preset.values, **values} if preset else values)
        made.model_fields_set.intersection_update(values)
        if preset and made.lambda_w > preset.largest_lambda_w:
            raise PydanticCustomError(
                "lambda_w",
                "lambda_w must be at most {most} for the method {method}",
                {"most": f"{preset.largest_lambda_w:g}", "method": made.method},
            )
        if made.camera_offset is not None and made.intensity == "bundle":
            raise PydanticCustomError(
                "camera_offset", "camera_offset cannot be used with the intensity 'bundle'"
            )
        for name in preset.fixed if preset else ():
            if getattr(made, name) != (usual := made.preset(name)):
                raise PydanticCustomError(
                    "method",
                    "{name} must be {usual} for the method {method}",
                    {"name": name, "usual": usual, "method": made.method},
                )
        return made

    def preset(self, name: str) -> Any:
        """Return the method's default of a setting."""
        return PRESETS[self.method].values.get(name, type(self).model_fields[name].default)

    def with_method(self, method: str) -> Settings:
        """Return these settings for another method: what depends on it takes its defaults.

        Raises
        ------
        SettingsError
            If there is no such method.
        """
        methods = [PRESETS[name] for name in (self.method, method) if name in PRESETS]
        own = PRESET_FIELDS.union(*(preset.values for preset in methods))
        kept = self.model_dump(exclude_unset=True, exclude=set(own))
        return Settings.parse({**kept, "method": method})

    @property
    def search_steps(self) -> int:
        """Steps of the search, those of a refinement included."""
        further = max(len(PRESETS[self.method].stages) - 1, 0)
        return self.steps + further * self.refine_steps

    def save(self, path: Path) -> None:
        """Write the settings as JSON, whole or not at all."""
        _write(path, self.model_dump_json(indent=2))

    def save_given(self, path: Path) -> None:
        """Write those that were given alone, so that others stay what a run makes of them."""
        _write(path, self.model_dump_json(indent=2, exclude_unset=True))

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read settings that :meth:`save` wrote; fields left out take their defaults.

        Raises
        ------
        SettingsError
            If the file is missing, is no JSON, or holds a wrong name or value.
        """
        try:
            return cls.parse(read_json(path), str(path))
        except OSError as error:
            raise SettingsError(
                f"Cannot read the settings file {path}: {error.strerror}."
            ) from None
        except JsonError as error:
            raise SettingsError(f"{path} is not a settings file: {error}.") from None

    @classmethod
    def parse(cls, values: object, source: str = "settings") -> Settings:
        """Validate ``values``; the error of the first wrong one is a sentence.

        Raises
        ------
        SettingsError
            If a name is unknown or a value is out of range.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError(f"{source}: {first_problem(error)}.") from None


def _write(path: Path, text: str) -> None:
    with whole_file(path) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def first_problem(error: ValidationError) -> str:
    """Return which value a validation refused first and why, without a full stop."""
    return first_fault(error)
