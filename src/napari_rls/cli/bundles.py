"""``napari-rls bundles``: what bundles there are, what they say, whether they are whole; import."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from napari_rls.cli.calibrate import calibrate
from napari_rls.cli.import_checkpoint import import_checkpoint
from napari_rls.cli.reporting import FAILED, exit_code, problem, put, say
from napari_rls.models.bundle_file import read_manifest
from napari_rls.models.bundle_file import verify as verify_file
from napari_rls.models.catalogue import embedded_bundles, find_bundle
from napari_rls.models.field_specs import ABOVE
from napari_rls.models.manifest import Manifest, Pix2PixNetwork, Training
from napari_rls.models.trust import Trust
from napari_rls.text import for_terminal
from napari_rls.workflow.super_resolve.told_column import told_column

bundles = typer.Typer(
    help="List, describe, verify, import and calibrate model bundles.", no_args_is_help=True
)
bundles.command("import")(import_checkpoint)
bundles.command("calibrate")(calibrate)

NameOrFile = Annotated[
    str, typer.Argument(metavar="NAME_OR_FILE", help="An embedded bundle's name, or a file.")
]


@bundles.command("list")
def list_bundles() -> None:
    """List the embedded bundles."""
    table = Table("Name", "Channels", "HR size", "Title", box=None, pad_edge=False)
    for name, path in embedded_bundles().items():
        with exit_code(FAILED):
            manifest = read_manifest(path)
        size = f"{manifest.hr_size} x {manifest.hr_size}"
        texts = (name, ", ".join(manifest.channel_names), size, manifest.title)
        table.add_row(*(Text(for_terminal(text)) for text in texts))
    Console().print(table)


@bundles.command()
def info(bundle: NameOrFile) -> None:
    """Show all that a bundle says of itself."""
    with exit_code(FAILED):
        path = find_bundle(bundle)
        manifest = read_manifest(path)
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, text in _facts(path, manifest):
        table.add_row(label, Text(for_terminal(text, lines=True)))
    Console(highlight=False).print(table)


@bundles.command()
def verify(
    names: Annotated[
        list[str],
        typer.Argument(metavar="NAME_OR_FILE...", help="Embedded bundles' names, or files."),
    ],
) -> None:
    """Check that every bit of bundles is as it was written."""
    failed = False
    for name in names:
        try:
            manifest = verify_file(find_bundle(name))
        except Exception as error:
            sentence = problem(error)
            if sentence is None:
                raise
            say(sentence)
            failed = True
        else:
            put(f"{name}: whole, content hash {manifest.content_hash}")
    if failed:
        raise typer.Exit(FAILED)


def _facts(path: Path, manifest: Manifest) -> list[tuple[str, str]]:
    arch, fit, training = manifest.architecture, manifest.flow_fit, manifest.training
    unit = manifest.intensity
    pixel = f"{manifest.pixel_size_um:g} µm" if manifest.pixel_size_um else "unknown size"
    shown = f"{training.images:,} crops, " if training.images else ""
    kimg = f", {training.kimg:g} thousand images shown" if training.kimg else ""
    flow = (
        f"{manifest.flow.kind.upper()}, {manifest.flow.blocks} blocks, {fit.samples:,} w; "
        f"Kolmogorov-Smirnov distance {fit.ks_distance:.3f}"
    )
    if manifest.flow_doubt:
        flow += f". {manifest.flow_doubt}"
    return [
        ("Name", manifest.name),
        ("Title", manifest.title),
        ("Channels", ", ".join(f"{c.name} ({c.colour})" for c in manifest.channels)),
        ("HR size", f"{manifest.hr_size} x {manifest.hr_size} pixels of {pixel}"),
        ("Intensities", f"{unit.low:g} to {unit.high:g} {unit.unit}. {unit.note}".rstrip()),
        *_camera(manifest),
        ("Generator", f"StyleGAN2, w of {arch.w_dim} dimensions, {arch.num_ws} layers"),
        ("Trained on", f"{shown}{training.data}{kimg}"),
        *_distances(training),
        ("Flow", flow),
        *_field_encoder(manifest),
        *[(f"Pix2Pix at {net.factor}x", _pix2pix(net)) for net in _networks(manifest)],
        *_direct(manifest),
        *[
            (f"Trust at {trust.factor}x", _trust(trust, manifest.channel_names))
            for trust in manifest.trust
        ],
        ("Intended use", manifest.intended_use),
        ("Limits", manifest.limits),
        ("Licence", manifest.licence),
        ("Attribution", manifest.attribution),
        ("Made by", manifest.created_by),
        ("Content hash", manifest.content_hash),
        ("File", str(path)),
    ]


def _field_encoder(manifest: Manifest) -> list[tuple[str, str]]:
    """Return what starts the search of cells in LR fields, if there is such a network."""
    spec = manifest.field_encoder
    if spec is None:
        return []
    low, high = spec.ratios
    factors = ", ".join(f"{factor}x" for factor in spec.crop_factors)
    crops = f", crops at {factors}" if factors else ""
    fitted = (
        f"ratios {low:.3g} to {high:.3g}{crops}; {spec.steps:,} steps on {spec.images:,} crops of "
        f"{spec.data}; L1 on {spec.validation:,} held-out crops {spec.l1:.4f}"
    )
    no_start = "" if spec.start else "; for noise and brightness alone, no search starts at it"
    return [("Field encoder", fitted + no_start), *_flow_matching(manifest)]


def _flow_matching(manifest: Manifest) -> list[tuple[str, str]]:
    names = {
        "image": ("Flow matching", "an image", ""),
        "coarse": ("Coarse flow", "a coarse image", f"; draws first above a ratio of {ABOVE:g}"),
    }
    rows = []
    for part, spec in manifest.flows.items():
        name, drawn, where = names[part]
        if spec is not None:
            fitted = (
                f"{spec.steps:,} steps on {spec.images:,} crops of {spec.data}; L1 of {drawn} "
                f"drawn of each of {spec.validation:,} held-out crops {spec.l1:.4f}{where}"
            )
            rows.append((name, fitted))
    return rows


def _networks(manifest: Manifest) -> tuple[Pix2PixNetwork, ...]:
    return manifest.pix2pix.networks if manifest.pix2pix else ()


def _pix2pix(net: Pix2PixNetwork) -> str:
    return (
        f"{net.steps:,} steps on {net.images:,} crops of {net.data}; L1 on {net.validation:,} "
        f"held-out crops {net.l1:.4f}, of bicubic upsampling {net.bicubic_l1:.4f}"
    )


def _direct(manifest: Manifest) -> list[tuple[str, str]]:
    spec = manifest.direct
    if spec is None:
        return []
    factors = ", ".join(f"{factor}x" for factor in spec.factors)
    fitted = (
        f"{factors}: {', '.join(column.column for column in spec.columns)}; {spec.steps:,} steps "
        f"on {spec.images:,} crops of {spec.data}, intervals widened on {spec.validation:,} "
        f"held-out crops of {spec.files:,} file{'' if spec.files == 1 else 's'}"
    )
    told = {factor: told_column(manifest, factor) for factor in spec.factors}
    held = ", ".join(
        f"{factor}x (slope {column.shrinkage.slope:.2f})"
        for factor, column in told.items()
        if column
    )
    fitted += f". Searches are held to what it tells of the ratio at {held}" if held else ""
    return [("Direct measurements", fitted)]


def _trust(trust: Trust, channels: Sequence[str]) -> str:
    names = ", ".join(correction.column for correction in trust.corrections)
    corrected = f"intervals corrected of {names}" if names else "no interval corrected"
    lines = [
        f"{trust.domain.cells:,} cells of {trust.data}; {corrected}",
        _held(trust),
        _pixels(trust, channels),
        _left_open(trust),
        _no_cells(trust),
    ]
    return "\n".join(filter(None, lines))


def _held(trust: Trust) -> str:
    """Return what intervals of the main measurement held, "" where that is not known."""
    from napari_rls.measure.cells import MeasureSettings, headline_columns
    from napari_rls.measure.intervals import TABLE_LEVEL

    known = {
        one.column: (one.reliability, one.levels.index(TABLE_LEVEL))
        for one in trust.corrections
        if one.reliability is not None and TABLE_LEVEL in one.levels
    }
    names = [*known]
    # An assay may be of a package that is not installed.
    with suppress(ValueError):
        names[:0] = headline_columns(MeasureSettings.model_validate(trust.measurement))
    main = next((name for name in names if name in known), None)
    if main is None:
        return ""
    told, k = known[main]
    drawn_by = trust.settings.get("posterior", "bound")
    return (
        f"{main}: {_percent(TABLE_LEVEL)} intervals of samples by '{drawn_by}' held "
        f"{_percent(told.held[k])} (as drawn {_percent(told.held_drawn[k])}), median width "
        f"{told.width[k]:.3g} ({told.width_drawn[k]:.3g}), of {told.cells:,} held-out cells, each "
        f"judged by a correction fitted on other {told.of}s"
    )


def _pixels(trust: Trust, channels: Sequence[str]) -> str:
    """Return what the trust mask holds, "" without one."""
    known = trust.pixels
    if known is None:
        return ""
    named = zip(channels, known.limits, known.shares, strict=False)
    shares = ", ".join(
        f"{name} {'nothing' if limit is None else _percent(share)}" for name, limit, share in named
    )
    return (
        f"Trust mask: largest error inside at most {_percent(known.alpha)} of the range in the "
        f"mean over {known.cells:,} cells; of their pixels it holds {shares}"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _left_open(trust: Trust) -> str:
    """Return what LR images leave open of measurements, "" where that is not known."""
    if not trust.left_open:
        return ""
    shares = ", ".join(
        f"{one.column} {_percent(one.by_truth)} ({_percent(one.by_samples)})"
        for one in trust.left_open
    )
    return f"Variance over cells that LR images leave open, by HR images (by samples): {shares}"


def _no_cells(trust: Trust) -> str:
    """Return what became of crops without cells, "" where that is not known."""
    words = {"noise": "pure noise", "background": "empty background"}
    tried = [
        f"{words[one.kind]}, {one.crops} crops: a nucleus found in {one.found}, "
        f"{one.flagged} flagged"
        for one in trust.no_cells
    ]
    return f"Without cells: {'; '.join(tried)}" if tried else ""


def _camera(manifest: Manifest) -> list[tuple[str, str]]:
    """Return the noise of every channel where the image is black and where it is white."""
    if manifest.camera is None:
        return []
    span = (manifest.intensity.high - manifest.intensity.low) / 2
    noise = [
        f"{channel.name} {floor**0.5 * span:.2g} to {(2 * slope + floor) ** 0.5 * span:.2g}"
        for channel, slope, floor in zip(
            manifest.channels, manifest.camera.slope, manifest.camera.floor, strict=True
        )
    ]
    whole = "; to whole grey levels" if manifest.camera.step else ""
    return [("Camera noise", f"deviation from black to white: {', '.join(noise)}{whole}")]


def _distances(training: Training) -> list[tuple[str, str]]:
    values = {"KID": training.kid, "FID": training.fid}
    known = ", ".join(f"{name} {value:.3g}" for name, value in values.items() if value is not None)
    if not known:
        return []
    crops = f", against {training.validation:,} held-out crops" if training.validation else ""
    return [("Distance", f"{known} ({training.features or 'features not named'}){crops}")]
