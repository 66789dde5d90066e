"""Options of a TensorRT engine; they mean what trtexec's mean."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

from lc_trt.bundle.sections import Profile, TensorRTBuild
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.trt.api import RTX_DEFAULT, TensorRT
from lc_trt.utils.machine import Gpu

T = TypeVar("T", int, tuple[int, int])
OPT_LEVELS = range(6)


@dataclass(frozen=True)
class PlanOptions:
    """Builder options.

    Attributes:
        workspace: largest scratch memory of an operator, in MiB; None leaves all of the GPU's.
        opt_level: 0 (quickest build) to 5 (fastest engine); None leaves TensorRT's own, 3.
        timing_cache: file with measured times of kernels, read before the build and written after.
        version_compatible: the engine also loads in later TensorRT of the same major version.
        hardware_compatible: the engine also runs on other GPUs from Ampere on.
        compute_capabilities: GPUs that TensorRT for RTX builds for, as in "8.9".
        save_layers: file for the inspector's JSON.
        plugin: the plugin library; None for the installed one.
        package: ``tensorrt`` or ``tensorrt_rtx``; None is the installed one. No option of the
            command line.
    """

    workspace: int | None = None
    opt_level: int | None = None
    timing_cache: Path | None = None
    version_compatible: bool = False
    hardware_compatible: bool = False
    compute_capabilities: tuple[str, ...] = ()
    save_layers: Path | None = None
    plugin: Path | None = None
    package: str | None = None

    def given(self) -> list[str]:
        """Names of the options that differ from their defaults, as the command line has them."""
        names = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        plural = {"compute_capabilities": "compute_capability"}
        return [f"--{plural.get(name, name).replace('_', '-')}" for name in names]

    @classmethod
    def from_manifest(
        cls, entry: TensorRTBuild, *, plugin: Path | None, timing_cache: Path | None
    ) -> PlanOptions:
        """The options that `manifest_entry` recorded, to build another engine alike.

        Args:
            entry: the manifest's ``tensorrt``.
            plugin: the plugin library; None for the installed one.
            timing_cache: file with measured times of kernels; None for none.
        """
        return cls(
            workspace=entry.workspace_mib,
            opt_level=entry.optimization_level,
            version_compatible=entry.version_compatible,
            hardware_compatible=entry.hardware_compatible,
            compute_capabilities=entry.compute_capabilities,
            plugin=plugin,
            timing_cache=timing_cache,
            package=entry.package,
        )

    def manifest_entry(self, api: TensorRT, gpu: Gpu | None) -> TensorRTBuild:
        """The manifest's ``tensorrt`` of an engine built with these options.

        Args:
            api: the package that built it.
            gpu: the GPU at hand; None where there is none.
        """
        return TensorRTBuild(
            package=api.package,
            version=api.version,
            compute_capabilities=targets(self, api, gpu),
            workspace_mib=self.workspace,
            optimization_level=self.opt_level,
            version_compatible=self.version_compatible,
            hardware_compatible=self.hardware_compatible,
        )


def make_profile(
    what: str, fixed: T | None, least: T | None, optimum: T | None, most: T | None
) -> Profile[T] | None:
    """The range that options describe.

    As in trtexec, either the optimum alone, which is then the only value, or all three.

    Args:
        what: ``batch`` or ``size``, for the options' names in errors.
        fixed: value of --batch or --size; None where it is not set.
        least: value of --min-batch or --min-size.
        optimum: value of --opt-batch or --opt-size.
        most: value of --max-batch or --max-size.

    Returns:
        None where no option is set.

    Raises:
        UsageError: the options contradict each other or are incomplete.
    """
    present = [value is not None for value in (least, optimum, most)]
    names = f"--min-{what}, --opt-{what} and --max-{what}"
    if fixed is not None and any(present):
        raise UsageError(f"--{what} fixes what {names} would vary; leave out one or the other")
    if fixed is not None:
        return Profile.of(fixed)
    if not any(present):
        return None
    if present == [False, True, False]:
        assert optimum is not None
        return Profile.of(optimum)
    if least is None or optimum is None or most is None:
        raise UsageError(f"give all of {names}, or --opt-{what} alone")
    steps = list(zip(*map(_sides, (least, optimum, most)), strict=True))
    if not all(a <= b <= c for a, b, c in steps):
        raise UsageError(f"{names} are {least}, {optimum}, {most}: expected them to ascend")
    return Profile(least, optimum, most)


def _sides(value: int | tuple[int, int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else value


def targets(options: PlanOptions, api: TensorRT, gpu: Gpu | None) -> tuple[str, ...]:
    """Compute capabilities that the engine will run on.

    Args:
        options: of the builder.
        api: TensorRT.
        gpu: the GPU of this process; None where there is none.

    Returns:
        Empty for the GPU of this process only.
    """
    if not api.rtx:
        return ()
    if options.compute_capabilities:
        return options.compute_capabilities
    # A GPU that RTX's default leaves out: Turing, for one.
    others = set(api.compute_capabilities()) - set(RTX_DEFAULT)
    if gpu is not None and gpu.compute_capability in others:
        return (gpu.compute_capability,)
    return RTX_DEFAULT


def check_options(options: PlanOptions, api: TensorRT, gpu: Gpu | None) -> None:
    """Refuse options that the installed package would ignore, or cannot follow on this machine.

    Args:
        options: of the builder.
        api: TensorRT.
        gpu: the GPU of this process; None where there is none.

    Raises:
        UsageError: an option is out of range, or this package does not have it.
        LcTrtError: TensorRT needs a GPU and there is none.
    """
    if options.workspace is not None and options.workspace < 1:
        raise UsageError(f"--workspace {options.workspace}: expected at least 1 MiB")
    if options.opt_level is not None and options.opt_level not in OPT_LEVELS:
        raise UsageError(f"--opt-level {options.opt_level}: expected 0 to {OPT_LEVELS[-1]}")
    if api.rtx:
        _check_for_rtx(options, api)
    elif options.compute_capabilities:
        raise UsageError(
            f"--compute-capability: {api.package} builds for the GPU at hand; leave it out, or "
            "install TensorRT for RTX alone: pip install tensorrt-rtx"
        )
    elif gpu is None:
        raise LcTrtError(
            f"{api.package} {api.version} builds on a GPU only, and there is none here; build on "
            "the machine that is to run it, or take TensorRT for RTX: pip install tensorrt-rtx"
        )
    if options.save_layers is not None and gpu is None:
        raise UsageError("--save-layers: TensorRT's inspector needs a GPU, and there is none here")


def check_bf16(options: PlanOptions, api: TensorRT, gpu: Gpu | None) -> None:
    """Refuse BF16 for GPUs whose tensor cores do not have it.

    Args:
        options: of the builder.
        api: TensorRT.
        gpu: the GPU of this process; None where there is none.

    Raises:
        UsageError: the engine would run on a GPU below compute capability 8.0.
    """
    here = () if gpu is None else (gpu.compute_capability,)
    for capability in targets(options, api, gpu) or here:
        if int(capability.split(".")[0]) < 8:
            raise UsageError(
                f"--bf16: needs compute capability 8.0 (Ampere) or later, this is for "
                f"{capability}; build with --fp16"
            )


def _check_for_rtx(options: PlanOptions, api: TensorRT) -> None:
    for option, is_set in (
        ("--timing-cache", options.timing_cache is not None),
        ("--hardware-compatible", options.hardware_compatible),
        ("--version-compatible", options.version_compatible),
    ):
        if is_set:
            raise UsageError(f"{option}: TensorRT for RTX has nothing of the kind; leave it out")
    known = api.compute_capabilities()
    for capability in options.compute_capabilities:
        if capability not in known:
            raise UsageError(
                f"--compute-capability {capability}: {api.package} {api.version} builds for "
                f"{', '.join(known)}"
            )
