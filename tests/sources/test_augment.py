"""Augmentation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from kaxis.sources import images as images_module
from kaxis.sources.augment import augment, draws, normalised
from kaxis.sources.images import channel_statistics, load_images, square_pixels
from tests.helpers import pictures, write_npz

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def back(x: torch.Tensor) -> torch.Tensor:
    """Normalisation undone, pixels 0 .. 255, shape (B, S, S, 3)."""
    return (x.permute(0, 2, 3, 1) * torch.tensor(STD) + torch.tensor(MEAN)) * 255


def test_without_any_kind_images_are_only_normalised() -> None:
    x, u = pictures(), torch.from_numpy(draws(0, 0, 0, 5))
    assert torch.equal(augment(x, u, (), MEAN, STD), normalised(x, MEAN, STD))
    torch.testing.assert_close(back(normalised(x, MEAN, STD)), x.float(), atol=1e-3, rtol=0)


@given(seed=st.integers(0, 50))
def test_crop_and_flip_move_pixels_by_four_at_most(seed: int) -> None:
    """Against a slow crop with padding 4, image by image."""
    x, u = pictures(), torch.from_numpy(draws(seed, 0, 0, 5))
    got = back(augment(x, u, ("crop", "flip"), MEAN, STD)).round().to(torch.uint8)
    padded = torch.nn.functional.pad(x, (0, 0, 4, 4, 4, 4))
    for image, row, out in zip(padded, u, got, strict=True):
        top, left = int(row[0] * 9), int(row[1] * 9)
        crop = image[top : top + 32, left : left + 32]
        assert torch.equal(out, crop.flip(1) if row[2] < 0.5 else crop)


def test_cutout_blanks_a_square_of_eight_or_what_of_it_is_inside() -> None:
    x, u = pictures(200), torch.from_numpy(draws(3, 0, 0, 200))
    out = augment(x, u, ("cutout",), MEAN, STD)
    blank = (out == 0).all(1)
    for one in blank:
        rows, columns = one.any(1).sum().item(), one.any(0).sum().item()
        assert 4 <= rows <= 8
        assert 4 <= columns <= 8
        assert one.sum().item() >= rows * columns
    assert max(one.any(1).sum().item() for one in blank) == 8


def test_jitter_keeps_grey_grey_and_changes_colours() -> None:
    grey = pictures()[..., :1].expand(-1, -1, -1, 3).contiguous()
    u = torch.from_numpy(draws(1, 0, 0, 5))
    out = back(augment(grey, u, ("jitter",), MEAN, STD))
    torch.testing.assert_close(out[..., 0], out[..., 1], atol=0.2, rtol=0)
    still = u.clone()
    still[:, 3:7] = 0.5  # the middle of every range changes nothing
    torch.testing.assert_close(
        back(augment(pictures(), still, ("jitter",), MEAN, STD)), pictures().float(), atol=0.2, rtol=0
    )
    assert (back(augment(pictures(), u, ("jitter",), MEAN, STD)) - pictures()).abs().mean() > 5


def test_brightness_and_contrast_by_hand() -> None:
    x, u = pictures(1), torch.full((1, 10), 0.5)
    u[0, 3] = 0.0  # brightness x 0.6
    torch.testing.assert_close(back(augment(x, u, ("jitter",), MEAN, STD)), 0.6 * x, atol=0.2, rtol=0)
    u[0, 3], u[0, 4] = 0.5, 0.0  # contrast x 0.6 around the mean grey
    grey = (x.float().mean((1, 2)) * torch.tensor([0.299, 0.587, 0.114])).sum()
    torch.testing.assert_close(back(augment(x, u, ("jitter",), MEAN, STD)), 0.6 * x + 0.4 * grey, atol=0.2, rtol=0)


def test_grayscale_hits_one_image_in_five() -> None:
    x, u = pictures(1000, 8), torch.from_numpy(draws(0, 0, 0, 1000))
    out = back(augment(x, u, ("grayscale",), MEAN, STD))
    spread = (out.max(3).values - out.min(3).values).amax((1, 2))
    assert 0.15 < (spread < 0.5).float().mean() < 0.25


def test_statistics_are_those_of_the_training_images(tmp_path: Path) -> None:
    name = f"npz:{write_npz(tmp_path / 'x.npz', n=900)}"
    x = load_images(name, tmp_path).pixels[:2700].reshape(-1, 3) / 255
    mean, std = channel_statistics(name, tmp_path, None)
    np.testing.assert_allclose(mean, x.mean(0), rtol=1e-9)
    np.testing.assert_allclose(std, x.std(0), rtol=1e-9)


def test_resizing_keeps_a_flat_image_flat(tmp_path: Path) -> None:
    flat = np.full((36, 16, 16, 3), 77, np.uint8)
    name = f"npz:{write_npz(tmp_path / 'x.npz', train_images=flat)}"
    assert (square_pixels(name, tmp_path, 32)[:36] == 77).all()
    assert images_module.load_images(name, tmp_path).pixels.shape[1] == 16
