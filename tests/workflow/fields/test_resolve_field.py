"""A field from its LR image to SR cells in their places."""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from field_bench import COUNTS, NOISE, OFFSET, bundle, drawn_field

from napari_rls.errors import InputError, SettingsError
from napari_rls.search.kit import Batch, Kit
from napari_rls.search.networks import Networks
from napari_rls.search.settings import Settings
from napari_rls.workflow.fields.field_result import FieldUpdate
from napari_rls.workflow.fields.field_settings import FieldSettings
from napari_rls.workflow.fields.resolve_field import FieldResolver
from napari_rls.workflow.super_resolve.resolver import SuperResolver

OPTICS = {"ratio": 8, "psf_sigma": 0.45}


def resolver(**changes: object) -> FieldResolver:
    settings = Settings(**{"steps": 20, "samples": 0, "threads": 1} | changes)
    fields = FieldSettings(optics=OPTICS, noise=NOISE, scout_steps=5)
    return FieldResolver(SuperResolver(bundle(), settings), fields)


@pytest.fixture(scope="module")
def updates() -> list[FieldUpdate]:
    return list(resolver().updates(drawn_field().lr))


def test_all_cells_are_found_and_super_resolved_where_they_are(updates: list[FieldUpdate]) -> None:
    result = updates[-1].result
    assert result is not None
    truth = drawn_field().places
    apart = np.hypot(*(result.cells.places[:, None] - truth[None]).transpose(2, 0, 1))
    assert (apart.min(0) < 4 / 8).all()
    own = apart.argmin(0)
    crops = drawn_field().hr.reshape(2, 2, 64, 3, 64).transpose(1, 3, 0, 2, 4).reshape(6, 2, 64, 64)
    sr = (result.collector.sr[own] - OFFSET) / COUNTS
    for k in range(len(truth)):
        inner = (slice(None), slice(16, 48), slice(16, 48))
        assert np.corrcoef(sr[k][inner].ravel(), crops[k][inner].ravel())[0, 1] > 0.8
    image, generated = result.image.whole()
    assert image.shape == (2, 128, 192)
    assert generated.mean() > 0.9


def test_updates_come_in_order_and_say_what_was_assumed(updates: list[FieldUpdate]) -> None:
    stages = list(dict.fromkeys(update.stage for update in updates))
    assert stages == ["found", "scouting", "looked", "searching", "done"]
    told = " ".join(update.message for update in updates)
    assert re.search(r"\d nuclei found in B03_field", told)
    assert "Looked again in their SR images: " in told
    for update in updates:
        if update.step is not None:
            assert update.step.cells.max() < len(update.places)


def test_the_record_says_how_the_field_was_seen(updates: list[FieldUpdate]) -> None:
    result = updates[-1].result
    assert result is not None
    record = result.record
    assert record["microscope"]["ratio"] == 8
    assert record["microscope"]["psf_sigma"] == 0.45
    assert record["microscope"]["noise"] == NOISE.record()
    assert record["operator"] == {"name": "optics", "psf": "gaussian", "ratio": 8.0, "sigma": 0.45}
    assert record["generated"] is True
    assert len(record["places"]) == len(record["cells"]) == len(result.cells)
    assert record["crops"][0]["file"] == "B03_field.tif"


def test_places_chosen_by_hand_are_taken_as_they_are() -> None:
    places = drawn_field().places[:2]
    *_, last = resolver(steps=2).updates(drawn_field().lr, places=places)
    assert last.result is not None
    assert np.abs(last.result.cells.places - places).max() <= 0.5 / 8


def test_cells_nearest_to_a_place_come_first_and_the_result_grows_with_them() -> None:
    places = drawn_field().places
    of = resolver(steps=2, batch_size=2)
    reached = []
    for update in of.updates(drawn_field().lr, places=places, near=places[4]):
        if update.result is not None and update.step is not None and update.step.finished:
            reached.append(update.result.collector.finished)
    assert reached == [2, 4, 6]
    assert update.result is not None
    first = update.result.cells.places
    np.testing.assert_allclose(first[0], places[4], atol=0.5 / 8)
    assert (np.diff(np.hypot(*(first - places[4]).T)) > -0.2).all()


