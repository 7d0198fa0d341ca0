"""``napari-rls train-fields``: add what starts the search of cells in LR fields to a bundle."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from napari_rls.cli.network_options import (
    BundleName,
    ChannelSources,
    Data,
    DnaChannel,
    Images,
    NetworkView,
    Out,
    Overwrite,
    Resume,
    Run,
    Validation,
    hr_images,
    run_folder,
)
from napari_rls.cli.options import build, options_of
from napari_rls.cli.reporting import FAILED, WRONG_USAGE, exit_code, kept_path, put
from napari_rls.cli.resumable import check_bundle, check_run, kept, wrong_usage
from napari_rls.measure.nuclei import NucleusSettings
from napari_rls.training.field_encoder_settings import FieldEncoderSettings


@options_of(NucleusSettings)
@options_of(FieldEncoderSettings)
def train_fields(
    images: Images,
    bundle: BundleName,
    out: Out,
    channels: ChannelSources = "",
    validation: Validation = None,
    run: Run = None,
    resume: Resume = False,
    dna_channel: DnaChannel = "",
    data: Data = "the user's own images",
    overwrite: Overwrite = False,
    **options: Any,
) -> None:
    """Train what starts the search of cells in LR fields, for a microscope of any resolution.

    Degrades HR crops as random microscopes do, of any ratio of pixel sizes, PSF, noise and place
    on the pixel grid, trains a network to find the latents of which the generator draws the HR
    crops, and writes the bundle with the network added; all else in it stays as it is. Ctrl-C
    keeps a checkpoint; the same command with --resume goes on.
    """
    folder = run_folder(run, out)
    with exit_code(WRONG_USAGE):
        from napari_rls.workflow.train.train_fields import FieldEncoderJob
        from napari_rls.workflow.train.train_fields import train_fields as work

        own = {k: v for k, v in options.items() if k in FieldEncoderSettings.model_fields}
        job = FieldEncoderJob(
            hr=hr_images(
                images,
                validation,
                bundle=bundle,
                channels=channels,
                dna_channel=dna_channel,
                options=options,
            ),
            bundle=bundle,
            settings=build(FieldEncoderSettings, own),
            out=out,
            folder=folder,
            data=data,
        )
        check_bundle(out, overwrite=overwrite)
        check_run(folder, resume=resume)
    with (
        exit_code(FAILED),
        wrong_usage(),
        kept_path(),
        kept(folder),
        NetworkView("Field encoder") as view,
        closing(work(job)) as updates,
    ):
        for update in updates:
            view.update(update)
    put(out)
