"""Cells drawn from a bundle, and the download of BBBC013 from a server on this machine."""

from __future__ import annotations

import gc
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from napari_rls.errors import DownloadError, InputError
from napari_rls.workflow.cells.degrade import degrade
from napari_rls.workflow.cells.examples import (
    PRIOR_LABEL,
    bbbc013_wells,
    draw_prior_sample,
    draw_sample,
    fetch_bbbc013,
    read_bbbc013,
)

if TYPE_CHECKING:
    from napari_rls.models.bundle import Bundle


def test_prior_sample_is_the_generator_s(tiny_bundle: Bundle) -> None:
    sample = draw_prior_sample(tiny_bundle, 5, 4, seed=7)
    images = tiny_bundle.generator(tiny_bundle.draw_z(5, 7)).numpy()
    np.testing.assert_allclose(sample.truth.data, (images + 1) / 2 * 255, rtol=1e-5, atol=1e-3)
    np.testing.assert_allclose(sample.lr.data, degrade(sample.truth.data, 4), rtol=1e-6)
    assert sample.lr.data.shape == (5, 2, 8, 8)
    assert sample.lr.channels == tiny_bundle.manifest.channel_names
    assert (sample.truth.pixel_size_um, sample.lr.pixel_size_um) == (0.5, 2.0)


def test_prior_sample_says_that_it_is_not_real(tiny_bundle: Bundle) -> None:
    sample = draw_prior_sample(tiny_bundle, 2, 4)
    for stack in (sample.lr, sample.truth):
        assert PRIOR_LABEL in stack.name
        assert {crop.condition for crop in stack.crops} == {PRIOR_LABEL}


def test_a_bundle_of_no_known_assay_draws_its_own_cells(tiny_bundle: Bundle) -> None:
    sample, own = draw_sample(tiny_bundle, 2, 4, 1), draw_prior_sample(tiny_bundle, 2, 4, 1)
    np.testing.assert_array_equal(sample.truth.data, own.truth.data)
    assert sample.label == PRIOR_LABEL


def test_prior_sample_is_seeded(tiny_bundle: Bundle) -> None:
    first = draw_prior_sample(tiny_bundle, 2, 4, seed=1).lr.data
    np.testing.assert_array_equal(first, draw_prior_sample(tiny_bundle, 2, 4, seed=1).lr.data)
    assert (first != draw_prior_sample(tiny_bundle, 2, 4, seed=2).lr.data).any()


PLANES = np.random.default_rng(0).integers(0, 256, (2, 2, 10, 12), dtype=np.uint8)  # well, channel


def archive() -> bytes:
    """Return a zip of two wells laid out as Broad's is."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for well, name in enumerate(("01-A-01", "96-H-12")):
            for channel in (1, 2):
                picture = io.BytesIO()
                Image.fromarray(PLANES[well, channel - 1]).save(picture, format="BMP")
                path = f"BBBC013_v1_images_bmp/Channel{channel}-{name}.BMP"
                file.writestr(path, picture.getvalue())
    return buffer.getvalue()


class Server:
    """A web server that counts requests; ``announced`` is the length that it promises."""

    def __init__(self) -> None:
        self.content = archive()
        self.announced: int | None = None
        self.status = 200
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(outer.status)
                self.send_header("Content-Length", str(outer.announced or len(outer.content)))
                self.end_headers()
                self.wfile.write(outer.content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/images.zip"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.http.serve_forever, args=(0.05,))
    thread.start()
    yield server
    server.http.shutdown()
    thread.join()
    server.http.server_close()


class Bar:
    """A progress bar that remembers."""

    total = 0

    def __init__(self) -> None:
        self.done = 0
        self.closed = False

    def update(self, count: int) -> None:
        self.done += count

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        self.closed = True


def test_download(server: Server, tmp_path: Path) -> None:
    bar = Bar()
    path = fetch_bbbc013(bar, server.url, tmp_path)
    assert path.read_bytes() == server.content
    assert bar.total == bar.done == len(server.content)
    assert bar.closed
    assert bbbc013_wells(path) == ("A01", "H12")
    well = read_bbbc013(path, "H12")
    assert well.channels == ("DNA", "FKHR-GFP")
    np.testing.assert_array_equal(well.data[0], PLANES[1, ::-1])  # channel 1 is FKHR-GFP
    assert well.data.dtype == np.uint8
    assert well.crops[0].well == "H12"


def test_download_is_made_once(server: Server, tmp_path: Path) -> None:
    for _ in range(2):
        fetch_bbbc013(url=server.url, cache=tmp_path)
    assert server.requests == 1


def test_user_s_cache_folder_is_the_default(server: Server, user_folders: Path) -> None:
    path = fetch_bbbc013(url=server.url)
    assert path.is_relative_to(user_folders)
    assert "napari-rls" in path.parts


def test_well_that_is_not_there(server: Server, tmp_path: Path) -> None:
    path = fetch_bbbc013(url=server.url, cache=tmp_path)
    with pytest.raises(InputError, match=r"^BBBC013 has no well B07; its wells are A01 to H12\.$"):
        read_bbbc013(path, "B07")


def assert_refused(server: Server, folder: Path, reason: str) -> None:
    with pytest.raises(DownloadError, match=reason) as caught:
        fetch_bbbc013(url=server.url, cache=folder)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    assert list(folder.iterdir()) == []


def test_offline(server: Server, tmp_path: Path) -> None:
    server.http.server_close()  # nothing answers at this port any more
    assert_refused(server, tmp_path, "there is no connection to the server")


def test_server_that_refuses(server: Server, tmp_path: Path) -> None:
    server.status = 404
    assert_refused(server, tmp_path, "the server answered 404")


# requests leaves the socket of a broken connection to the garbage collector, which may come
# at any moment, in the server's thread too, and at the latest at the end.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_download_that_breaks_off(server: Server, tmp_path: Path) -> None:
    server.announced = 2 * len(server.content)
    assert_refused(server, tmp_path, "the connection broke off")
    gc.collect()


@pytest.mark.parametrize("damage", ["no zip", "cut short", "flipped bit", "empty zip"])
def test_archive_that_is_damaged(server: Server, tmp_path: Path, damage: str) -> None:
    whole = bytearray(server.content)
    if damage == "no zip":
        server.content = b"<html>Sign in to this network</html>"
    elif damage == "cut short":
        server.content = bytes(whole[: len(whole) // 2])
    elif damage == "flipped bit":
        whole[200] ^= 1
        server.content = bytes(whole)
    else:
        server.content = b"PK\x05\x06" + bytes(18)
    assert_refused(server, tmp_path, "is not the complete BBBC013 archive")


def test_download_can_be_tried_again(server: Server, tmp_path: Path) -> None:
    good, server.content = server.content, b"nothing"
    with pytest.raises(DownloadError):
        fetch_bbbc013(url=server.url, cache=tmp_path)
    server.content = good
    assert fetch_bbbc013(url=server.url, cache=tmp_path).read_bytes() == good
