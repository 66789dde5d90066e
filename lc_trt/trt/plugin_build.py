"""Compiles the plugin library: what ``lc-trt plugin build`` and setup.py do.

setup.py imports this before anything is installed, so it takes the standard library only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from lc_trt.errors import LcTrtError
from lc_trt.trt.plugin_library import FILE, HOME
from lc_trt.utils.files import atomic_file, check_file
from lc_trt.utils.progress import SILENT, ProgressMonitor

# In a checkout beside the package, in an installed package inside it.
_SOURCES = (Path(__file__).parents[2] / "plugins", HOME / "source")
HEADERS_WHEEL = "pip install --no-deps kernel-lens==2.0.1"
# For what compiles the library, the command that installs it.
INSTALL = {
    "nvcc": "apt-get install cuda-nvcc-13-0 (NVIDIA's repository) and put it on PATH",
    "cmake": "pip install cmake",
    "c++": "apt-get install g++",
    "NvInfer.h": f"{HEADERS_WHEEL}, or set TENSORRT_ROOT",
}
_ADVICE = "choose another folder with -o and name the library to lc-trt build with --plugin"


def source_folder() -> Path | None:
    """The plugins' source; None where it is missing."""
    return next((path for path in _SOURCES if (path / "CMakeLists.txt").is_file()), None)


def find_headers() -> Path | None:
    """The folder of TensorRT's headers, in the order of plugins/CMakeLists.txt.

    $TENSORRT_ROOT/include, and no other where that is set; the system; the wheel of kernel-lens,
    which carries them and need not be imported for that.
    """
    root = os.environ.get("TENSORRT_ROOT")
    if root is not None:
        places = [Path(root, "include")]
    else:
        places = [Path(prefix, "include") for prefix in ("/usr/local", "/usr")]
        places += [Path("/usr/include", f"{m}-linux-gnu") for m in ("x86_64", "aarch64")]
        spec = find_spec("kernel_lens")
        for folder in (spec and spec.submodule_search_locations) or []:
            places.append(Path(folder, "include", "tensorrt"))
    return next((place for place in places if (place / "NvInfer.h").is_file()), None)


def missing_parts() -> dict[str, str]:
    """Missing tools and headers that the library needs, with the commands that install them."""
    missing = [tool for tool in ("nvcc", "cmake", "c++") if find_tool(tool) is None]
    if find_headers() is None:
        missing.append("NvInfer.h")
    return {part: INSTALL[part] for part in missing}


def find_tool(name: str) -> str | None:
    """The path of a program on PATH or beside this Python, where pip puts CMake.

    Args:
        name: of the program.
    """
    return shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent)


def compile_library(
    out: Path,
    work: Path,
    *,
    source: Path | None = None,
    architectures: str | None = None,
    jobs: int | None = None,
    log: Callable[[str], None] | None = None,
    monitor: ProgressMonitor = SILENT,
) -> Path:
    """Compile the plugin library.

    Args:
        out: the folder to put it into.
        work: CMake's build folder; kept, a second run compiles what has changed.
        source: the folder plugins/; default that of this checkout or package.
        architectures: CMake's CUDA_ARCHITECTURES, as in "86;89"; default all that are supported.
        jobs: how many compilers at a time; default one per core.
        log: gets each line that CMake and the compilers print.
        monitor: shows progress.

    Returns:
        The library's path.

    Raises:
        LcTrtError: something to compile it with is missing, or a compiler failed.
    """
    source = source or source_folder()
    if source is None:
        raise LcTrtError(
            f"no {_SOURCES[0] / 'CMakeLists.txt'}: the plugins' source is missing; "
            "install lc-trt again, or run this in a checkout"
        )
    missing = missing_parts()
    if missing:
        what = "; ".join(f"no {part} ({how})" for part, how in missing.items())
        raise LcTrtError(f"the plugin library cannot be compiled here: {what}")
    check_file(out / FILE, _ADVICE, parents=True)
    cmake = find_tool("cmake")
    assert cmake is not None
    configure: list[str | Path] = [cmake, "-S", source, "-B", work, "-DCMAKE_BUILD_TYPE=Release"]
    # The headers in the wheel are found by this Python.
    configure += [f"-DPYTHON={sys.executable}", "-DLC_TRT_PLUGINS=ON"]
    # Passed even when it is the default: CMake would keep the last one of this folder.
    configure += [f"-DCMAKE_CUDA_ARCHITECTURES={architectures or ''}"]
    parallel = str(jobs or os.cpu_count() or 1)
    steps: tuple[tuple[str, list[str | Path]], ...] = (
        ("configuring", configure),
        ("compiling", [cmake, "--build", work, "--parallel", parallel]),
        ("installing", [cmake, "--install", work, "--prefix", work / "installed"]),
    )
    with monitor.phase("building the plugins", len(steps)) as advance:
        for step, command in steps:
            _run(command, step, log)
            advance(1)
    with atomic_file(out / FILE, _ADVICE) as partial:
        shutil.copyfile(work / "installed" / FILE, partial)
    return out / FILE


def _run(command: list[str | Path], step: str, log: Callable[[str], None] | None) -> None:
    errors: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        for line in map(str.strip, process.stdout):
            if log is not None:
                log(line)
            if "error" in line.lower():
                errors.append(line)
    if process.returncode != 0:
        reason = errors[0] if errors else "no line that says error"
        raise LcTrtError(
            f"{step} the plugin library failed with exit code {process.returncode} ({reason}); "
            "see all of it: lc-trt plugin build --verbose"
        )