def test_a_cell_is_the_same_whatever_else_is_searched() -> None:
    places = drawn_field().places
    field = drawn_field().lr
    of = resolver(steps=3, batch_size=2)
    intensity = of.intensity([of.cut(field, places, of.microscope(field))])
    both = [
        list(of.updates(field, places=spots, intensity=intensity))[-1].result
        for spots in (places, places[:2])
    ]
    assert both[0] is not None
    assert both[1] is not None
    np.testing.assert_allclose(both[0].collector.sr[:2], both[1].collector.sr, rtol=1e-4, atol=0.1)


def test_an_unknown_psf_is_assumed_and_told() -> None:
    fields = FieldSettings(optics={"ratio": 8}, noise=NOISE)
    of = FieldResolver(SuperResolver(bundle(), Settings()), fields)
    microscope = of.microscope(drawn_field().lr)
    assert microscope.sigma == 0.45
    assert microscope.assumed[0].startswith("The PSF is not known: 0.45 LR pixels are assumed")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": np.full((1, 2, 16, 24), 100, np.uint16)}, "No nucleus was found in B03_field"),
        ({"data": drawn_field().lr.data.repeat(2, 0)}, "holds 2 fields; give one at a time"),
        (
            {"data": np.where(np.arange(24) < 3, np.nan, drawn_field().lr.data)},
            "B03_field.tif holds NaN or infinite values, which are no light",
        ),
    ],
)
def test_what_is_no_field_is_one_sentence(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        list(resolver().updates(replace(drawn_field().lr, **change)))


def test_the_ratio_must_be_known() -> None:
    of = FieldResolver(SuperResolver(bundle(), Settings()), FieldSettings(noise=NOISE))
    with pytest.raises(SettingsError, match="The ratio of pixel sizes is not known"):
        list(of.updates(drawn_field().lr))


def test_methods_that_draw_at_once_are_for_crops() -> None:
    with pytest.raises(SettingsError, match="pix2pix makes images of crops alone"):
        list(
            resolver(method="pix2pix", steps=1).updates(
                drawn_field().lr, places=drawn_field().places
            )
        )


def test_a_search_from_an_estimate_is_short_unless_steps_are_given() -> None:
    plain = FieldResolver(SuperResolver(bundle(), Settings(samples=0))).resolver.settings
    assert (plain.steps, plain.learning_rate) == (40, 0.05)
    given = FieldResolver(SuperResolver(bundle(), Settings(steps=7))).resolver.settings
    assert (given.steps, given.learning_rate) == (7, 0.05)
    from_mean = FieldResolver(SuperResolver(bundle(), Settings(start="mean"))).resolver.settings
    assert (from_mean.steps, from_mean.learning_rate) == (100, 0.3)


@pytest.mark.parametrize("draws", [True, False])
def test_the_expected_image_is_the_mean_of_what_turned_cells_are_expected_as(draws: bool) -> None:
    encoder = deepcopy(bundle().field_encoder)
    assert encoder is not None
    if not draws:
        # As encoders are that draw none: what the generator draws of their estimates is expected.
        encoder.image = None
    of = resolver(steps=1)
    field, places = drawn_field().lr, drawn_field().places[:2]
    microscope = of.microscope(field)
    cells = of.cut(field, places, microscope)
    intensity = of.intensity([cells])
    seen = cells.seen(np.arange(2), intensity)
    settings = of.resolver.settings
    networks = Networks(replace(bundle(), field_encoder=encoder))
    kit = Kit(networks, settings, "field encoder", seen.optics, lambda *_: torch.zeros(2))
    lr = torch.from_numpy(intensity.encode(cells.lr)).nan_to_num(0)
    batch = Batch(lr, (0, 1), seen)
    estimate = kit.estimate(batch, kit.first_ws(batch))
    assert estimate is not None
    expected = torch.zeros_like(estimate.image)
    with torch.no_grad():
        for mirrored in (False, True):
            for k in range(4):
                image = torch.rot90(seen.interpolated, k, (2, 3))
                image = image.flip(2) if mirrored else image
                turned = replace(seen, interpolated=image)
                drawn = turned.expected(encoder)
                if not draws:
                    drawn = bundle().generator.synthesis(turned.first_ws(encoder))
                drawn = drawn.flip(2) if mirrored else drawn
                expected += torch.rot90(drawn, -k, (2, 3)) / 8
    torch.testing.assert_close(estimate.image, expected, atol=2e-4, rtol=0)
