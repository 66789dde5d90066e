"""Describes this machine and its installed packages, without importing them."""

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

# CPU flags that determine the speed of engines, as named in /proc/cpuinfo.
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
# The distribution that we use of a module that several distributions share.
_DISTRIBUTIONS = {"cuda": ["cuda-bindings"]}
# CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR of CUDA's driver API.
_COMPUTE_CAPABILITY = (75, 76)
_CPU_NAME = re.compile(r"^model name\s*:\s*(.+)$", re.MULTILINE)
_CPU_FLAGS = re.compile(r"^(?:flags|Features)\s*:\s*(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Package:
    """A package that lc-trt uses.

    Attributes:
        module: name of the imported module.
        purpose: what it is used for.
        install: command that installs it.
        required: whether it is a dependency of `pip install lc-trt`.
        version: installed version; None if missing.
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
        lc_trt: version of lc-trt.
        python: version of Python.
        platform: operating system and architecture.
        packages: packages that lc-trt can use, installed or not.
        cpu: name of the processor.
        cores: cores that this process may use.
        cpu_features: CPU flags relevant for inference.
        nvcc: release of the CUDA compiler; None if there is none.
        driver: version of the NVIDIA driver; None if nvidia-smi finds none.
        gpus: one line per GPU from nvidia-smi: name, compute capability, memory.
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
    """A GPU that is visible to this process.

    Attributes:
        name: of the model.
        compute_capability: such as ``8.9``.
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
    """Describe this machine; takes a fraction of a second."""
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
    """Version of the installed distribution of a module.

    Args:
        module: name of the module.

    Returns:
        The version, "unknown" if it has none, or None if the module is not installed.
    """
    if find_spec(module) is None:
        return None
    # Distribution and module names may differ: cv2 comes with any of four distributions.
    for distribution in _DISTRIBUTIONS.get(module, _distributions().get(module, [module])):
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
    """Name of the processor, or the architecture if unknown.

    Args:
        cpuinfo: content of /proc/cpuinfo.
    """
    match = _CPU_NAME.search(cpuinfo)
    return match.group(1).strip() if match else platform.machine()


def cpu_features(cpuinfo: str) -> tuple[str, ...]:
    """CPU flags relevant for inference.

    Args:
        cpuinfo: content of /proc/cpuinfo.
    """
    match = _CPU_FLAGS.search(cpuinfo)
    flags = set(match.group(1).split()) if match else set()
    return tuple(flag for flag in _FEATURES if flag in flags)


def current_gpu() -> Gpu | None:
    """The GPU of the current CUDA context, or the first GPU of this process without a context.

    TensorRT builds on this GPU. Respects CUDA_VISIBLE_DEVICES, and queries the driver directly, so
    it needs no package or tool.

    Returns:
        The GPU, or None without a GPU or driver.
    """
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, numbers = ctypes.c_int(), (ctypes.c_int(), ctypes.c_int())
    if cuda.cuInit(0) != 0:
        return None
    # An error if no context is current.
    if cuda.cuCtxGetDevice(ctypes.byref(device)) != 0 and (
        cuda.cuDeviceGet(ctypes.byref(device), 0) != 0
    ):
        return None
    name = ctypes.create_string_buffer(256)
    errors = [cuda.cuDeviceGetName(name, len(name), device)]
    for number, attribute in zip(numbers, _COMPUTE_CAPABILITY, strict=True):
        errors.append(cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, device))
    if any(errors):
        return None
    major, minor = numbers
    return Gpu(name.value.decode(), f"{major.value}.{minor.value}")


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _nvcc() -> str | None:
    match = re.search(r"release ([\d.]+)", _output("nvcc", "--version"))
    return match.group(1) if match else None


def _lines(query: str) -> tuple[str, ...]:
    """Output of an nvidia-smi query, one line per GPU."""
    listed = _output("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader")
    return tuple(line.strip() for line in listed.splitlines() if line.strip())


def _output(tool: str, *arguments: str) -> str:
    """Output of a tool; empty if it is missing or fails."""
    path = shutil.which(tool)
    if path is None:
        return ""
    try:
        process = subprocess.run(
            [path, *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return process.stdout if process.returncode == 0 else ""
