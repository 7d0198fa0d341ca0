"""``napari-rls train-pix2pix``: add a network to a bundle that draws SR images at once."""

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
from napari_rls.training.pix2pix_settings import Pix2PixSettings


@options_of(NucleusSettings)
@options_of(Pix2PixSettings)
def train_pix2pix(
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
    """Train a Pix2Pix network for one scale factor: a rival that the search is compared with.

    Degrades HR crops, trains a U-Net against a PatchGAN discriminator to bring the HR crops back
    (Isola et al. 2017), and writes the bundle with the network added; all else in it stays as it
    is. Ctrl-C keeps a checkpoint; the same command with --resume goes on.
    """
    folder = run_folder(run, out)
    with exit_code(WRONG_USAGE):
        from napari_rls.workflow.train.train_pix2pix import Pix2PixJob
        from napari_rls.workflow.train.train_pix2pix import train_pix2pix as work

        own = {k: v for k, v in options.items() if k in Pix2PixSettings.model_fields}
        job = Pix2PixJob(
            hr=hr_images(
                images,
                validation,
                bundle=bundle,
                channels=channels,
                dna_channel=dna_channel,
                options=options,
            ),
            bundle=bundle,
            settings=build(Pix2PixSettings, own),
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
        NetworkView("Pix2Pix") as view,
        closing(work(job)) as updates,
    ):
        for update in updates:
            view.update(update)
    put(out)
