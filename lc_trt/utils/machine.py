"""What this machine is and which packages it has, found without importing any of them."""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import subprocess
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lc_trt.version import __version__

# CPU flags that decide how fast an engine is, as /proc/cpuinfo spells them.
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
# What we use of a module that several packages share.
_PART = {"cuda": ["cuda-bindings"]}
# CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of CUDA's driver interface.
_COMPUTE_CAPABILITY = (75, 76)
_CPU_NAME = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_CPU_FLAGS = re.compile(r"^(?:flags|Features)\s*:\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """A package that lc-trt uses.

    Attributes:
        module: what is imported.
        purpose: what it is for.
        install: the command that installs it.
        required: whether lc-trt as installed by `pip install lc-trt` needs it.
        version: the installed version; None where it is missing.
    """

    module: str
    purpose: str
    install: str
    required: bool
    version: str | None


@dataclass(frozen=True)
class Environment:
    """This machine.

    Attributes:
        packages: all that lc-trt can use, installed or not.
        cpu: the processor's name.
        cores: cores that this process may use.
        cpu_features: the flags it has among those that matter for inference.
        nvcc: release of the CUDA compiler; None where there is none.
        driver: version of NVIDIA's driver; None where nvidia-smi finds none.
        gpus: one line a GPU (name, compute capability, memory), as nvidia-smi says it.
    """

    lc_trt: str
    python: str
    platform: str
    packages: tuple[Package, ...]
    cpu: str
    cores: int
    cpu_features: tuple[str, ...]
    nvcc: str | None
    driver: str | None
    gpus: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Gpu:
    """A GPU that CUDA shows to this process.

    Attributes:
        compute_capability: as in ``8.9``.
    """

    name: str
    compute_capability: str


_PACKAGES = (
    ("numpy", "arrays", "pip install lc-trt", True),
    ("onnx", "exchange format", "pip install lc-trt", True),
    ("onnxruntime", "CPU backend", "pip install lc-trt", True),
    ("openvino", "CPU backend", "pip install lc-trt", True),
    ("cv2", "images and webcams", "pip install lc-trt", True),
    ("av", "videos and streams", "pip install lc-trt", True),
    ("torch", "export and train", "pip install 'lc-trt[train]'", False),
    ("safetensors", "export and train", "pip install 'lc-trt[train]'", False),
    ("pydantic", "train", "pip install 'lc-trt[train]'", False),
    ("tensorboardX", "train", "pip install 'lc-trt[train]'", False),
    ("matplotlib", "eval --report", "pip install 'lc-trt[report]'", False),
    ("jinja2", "eval --report", "pip install 'lc-trt[report]'", False),
    ("skimage", "photographs for bench and build checks", "pip install 'lc-trt[bench]'", False),
    ("tensorrt", "GPU backend", "pip install 'lc-trt[tensorrt]'", False),
    ("tensorrt_rtx", "GPU backend, builds without a GPU", "pip install tensorrt-rtx", False),
    ("cuda", "runs TensorRT engines (cuda-python)", "pip install 'lc-trt[tensorrt]'", False),
)


def describe() -> Environment:
    """This machine as it is now; takes a fraction of a second."""
    cpuinfo = _read(Path("/proc/cpuinfo"))
    drivers = _lines("driver_version")
    return Environment(
        lc_trt=__version__,
        python=platform.python_version(),
        platform=platform.platform(),
        packages=tuple(
            Package(module, purpose, install, required, module_version(module))
            for module, purpose, install, required in _PACKAGES
        ),
        cpu=cpu_name(cpuinfo),
        cores=usable_cores(),
        cpu_features=cpu_features(cpuinfo),
        nvcc=_nvcc(),
        driver=drivers[0] if drivers else None,
        gpus=_lines("name,compute_cap,memory.total"),
    )


def module_version(module: str) -> str | None:
    """Version of the installed package that brings a module; None where there is no such module."""
    if find_spec(module) is None:
        return None
    # The package's name may differ from the module's: cv2 comes with any of four.
    for distribution in _PART.get(module, _distributions().get(module, [module])):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "unknown"


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name(cpuinfo: str) -> str:
    """The processor's name in the text of /proc/cpuinfo; the architecture where it has none."""
    found = _CPU_NAME.search(cpuinfo)
    return found.group(1).strip() if found else platform.machine()


def cpu_features(cpuinfo: str) -> tuple[str, ...]:
    """The flags in the text of /proc/cpuinfo that matter for inference."""
    found = _CPU_FLAGS.search(cpuinfo)
    flags = set(found.group(1).split()) if found else set()
    return tuple(flag for flag in _FEATURES if flag in flags)


def current_gpu() -> Gpu | None:
    """The GPU of the current CUDA context, the first of this process where there is none.

    That is the one that TensorRT builds on. None without a GPU or a driver. CUDA_VISIBLE_DEVICES
    counts. Asks the driver itself, which takes no package and no tool.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, numbers = ctypes.c_int(), (ctypes.c_int(), ctypes.c_int())
    if cuda.cuInit(0) != 0:
        return None
    # An error where no context is current.
    if cuda.cuCtxGetDevice(ctypes.byref(device)) != 0 and (
        cuda.cuDeviceGet(ctypes.byref(device), 0) != 0
    ):
        return None
    name = ctypes.create_string_buffer(256)
    answers = [cuda.cuDeviceGetName(name, len(name), device)]
    for number, attribute in zip(numbers, _COMPUTE_CAPABILITY, strict=True):
        answers.append(cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, device))
    if any(answers):
        return None
    major, minor = numbers
    return Gpu(name.value.decode(), f"{major.value}.{minor.value}")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _nvcc() -> str | None:
    found = re.search(r"release ([\d.]+)", _output("nvcc", "--version"))
    return found.group(1) if found else None


def _lines(query: str) -> tuple[str, ...]:
    """What nvidia-smi answers, a line a GPU."""
    listed = _output("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader")
    return tuple(line.strip() for line in listed.splitlines() if line.strip())


def _output(tool: str, *arguments: str) -> str:
    """What a tool prints; empty where there is no such tool or it fails."""
    path = shutil.which(tool)
    if path is None:
        return ""
    try:
        done = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
