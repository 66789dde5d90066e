"""Which instructions the FP16 convolution is made of, by the PTX that nvcc writes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=[75, 80])
def ptx(request: pytest.FixtureRequest, repository: Path, tmp_path_factory) -> tuple[int, str]:
    """An architecture, and its PTX."""
    if shutil.which("nvcc") is None:
        pytest.skip("compiles a kernel, and there is no nvcc here")
    out = tmp_path_factory.mktemp("ptx") / "half.ptx"
    plugins = repository / "plugins"
    subprocess.run(
        ["nvcc", "-std=c++17", "-ptx", f"-arch=compute_{request.param}", "-I", plugins, "-o", out,
         plugins / "kernels" / "region_conv" / "half.cu"],
        check=True,
    )  # fmt: skip
    return request.param, out.read_text()


def test_products_are_of_tensor_cores_with_sums_in_fp32(ptx: tuple[int, str]) -> None:
    architecture, text = ptx
    shapes = set(re.findall(r"mma\.sync\.aligned\.(\w+)\.row\.col\.(f\d+\.f\d+\.f\d+\.f\d+)", text))
    # Turing's instruction has half the depth.
    expected = {75: "m16n8k8", 80: "m16n8k16"}[architecture]
    assert shapes == {(expected, "f32.f16.f16.f32")}


def test_rows_are_gathered_16_bytes_at_a_time(ptx: tuple[int, str]) -> None:
    architecture, text = ptx
    copies = set(re.findall(r"cp\.async\.cg\.shared\.global \[%r\d+\], \[%rd\d+\], (\d+)", text))
    waits = set(re.findall(r"cp\.async\.wait_group (\d+)", text))
    if architecture >= 80:
        # Waiting for all but one or more of the groups is what several stages are.
        assert copies == {"16"} and max(map(int, waits)) >= 1
    else:
        assert not copies and not waits
        assert re.search(r"ld\.global(?:\.nc)?\.v4", text)
