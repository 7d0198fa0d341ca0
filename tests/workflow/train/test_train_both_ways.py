"""A run that the command line began goes on in the widget, and the reverse."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from train_bench import SMALL, TrainBench, small_plan, write_fields
from typer.testing import CliRunner, Result

from napari_rls.cli import train as command
from napari_rls.cli.main import app
from napari_rls.models.bundle import load_bundle
from napari_rls.widgets.train.train_plan import TrainPlan
from napari_rls.workflow.train.train_bundle import JobUpdate
from napari_rls.workflow.train.train_job import kept_job

OPTIONS = [
    word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", str(value))
] + ["--fit-samples", "300", "--fit-epochs", "1"]


def run(*args: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["train", *map(str, args)])
    assert result.exit_code == code, result.output
    return result


def stopped_by_command(monkeypatch: pytest.MonkeyPatch, *args: object) -> None:
    """Begin a run with the command line and press Ctrl-C after 20 images."""
    show = command._View.update

    def stop(self: command._View, update: JobUpdate) -> None:
        show(self, update)
        if update.step and update.step.images == 20:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(command._View, "update", stop)
        run(*args, code=130)


def stopped_by_widget(folder: Path, fields: Path, *, name: str = "mine", **plan) -> TrainBench:
    """Begin a run in the widget and press Cancel after 20 images."""
    bench = TrainBench(small_plan(folder), folder.parent / f"{folder.name}.json")
    bench.choose(fields)
    for field, value in {"name": name, **plan}.items():
        bench.controller.change(field, value)
    bench.controller.start()
    bench.thread.run_until(lambda: len(bench.state.curves.reports) == 2)
    bench.controller.cancel()
    bench.thread.close()
    return bench


@pytest.fixture
def fields(tmp_path):
    return write_fields(tmp_path / "fields")


def assert_same_bundle(one: Path, two: Path) -> None:
    first, second = load_bundle(one), load_bundle(two)
    assert first.manifest.content_hash == second.manifest.content_hash
    mine, other = first.tensors(), second.tensors()
    assert mine.keys() == other.keys()
    assert all(torch.equal(mine[name], other[name]) for name in mine)


def test_the_same_settings_make_the_same_record(tmp_path, fields, monkeypatch):
    bench = stopped_by_widget(tmp_path / "widget", fields, title="Mine", licence="CC0-1.0")
    words = ("--channels", "Hoechst,GFP", "--title", "Mine", "--licence", "CC0-1.0", *OPTIONS)
    place = tmp_path / "command"
    place.mkdir()
    stopped_by_command(monkeypatch, fields, "--out", place / "mine.rls.safetensors", *words)
    ours, theirs = (
        (folder / "mine-run" / "job.json").read_text().replace(str(folder), "PLACE")
        for folder in (bench.state.plan.folder, place)
    )
    assert ours == theirs
    ours, theirs = (
        (folder / "mine-run" / "run.json").read_text()
        for folder in (bench.state.plan.folder, place)
    )
    assert ours == theirs


def test_the_widget_goes_on_with_a_run_of_the_command_line(tmp_path, fields, monkeypatch):
    """With names of its own for bundle and folder, a DNA channel by index, images apart."""
    monkeypatch.chdir(tmp_path)
    words = (
        "fields/f[0-2].ome.tif", "--validation", "fields/f3.ome.tif", "--name", "a cell", "--title",
        "Mine", "--generator", "last", "--channels", "nuclei=0,protein=1", *OPTIONS,
    )  # fmt: skip
    run(*words, "--out", "through.rls.safetensors")
    other = ("--out", "apart/other.rls.safetensors", "--run", "runs/first")
    stopped_by_command(monkeypatch, *words, *other)
    monkeypatch.chdir("/")
    bench = TrainBench(TrainPlan(), tmp_path / "training.json")
    bench.controller.open_run(tmp_path / "runs" / "first")
    assert "Resume goes on with it" in bench.said
    plan = bench.state.plan
    assert (plan.name, plan.title, plan.channels) == ("a cell", "Mine", "nuclei=0,protein=1")
    assert plan.dna_channel == "nuclei"
    assert plan.bundle == tmp_path / "apart" / "other.rls.safetensors"
    assert bench.state.begun
    bench.train()
    assert bench.said.startswith("Done: the bundle is"), bench.said
    assert [report.images for report in bench.state.curves.reports] == [12, 20, 32, 40]
    assert_same_bundle(tmp_path / "through.rls.safetensors", plan.bundle)
    # What was said of that run is not said of the next one.
    bench.controller.change("name", "next")
    assert bench.state.plan.bundle == tmp_path / "apart" / "next.rls.safetensors"
    assert bench.state.plan.run_folder == tmp_path / "apart" / "next-run"
    bench.choose(fields)
    assert bench.state.plan.validation == ()


def test_the_command_line_goes_on_with_a_run_of_the_widget(tmp_path, fields):
    through = TrainBench(small_plan(tmp_path / "through"), tmp_path / "through.json")
    through.choose(fields)
    through.controller.change("licence", "CC0-1.0")
    through.train()
    bench = stopped_by_widget(tmp_path / "widget", fields, licence="CC0-1.0")
    plan = bench.state.plan
    done = run("--run", plan.run_folder, "--resume")
    assert "no new cut" in done.stderr
    assert done.stdout.split() == [str(plan.bundle)]
    assert_same_bundle(through.state.plan.bundle, plan.bundle)


def test_the_whole_command_goes_on_with_a_run_of_the_widget_too(tmp_path, fields):
    bench = stopped_by_widget(tmp_path / "widget", fields)
    plan = bench.state.plan
    words = ("--channels", "Hoechst,GFP", "--out", plan.bundle, *OPTIONS)
    done = run(fields, *words, "--resume")
    assert "no new cut" in done.stderr
    other = run(fields, *words, "--resume", "--overwrite", "--r1-gamma", 5, code=1)
    assert "holds a run of other settings (r1_gamma: 0.3, now 5.0)" in other.stderr
    assert kept_job(plan.run_folder).settings.r1_gamma == 0.3


def test_either_finishes_what_the_other_began(tmp_path, fields, monkeypatch):
    bench = stopped_by_widget(tmp_path / "widget", fields)
    done = run("--run", bench.state.plan.run_folder, "--finish")
    assert load_bundle(done.stdout.strip()).manifest.training.kimg == 0.02
    out = tmp_path / "mine.rls.safetensors"
    stopped_by_command(monkeypatch, fields, "--channels", "DNA,GFP", "--out", out, *OPTIONS)
    other = TrainBench(TrainPlan(), tmp_path / "other.json")
    other.controller.open_run(tmp_path / "mine-run")
    other.controller.finish()
    other.thread.finish()
    assert other.state.bundle == out
    assert load_bundle(out).manifest.training.kimg == 0.02
