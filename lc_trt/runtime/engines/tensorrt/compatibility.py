"""Whether a plan fits this machine, before TensorRT sees it.

TensorRT's own answers to a plan of another GPU or version are hard to read, and some only come
when it has half loaded it.
"""

from __future__ import annotations

import logging

from lc_trt.bundle.sections import PluginRecord, TensorRTBuild
from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import PLUGIN_VERSION
from lc_trt.runtime.cuda import driver
from lc_trt.trt.api import TensorRT
from lc_trt.trt.plugin_library import PluginLibrary
from lc_trt.utils import machine

REBUILD = "build it again here: lc-trt build MODEL.onnx --backend tensorrt"
_AMPERE = (8, 0)
_log = logging.getLogger("lc_trt")


def check_version(origin: str, build: TensorRTBuild, tensorrt: TensorRT) -> None:
    """Refuse a plan of a version that the installed one does not load.

    Args:
        origin: what messages call the plan.
        build: the manifest's ``tensorrt``.
        tensorrt: the installed package.

    Raises:
        LcTrtError: names both versions and what to do.
    """
    built, here = _numbers(build.version), _numbers(tensorrt.version)
    if build.version_compatible:
        fits, requirement = built[0] == here[0] and built <= here, f"{built[0]}.x from"
    else:
        fits, requirement = built == here, "exactly"
    if not fits:
        raise LcTrtError(
            f"{origin}: built with {build.package} {build.version} and needs {requirement} that "
            f"version, this machine has {tensorrt.version}; {REBUILD}, or install that version: "
            f"pip install {build.package}=={build.version}"
        )


def check_gpu(
    origin: str, build: TensorRTBuild, built_on: machine.Gpu | None, gpu: driver.Gpu
) -> None:
    """Refuse a plan for other GPUs; warn of one that another GPU of its kind was timed on.

    Args:
        origin: what messages call the plan.
        build: the manifest's ``tensorrt``.
        built_on: the manifest's ``gpu``.
        gpu: the GPU that is to run it.

    Raises:
        LcTrtError: names both GPUs and what to do.
    """
    listed = build.compute_capabilities
    if listed:
        requirement = f"compute capability {' or '.join(listed)}"
    elif built_on is None:
        return
    elif build.hardware_compatible:
        requirement = "compute capability 8.0 or newer"
    else:
        requirement = f"compute capability {built_on.compute_capability} ({built_on.name})"

    def fits(capability: tuple[int, int]) -> bool:
        number = "{}.{}".format(*capability)
        if listed or built_on is None:
            return number in listed
        if build.hardware_compatible:
            return capability >= _AMPERE
        return number == built_on.compute_capability

    if not fits(gpu.capability):
        others = [
            f"cuda:{i}" for i, capability in enumerate(driver.capabilities()) if fits(capability)
        ]
        advice = f"take {' or '.join(others)} (--device), or {REBUILD}" if others else REBUILD
        here = "{}.{}".format(*gpu.capability)
        raise LcTrtError(
            f"{origin}: built for {requirement}, cuda:{gpu.ordinal} is {gpu.name} with {here}; "
            f"{advice}"
        )
    if not listed and built_on is not None and built_on.name != gpu.name:
        _log.warning(
            "%s: was tuned on %s, this is %s; for its full speed %s",
            *(origin, built_on.name, gpu.name, REBUILD),
        )


def check_plugin(expected: PluginRecord, library: PluginLibrary) -> None:
    """Refuse any plugin library but the one that the plan was built with.

    Args:
        expected: the manifest's ``plugin``.
        library: the library at hand, not loaded yet.

    Raises:
        LcTrtError: names both versions or hashes, and what to do.
    """
    if library.version != PLUGIN_VERSION:
        raise LcTrtError(
            f"{library.path}: has plugins of version {library.version}, this lc-trt needs version "
            f"{PLUGIN_VERSION}, nothing was loaded; {REBUILD}"
        )
    if library.sha256 != expected.sha256:
        raise LcTrtError(
            f"{library.path}: is not the plugin library of this bundle (SHA-256 "
            f"{library.sha256[:12]}, expected {expected.sha256[:12]}), nothing was loaded; "
            f"{REBUILD}"
        )


def _numbers(version: str) -> tuple[int, ...]:
    """The first three numbers; the fourth counts builds of one release."""
    return tuple(int(part) for part in version.split(".")[:3] if part.isdigit())
