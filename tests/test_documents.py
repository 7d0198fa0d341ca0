"""What README and docs tell to type works: Python is run, commands are parsed, fast ones run."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch
from pydantic import BaseModel
from synthetic_cells import field
from tiny_model import random_bundle
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from napari_rls.cli.main import app
from napari_rls.models import bundle as bundles
from napari_rls.models.bundle_file import SUFFIX
from napari_rls.models.pix2pix import UNet
from napari_rls.search.settings import Settings
from napari_rls.training.direct_settings import DirectSettings
from napari_rls.training.field_encoder_settings import FieldEncoderSettings
from napari_rls.training.pix2pix_settings import Pix2PixSettings
from napari_rls.training.training_settings import TrainSettings
from napari_rls.workflow.benchmark.benchmark_settings import BenchmarkSettings
from napari_rls.workflow.cells.degrade import DegradeSettings, degrade
from napari_rls.workflow.cells.simulated import SimulateSettings
from napari_rls.workflow.cells.stack import stack_from_array
from napari_rls.workflow.check.check_settings import CheckSettings
from napari_rls.workflow.super_resolve.kept_resolver import super_resolve
from napari_rls.workflow.super_resolve.result import Collector

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle

ROOT = Path(__file__).parents[1]
SHELLS = ("sh", "console", "bash")
SETTINGS: dict[str, type[BaseModel]] = {
    "super-resolve": Settings,
    "degrade": DegradeSettings,
    "simulate": SimulateSettings,
    "train": TrainSettings,
    "train-fields": FieldEncoderSettings,
    "train-pix2pix": Pix2PixSettings,
    "train-direct": DirectSettings,
    "benchmark": BenchmarkSettings,
    "check": CheckSettings,
}
"""The settings whose fields a command has as options."""


@dataclass(frozen=True)
class Block:
    """A block of code in a document."""

    place: str
    language: str
    text: str


def blocks(*languages: str) -> Iterator[Block]:
    for path in [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]:
        text = path.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if found[1] in languages:
                line = text.count("\n", 0, found.start()) + 1
                yield Block(f"{path.relative_to(ROOT)}:{line}", found[1], found[2])


def lines(text: str) -> Iterator[list[str]]:
    """Yield the words of every command; variables stand for a factor, "..." for more files."""
    text = re.sub(r"\$\{?factor\}?", "16", text.replace("\\\n", " "))
    for line in text.splitlines():
        words = [word for word in shlex.split(line, comments=True) if word != "..."]
        if words:
            yield words


EVERY = list(blocks("python", *SHELLS))


def of(*languages: str) -> list[Any]:
    return [pytest.param(b, id=b.place) for b in EVERY if b.language in languages]


@pytest.fixture(scope="module")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of 64 px with a Pix2Pix network, of random weights."""
    bundle = random_bundle(size=64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = UNet(2, 64, 8, 4, 16).requires_grad_(False).eval()
    path = tmp_path_factory.mktemp("documents") / "small.rls.safetensors"
    bundle.save(path)
    loaded = bundles.load_bundle(path)
    return _with_network(loaded, network, path)


def _with_network(bundle: Bundle, network: UNet, path: Path) -> Path:
    from napari_rls.models.manifest import Pix2PixNetwork
    from napari_rls.workflow.train.train_pix2pix import with_network

    record = Pix2PixNetwork(
        factor=8, width=4, width_max=16, steps=1, batch_size=1, seed=0, images=1, validation=1,
        l1=0.1, bicubic_l1=0.1, data="none",
    )  # fmt: skip
    with_network(bundle, network, record).save(path)
    return path


SHORTER = (
    ("Settings(factor=8)", "Settings(factor=8, steps=2, sample_steps=2, samples=2, batch_size=2)"),
    ('("rls", "pulse", "brgm"))', '("rls", "pulse", "brgm"), max_steps=2)'),
    (', "st-lpips", "inception=weights.pth")', ",)"),
)
"""What makes an example fast, or spares it files that only a user has."""


@pytest.mark.parametrize("block", of("python"))
def test_python_runs(block: Block, small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = bundles.find_bundle

    def found(name: str | Path) -> Path:
        # The names of embedded bundles must be right; files are a user's.
        return small_bundle if str(name).endswith(SUFFIX) or find(name) else find(name)

    monkeypatch.setattr(bundles, "find_bundle", found)
    code = block.text
    for long, short in SHORTER:
        code = code.replace(long, short)
    hr = np.random.default_rng(0).uniform(0, 250, (5, 2, 64, 64)).astype(np.float32)
    lr = stack_from_array(degrade(hr, 8))
    known: dict[str, Any] = {"hr": hr, "lr": lr, "truth": hr, "sr": hr}
    if "compare(" in code:
        pass  # lr is a stack, truth in its unit
    elif "score(" in code:
        known = {"sr": hr / 125 - 1, "truth": hr[::-1] / 125 - 1}
    else:
        known["lr"] = torch.from_numpy(lr.data) / 125 - 1
    namespace = dict(known)
    # This file's own "from __future__" is not the document's.
    exec(compile(code, block.place, "exec", dont_inherit=True), namespace)
    if "super_resolve(" in code:
        settings = Settings(factor=8, steps=2, sample_steps=2, samples=2, batch_size=2)
        expected = Collector(lr, 64)
        for update in super_resolve(lr, str(small_bundle), settings):
            expected.add(update)
        np.testing.assert_array_equal(namespace["sr"], expected.sr)
        assert np.isfinite(namespace["sr"]).all()
    elif "table" in namespace:
        assert len(namespace["table"])
    else:
        assert namespace["sr"].shape == (5, 2, 64, 64)


def parsed(words: list[str]) -> Any:
    """Parse a command line as the command does, and return its context."""
    command, context, name = get_command(app), None, "napari-rls"
    while isinstance(command, TyperGroup):
        context = command.make_context(name, words, parent=context)
        words = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, words)
    return command.make_context(name, list(words), parent=context)


def environments() -> set[str]:
    """Return the environments that tox knows by name."""
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    return {name.removeprefix("testenv:") for name in tox.sections()}


@pytest.mark.parametrize("block", of(*SHELLS))
def test_commands_are_there_with_their_options(block: Block) -> None:
    seen = 0
    for words in lines(block.text):
        if words[0] == "napari-rls":
            context = parsed(words[1:])
            model = SETTINGS.get(context.info_name)
            if model is not None:
                own = set(model.model_fields) - {"channels", "factors", "methods", "features"}
                given = {k: v for k, v in context.params.items() if k in own and v is not None}
                needed = {"channels": ("DNA", "GFP")} if model is TrainSettings else {}
                if model is SimulateSettings:
                    given.pop("condition", None)
                model.model_validate(needed | given)
        elif words[0] == "python":
            script = (ROOT / words[1]).read_text(encoding="utf-8")
            for option in (word for word in words if word.startswith("--")):
                assert f'"{option}"' in script
        else:
            if words[0] == "tox":
                seen += 1
                assert set(words[words.index("-e") + 1].split(",")) <= environments(), words
                continue
            known = ("for", "done", "python3", "pip", ".venv/bin/pip", ".venv/bin/pre-commit")
            assert words[0] in known, words
            continue
        seen += 1
    assert seen or "pip" in block.text


@pytest.mark.parametrize(
    "line",
    [
        "napari-rls super-resolve lr.tif --out x --factr 8",
        "napari-rls super-solve lr.tif --out x",
        "napari-rls bundles lst",
        "napari-rls measure a.tif --out t.csv --assay golgi",
        "napari-rls degrade a.tif",
    ],
)
def test_what_is_not_there_is_noticed(line: str) -> None:
    ((_, *words),) = lines(line)
    with pytest.raises(Exception, match=r"No such (option|command)|There is no assay|Missing "):
        parsed(words)


FAST: dict[str, list[str]] = {
    "crops": [],
    "degrade": [],
    "super-resolve": ["--steps", "2", "--sample-steps", "2", "--bundle", "BUNDLE"],
    "measure": [],
    "bundles": [],
    "simulate": ["--cells", "2"],
}
"""Commands that take no hours, and what makes them take a second."""


def test_the_commands_of_the_page_follow_on_each_other(
    tmp_path: Path, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for k, well in enumerate(("B01", "B12")):
        nuclei = field([(50.0, 60.0), (120.0, 90.0 + 10 * k)], shape=(192, 192), radius=9)
        tifffile.imwrite(f"{well}.ome.tif", nuclei, metadata={"Channel": {"Name": ["DNA", "GFP"]}})
    ran = []
    (block,) = (b for b in EVERY if "command_line.md" in b.place and "napari-rls crops" in b.text)
    for words in lines(block.text):
        if words[1] not in FAST or "import" in words:
            continue
        more = [str(small_bundle) if word == "BUNDLE" else word for word in FAST[words[1]]]
        result = CliRunner().invoke(app, [*words[1:], *more])
        assert result.exit_code == 0, result.output
        ran.append(words[1])
    assert set(ran) == set(FAST)
    assert (tmp_path / "table.csv").stat().st_size > 500
