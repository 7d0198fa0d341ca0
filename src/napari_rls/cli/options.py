"""Command-line options made from a settings class, so that nothing is written twice."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

import annotated_types
import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from typer.core import TyperCommand

from napari_rls.errors import SettingsError
from napari_rls.models.field_notes import healthy_range, unit_of
from napari_rls.search.settings import Settings, first_problem

Model = TypeVar("Model", bound=BaseModel)

WIDEST = 40
"""Characters of a list of choices that the help has room for in front of the text."""


class ListCommand(TyperCommand):
    """A command without arguments whose list options take several values: ``--hr A B C``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the name of a list option before each of its further values."""
        lists = {name for p in self.params if getattr(p, "multiple", False) for name in p.opts}
        spread: list[str] = []
        name, values = "", 0
        for arg in args:
            if arg.startswith("-"):
                name, values = (arg if arg in lists else ""), 0
            elif name:
                values += 1
                if values > 1:
                    spread.append(name)
            spread.append(arg)
        return super().parse_args(ctx, spread)


def options_of(
    model: type[BaseModel],
    only: Collection[str] | None = None,
    defaults: Mapping[str, str] | None = None,
    flags: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every field of a settings class.

    The command takes them as ``**options``: field names to values, None for those not
    given. Names, help, types, bounds and defaults are the class's.

    Parameters
    ----------
    model
        The settings class.
    only
        Names of the fields to offer; None offers all.
    defaults
        What the help says of fields whose default the command works out itself.
    flags
        Names of options that are not called as their field.
    """
    fields = {
        name: field for name, field in model.model_fields.items() if only is None or name in only
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        made = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=_annotation(
                    (flags or {}).get(name, name), field, (defaults or {}).get(name)
                ),
            )
            for name, field in fields.items()
        ]

        @functools.wraps(command)
        def wrapper(*args: Any, **kwargs: Any) -> None:
            command(*args, **kwargs)

        wrapper.__signature__ = signature.replace(parameters=[*own, *made])  # type: ignore[attr-defined]
        return wrapper

    return decorate


def hr_cells_option(where: str) -> Any:
    """Return the option of HR cells, by which means are corrected; ``where`` to write these."""
    return typer.Option(
        "--hr-cells",
        metavar="FILE",
        show_default=False,
        help="HR crops of a few of the cells: the means of wells and conditions are corrected by "
        f"them, into {where}.",
    )


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given."""
    return {name: value for name, value in options.items() if value is not None}


def search_settings(file: Path | None, options: dict[str, Any]) -> Settings:
    """Make the settings of a search: those of a file, with the options that were given.

    A method that is given brings its own defaults.

    Raises
    ------
    SettingsError
        If the file cannot be read, or a value is out of range.
    """
    stored = Settings.load(file) if file else Settings()
    if options["method"] not in (None, stored.method):
        stored = stored.with_method(options["method"])
    return Settings.parse(stored.model_dump(exclude_unset=True) | given(options), "options")


def build(model: type[Model], options: dict[str, Any]) -> Model:
    """Make settings of the options that were given.

    Raises
    ------
    SettingsError
        If a value is out of range.
    """
    try:
        return model.model_validate(given(options))
    except ValidationError as error:
        raise SettingsError(f"Wrong option: {first_problem(error)}.") from None


def _annotation(name: str, field: FieldInfo, default: str | None) -> Any:
    kinds = [kind for kind in get_args(field.annotation) or () if kind is not type(None)]
    kind = field.annotation
    metavar = None
    if get_origin(field.annotation) is Literal:
        choices = _choices(field)
        kind, metavar = type(kinds[0]), choices if len(choices) <= WIDEST else "NAME"
    elif kinds:
        kind = kinds[0]
    flag = name.replace("_", "-")
    option = typer.Option(
        f"--{flag}/--no-{flag}" if kind is bool and field.default else f"--{flag}",
        help=_help(field, default),
        show_default=False,
        metavar=metavar,
    )
    return Annotated[kind | None, option]  # type: ignore[operator]


def _choices(field: FieldInfo) -> str:
    """Return the values that a field may have, or "" if they are not listed."""
    if get_origin(field.annotation) is not Literal:
        return ""
    return "|".join(str(choice) for choice in get_args(field.annotation))


def _help(field: FieldInfo, default: str | None) -> str:
    if default is None and field.default is not None:
        default = str(field.default)
    choices = _choices(field)
    names = f"one of {choices.replace('|', ', ')}" if len(choices) > WIDEST else ""
    healthy, unit = healthy_range(field), unit_of(field)
    parts = (
        f"in {unit.name}" if unit else "",
        _range(field),
        healthy and f"healthy {healthy}",
        names,
        default and f"default {default}",
    )
    notes = "; ".join(filter(None, parts))
    return f"{field.description} ({notes})" if notes else str(field.description)


def _range(field: FieldInfo) -> str:
    words = []
    for bound in field.metadata:
        match bound:
            case annotated_types.Ge(ge=value):
                words.append(f"from {value}")
            case annotated_types.Gt(gt=value):
                words.append(f"above {value}")
            case annotated_types.Le(le=value):
                words.append(f"to {value}")
            case _:
                pass
    return " ".join(words)
