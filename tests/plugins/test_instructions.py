"""Instructions of the half-precision convolutions, from nvcc's PTX."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(
    scope="module", params=[(75, "half"), (80, "half"), (75, "bfloat16"), (80, "bfloat16")]
)
def ptx(
    request: pytest.FixtureRequest, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[int, str, str]:
    """An architecture, a type, and the PTX."""
    architecture, kind = request.param
    if shutil.which("nvcc") is None:
        pytest.skip("compiles a kernel, and there is no nvcc here")
    out = tmp_path_factory.mktemp("ptx") / f"{kind}.ptx"
    plugins = repository / "plugins"
    subprocess.run(
        ["nvcc", "-std=c++17", "-ptx", f"-arch=compute_{architecture}", "-I", plugins, "-o", out,
         plugins / "kernels" / "region_conv" / f"{kind}.cu"],
        check=True,
    )  # fmt: skip
    return architecture, kind, out.read_text()


def test_products_are_of_tensor_cores_with_sums_in_fp32(ptx: tuple[int, str, str]) -> None:
    architecture, kind, text = ptx
    types = r"f\d+\.b?f\d+\.b?f\d+\.f\d+"
    shapes = set(re.findall(rf"mma\.sync\.aligned\.(\w+)\.row\.col\.({types})", text))
    # Turing's instruction has half the depth, and none is of BF16: the kernel stops there.
    expected = {
        (75, "half"): {("m16n8k8", "f32.f16.f16.f32")},
        (80, "half"): {("m16n8k16", "f32.f16.f16.f32")},
        (75, "bfloat16"): set(),
        (80, "bfloat16"): {("m16n8k16", "f32.bf16.bf16.f32")},
    }
    assert shapes == expected[architecture, kind]
    assert ("trap;" in text) == ((architecture, kind) == (75, "bfloat16"))


def test_rows_are_gathered_16_bytes_at_a_time(ptx: tuple[int, str, str]) -> None:
    architecture, _, text = ptx
    copies = set(re.findall(r"cp\.async\.cg\.shared\.global \[%r\d+\], \[%rd\d+\], (\d+)", text))
    waits = set(re.findall(r"cp\.async\.wait_group (\d+)", text))
    if architecture >= 80:
        # Waiting for all but one or more of the groups is what several stages are.
        assert copies == {"16"} and max(map(int, waits)) >= 1
    else:
        assert not copies and not waits
        assert re.search(r"ld\.global(?:\.nc)?\.v4", text)
