"""Pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from kaxis.errors import KaxisError
from kaxis.sources.readers import decode
from tests.helpers import encoded

RAMP = np.linspace(0, 65535, 1600).reshape(40, 40).round()


def as_is(image: Any) -> Any:
    return image


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (encoded(RAMP.astype(np.uint16), "PNG"), RAMP / 257),
        (encoded(RAMP.astype(np.uint16), "TIFF"), RAMP / 257),
        (encoded(RAMP.astype(np.uint16), "PPM"), RAMP / 257),
        (
            encoded((RAMP / 16).astype(np.uint16), "PNG"),
            (RAMP / 16).astype(np.uint16) / 257,
        ),  # 12 bits in 16: dark, not clipped
        (encoded((RAMP / 65535).astype(np.float32), "TIFF"), RAMP / 257),
        (encoded((RAMP / 257).astype(np.uint8), "PNG"), (RAMP / 257).astype(np.uint8)),
        (encoded(RAMP > 30000, "PNG"), 255 * (RAMP > 30000)),
    ],
    ids=["16-bit png", "16-bit tiff", "16-bit pgm", "12 bits", "float tiff", "8 bits", "1 bit"],
)
def test_pixels_keep_their_range(raw: bytes, expected: np.ndarray) -> None:
    made = decode(raw, "x", as_is)
    assert made.shape == (40, 40, 3)
    assert np.abs(made[..., 0] - expected).max() <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("pixels", "says"),
    [
        (np.full((4, 4), 1.5, np.float32), "float pixels from 1.5 to 1.5; 0 to 1 is read"),
        (np.full((4, 4), -0.1, np.float32), "float pixels from -0.1"),
        (np.full((4, 4), np.nan, np.float32), "float pixels from nan"),
        (np.full((4, 4), 10**6, np.int32), "have no known range"),
    ],
)
def test_pixels_without_a_known_range_are_refused_by_name(pixels: np.ndarray, says: str) -> None:
    with pytest.raises(KaxisError, match=rf"^cat/1\.tif: not a readable image \(.*{says}"):
        decode(encoded(pixels, "TIFF"), "cat/1.tif", as_is)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_images_stand_upright(orientation: int, kind: str) -> None:
    """Drawn with a corner of its own; expected by numpy's turns and flips."""
    x = np.zeros((16, 24, 3), np.uint8)
    x[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned = [
        None,
        x,
        x[:, ::-1],
        x[::-1, ::-1],
        x[::-1],
        x.transpose(1, 0, 2),
        np.rot90(x, -1),
        x[::-1, ::-1].transpose(1, 0, 2),
        np.rot90(x),
    ]
    expected = turned[orientation]
    assert expected is not None
    made = decode(encoded(x, kind, exif=exif), "x", as_is)
    assert made.shape == expected.shape
    assert (np.abs(made.astype(int) - expected) < 40).mean() > 0.95


def test_a_16_bit_photograph_stands_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(encoded(RAMP[:20].astype(np.uint16), "PNG", exif=exif), "x", as_is).shape == (40, 20, 3)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"\x89PNG\r\n",
        encoded(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8), "PNG")[:500],
    ],
)
def test_what_is_no_image_is_named_by_its_file(raw: bytes) -> None:
    with pytest.raises(KaxisError, match=r"^a/b\.png: not a readable image") as error:
        decode(raw, "a/b.png", as_is)
    assert "BytesIO" not in str(error.value)
