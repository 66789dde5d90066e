"""Makes torchvision importable beside a torch that its wheel was not built for.

timm imports torchvision, whose wheel on PyPI is built for CUDA: beside a CPU build of torch its
operators are missing, and their Python wrappers ask for them on import. None of them is called.
"""

from __future__ import annotations

import importlib.util

import pytest
import torch

OPERATORS = (
    "nms", "qnms", "roi_align", "roi_pool", "ps_roi_align", "ps_roi_pool", "deform_conv2d",
)  # fmt: skip
_fragment: list[torch.library.Library] = []  # operators live as long as it does


def require_timm() -> None:
    """Import timm, or skip the test."""
    for package in ("timm", "torchvision"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(
                f"{package} is not installed: make setup, or pip install --no-deps {package}"
            )
    if not _fragment:
        try:
            import torchvision  # noqa: F401
        except RuntimeError:
            _fragment.append(torch.library.Library("torchvision", "FRAGMENT"))
            for operator in OPERATORS:
                for name in (operator, f"_{operator}_backward"):
                    _fragment[0].define(f"{name}(Tensor x) -> Tensor")
    import timm  # noqa: F401
