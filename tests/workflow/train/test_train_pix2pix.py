"""``napari-rls train-pix2pix``: HR images and a bundle in, the bundle with a network out."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from safetensors.torch import load_file
from synthetic_cells import field
from typer.testing import CliRunner, Result

from napari_rls.cli.main import app
from napari_rls.cli.network_options import NetworkView
from napari_rls.errors import BundleError
from napari_rls.models.architecture import Architecture
from napari_rls.models.bundle import Bundle, load_bundle
from napari_rls.models.bundle_file import read_manifest, write
from napari_rls.models.manifest import Intensity, Manifest, Pix2PixNetwork, Pix2PixSpec
from napari_rls.models.pix2pix import UNet, build_unets
from napari_rls.training.discriminator import Discriminator
from napari_rls.training.pix2pix_settings import Pix2PixSettings
from napari_rls.workflow.train.network_job import NetworkUpdate
from napari_rls.workflow.train.train_pix2pix import with_network

TINY_LINE = (
    "--width 4 --width-max 8 --steps 6 --batch-size 4 --report-steps 2 --threads 1 --device cpu"
)
TINY = TINY_LINE.split()
CENTRES = [(30.0, 40.0), (60.0, 25.0), (64.0, 64.0), (6.0, 80.0)]
RECORD = Pix2PixNetwork(
    factor=8,
    width=4,
    width_max=8,
    images=9,
    validation=3,
    steps=6,
    batch_size=4,
    seed=0,
    l1=0.1,
    bicubic_l1=0.2,
    data="tiny fields",
)


def run(*args: object, code: int = 0, name: str = "train-pix2pix") -> Result:
    result = CliRunner().invoke(app, [*name.split(), *map(str, args)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def fields(tmp_path: Path) -> Path:
    """Four fields of three whole cells and one at the border."""
    folder = tmp_path / "fields"
    folder.mkdir()
    for k in range(4):
        image = np.roll(field(CENTRES), k, axis=2)
        tifffile.imwrite(folder / f"f{k}.tif", image, photometric="minisblack")
    return folder


def out(tmp_path: Path, name: str = "mine") -> Path:
    return tmp_path / f"{name}.rls.safetensors"


def random_unet(factor: int, seed: int = 0) -> UNet:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = UNet(2, 32, factor, 4, 8)
        network(torch.rand(4, 2, 32 // factor, 32 // factor))  # running statistics
    return network.eval()


def test_a_network_is_kept_in_half_precision(tiny_bundle: Bundle, tmp_path: Path) -> None:
    network = random_unet(8)
    made = with_network(tiny_bundle, network, RECORD).save(out(tmp_path))
    lr = torch.rand(3, 2, 4, 4) * 2 - 1
    with torch.no_grad():
        expected = network(lr, torch.Generator().manual_seed(1))
        back = load_bundle(out(tmp_path))
        found = back.pix2pix[8](lr, torch.Generator().manual_seed(1))
    torch.testing.assert_close(found, expected, rtol=0.01, atol=0.003)
    assert not back.pix2pix[8].training
    assert not any(p.requires_grad for p in back.pix2pix[8].parameters())
    assert back.manifest == made.manifest
    assert back.manifest.pix2pix.factors == (8,)
    stored = load_file(out(tmp_path))
    mine = {n: t for n, t in stored.items() if n.startswith("pix2pix.8.")}
    assert {t.dtype for t in mine.values()} == {torch.float16}
    assert len(mine) == len(network.state_dict())


def test_all_else_in_a_bundle_stays_as_it_is(tiny_bundle: Bundle, tmp_path: Path) -> None:
    torch.manual_seed(0)
    judge = Discriminator(tiny_bundle.manifest.architecture).state_dict()
    manifest = tiny_bundle.manifest.model_copy(
        update={"format_version": 2, "measurement": {"signal": "GFP"}}
    )
    replace(tiny_bundle, manifest=manifest, discriminator=judge).save(out(tmp_path, "old"))
    old = load_bundle(out(tmp_path, "old"))
    with_network(old, random_unet(8), RECORD).save(out(tmp_path, "new"))
    second = RECORD.model_copy(update={"factor": 4})
    new = load_bundle(out(tmp_path, "new"))
    with_network(new, random_unet(4), second).save(out(tmp_path, "both"))
    before, first, both = (load_file(out(tmp_path, name)) for name in ("old", "new", "both"))
    assert all(torch.equal(before[name], both[name]) for name in before)
    assert all(torch.equal(first[name], both[name]) for name in first)
    added = both.keys() - before.keys()
    assert {name.split(".")[0] for name in added} == {"pix2pix"}
    manifests = [read_manifest(out(tmp_path, name)).model_dump() for name in ("old", "both")]
    changed = {k for k in manifests[0] if manifests[0][k] != manifests[1][k]}
    assert changed == {"format_version", "pix2pix", "content_hash"}
    assert read_manifest(out(tmp_path, "both")).pix2pix.factors == (4, 8)


def test_a_network_of_the_same_factor_is_replaced(tiny_bundle: Bundle) -> None:
    once = with_network(tiny_bundle, random_unet(8), RECORD)
    better = RECORD.model_copy(update={"width_max": 16, "l1": 0.05})
    twice = with_network(once, UNet(2, 32, 8, 4, 16), better)
    assert twice.manifest.pix2pix.networks == (better,)
    assert once.manifest.pix2pix.networks == (RECORD,)


def test_bundles_of_older_formats_have_none(tiny_bundle: Bundle, tmp_path: Path) -> None:
    for version in (1, 2):
        old = tiny_bundle.manifest.model_copy(update={"format_version": version})
        replace(tiny_bundle, manifest=old).save(out(tmp_path))
        back = load_bundle(out(tmp_path))
        assert (back.manifest.format_version, back.manifest.pix2pix, back.pix2pix) == (
            version, None, {},
        )  # fmt: skip


def test_networks_that_the_manifest_does_not_fit(tiny_bundle: Bundle, tmp_path: Path) -> None:
    path = out(tmp_path)
    with_network(tiny_bundle, random_unet(8), RECORD).save(path)
    tensors, manifest = load_file(path), read_manifest(path)
    wider = RECORD.model_copy(update={"width": 8})
    wrong = manifest.model_copy(update={"pix2pix": Pix2PixSpec(networks=(wider,))})
    write(path, wrong, tensors)
    with pytest.raises(BundleError, match=r"tensor pix2pix.8.* the manifest asks for"):
        load_bundle(path)
    write(path, manifest.model_copy(update={"pix2pix": None}), tensors)
    with pytest.raises(BundleError, match=r"tensor pix2pix\.8\.\S+ does not belong there"):
        load_bundle(path)
    for networks, problem in [
        ((RECORD, RECORD), "each factor can have one Pix2Pix network"),
        ((RECORD.model_copy(update={"factor": 5}),), "no multiple of the Pix2Pix factor 5"),
    ]:
        with pytest.raises(ValueError, match=problem):
            Manifest.model_validate(
                manifest.model_dump()
                | {"pix2pix": {"networks": [n.model_dump() for n in networks]}}
            )


def test_from_fields_to_a_bundle_with_a_network(
    tmp_path: Path, fields: Path, tiny_bundle_file: Path
) -> None:
    args = ("--bundle", tiny_bundle_file, "--out", out(tmp_path), "--data", "four fields", *TINY)
    done = run(fields, *args)
    assert done.stdout.split() == [str(out(tmp_path))]
    assert "crops to train on and 3 to validate on, from 4 fields" in done.stderr
    assert "of bicubic upsampling: " in done.stderr
    assert "images/s" in done.stderr
    bundle = load_bundle(out(tmp_path))
    (record,) = bundle.manifest.pix2pix.networks
    assert (record.factor, record.steps, record.validation) == (8, 6, 3)
    assert record.l1 > record.bicubic_l1 > 0  # after six steps
    trained = load_file(tmp_path / "mine-run" / "checkpoint.safetensors")
    for name, tensor in bundle.pix2pix[8].state_dict().items():
        torch.testing.assert_close(tensor, trained[f"network.{name}"], rtol=1e-3, atol=1e-6)
    told = run(out(tmp_path), name="bundles info").stdout
    assert "Pix2Pix at 8x" in told
    assert "6 steps on" in told
    assert "crops of four fields" in " ".join(told.split())


def test_crops_of_the_full_size_are_taken_as_they_are(
    tmp_path: Path, tiny_bundle_file: Path
) -> None:
    rng = np.random.default_rng(0)
    files = []
    for k, count in enumerate((10, 4)):
        data = rng.integers(0, 255, (count, 2, 32, 32), dtype=np.uint16)
        data[:, :, 0, 0] = 2000  # A few bright pixels make no other unit.
        files.append(tmp_path / f"crops{k}.ome.tif")
        tifffile.imwrite(files[-1], data, metadata={"axes": "TCYX"})
    done = run(
        files[0], "--validation", files[1], "--channels", "protein=1,nucleus=0",
        "--bundle", tiny_bundle_file, "--out", out(tmp_path), "--factor", 4, *TINY,
    )  # fmt: skip
    assert "10 crops to train on and 4 to validate on" in done.stderr
    assert set(load_bundle(out(tmp_path)).pix2pix) == {4}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stop_and_resume_makes_the_same_bundle(
    tmp_path: Path,
    fields: Path,
    tiny_bundle_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    line = (fields, "--bundle", tiny_bundle_file, *TINY, "--out")
    run(*line, out(tmp_path, "through"))
    show = NetworkView.update

    def stop(self: NetworkView, update: NetworkUpdate) -> None:
        show(self, update)
        if update.step and update.step.steps == 3:
            signal.raise_signal(number)

    monkeypatch.setattr(NetworkView, "update", stop)
    stopped = run(*line, out(tmp_path, "stopped"), code=code)
    assert "the same command with --resume goes on with it" in stopped.stderr
    assert not out(tmp_path, "stopped").exists()
    monkeypatch.undo()
    assert "give --resume to go on" in run(*line, out(tmp_path, "stopped"), code=2).stderr
    run(*line, out(tmp_path, "stopped"), "--resume")
    hashes = [read_manifest(out(tmp_path, n)).content_hash for n in ("through", "stopped")]
    assert hashes[0] == hashes[1]


def test_refusals(
    tmp_path: Path, fields: Path, tiny_bundle: Bundle, tiny_bundle_file: Path
) -> None:
    line = (fields, "--bundle", tiny_bundle_file, "--out", out(tmp_path), *TINY)
    odd = run(*line, "--factor", 5, code=2).stderr
    assert "The factor 5 does not divide the 32 pixels of the bundle tiny; give one" in odd
    none = run(*line, "--channels", "DNA,GFP", code=2).stderr
    assert "must tell for each channel of the bundle" in none
    assert "as in nucleus=0,protein=1." in none
    missing = run(fields, "--bundle", "none", "--out", out(tmp_path), *TINY, code=2).stderr
    assert "embedded bundles" in missing
    one = run(fields / "f0.tif", *line[1:], "--batch-size", 2, code=2).stderr
    assert "none can be held out to validate on; give more images" in one
    wrong = run(*line, "--steps", 0, code=2).stderr
    assert "Wrong option: steps must be 1 or more." in wrong
    assert not list(tmp_path.glob("mine-run*"))
    high = Intensity(low=10_000, high=60_000, unit="counts")
    other = tmp_path / "other.rls.safetensors"
    manifest = tiny_bundle.manifest.model_copy(update={"intensity": high})
    replace(tiny_bundle, manifest=manifest).save(other)
    dim = run(fields, "--bundle", other, "--out", out(tmp_path), *TINY, code=2).stderr
    assert "but the bundle tiny knows 10000 to 60000 counts; give images in that unit" in dim
    assert not out(tmp_path).exists()


def test_help_shows_every_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    text = " ".join(run("--help").stdout.split())
    for name, info in Pix2PixSettings.model_fields.items():
        assert f"--{name.replace('_', '-')} " in text
        assert info.description in text


@pytest.mark.parametrize("size", [8, 256, 1024])
def test_a_generator_of_any_size_can_have_one(tiny_bundle: Bundle, size: int) -> None:
    arch = Architecture(resolution=size, image_channels=2)
    record = RECORD.model_copy(update={"factor": size // 4, "width": 1, "width_max": 1})
    manifest = tiny_bundle.manifest.model_copy(
        update={"architecture": arch, "pix2pix": Pix2PixSpec(networks=(record,))}
    )
    (network,) = build_unets(manifest).values()
    with torch.no_grad():
        assert network.eval()(torch.zeros(1, 2, 4, 4)).shape == (1, 2, size, size)
