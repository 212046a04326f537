"""In which precision products are made, and that a caller's own settings are back afterwards."""

from __future__ import annotations

import pytest
import torch

from kaxis.nets.maps import over_channels
from kaxis.train.precision import exact_gpu


def chosen() -> list[object]:
    cudnn = torch.backends.cudnn
    products = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)  # type: ignore[attr-defined]
    return [*(each.fp32_precision for each in products), cudnn.deterministic, cudnn.allow_tf32]


def test_a_gpu_is_exact_inside_and_as_it_was_afterwards() -> None:
    before = chosen()
    with exact_gpu():
        assert torch.backends.cuda.matmul.fp32_precision == "ieee"
        assert torch.backends.cudnn.conv.fp32_precision == "ieee"  # type: ignore[attr-defined]
        assert torch.backends.cudnn.deterministic
    assert chosen() == before


@pytest.mark.parametrize("kind", ["none", "layernorm", "rmsnorm", "rmsnorm_sample", "groupnorm"])
def test_what_is_normalised_keeps_its_precision(kind: str) -> None:
    x = torch.randn(3, 2, 2, 12, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert over_channels(x, kind, 4).dtype == torch.bfloat16
