"""The one place that imports tensorrt or tensorrt_rtx, and hides how they differ.

Nothing is imported before `load` is called. Names of the package are used as ``trt.NAME`` with
``trt = load().module``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from lc_trt.errors import LcTrtError
from lc_trt.ir.interface import DOMAIN
from lc_trt.trt.plugin_library import BUILD_COMMAND, PluginLibrary
from lc_trt.trt.short_name import provide_short_name

# In order of preference; supported versions: at least the first, below the second.
PACKAGES = {"tensorrt": ((10, 13), (12, 0)), "tensorrt_rtx": ((1, 7), (2, 0))}
INSTALL = {
    "tensorrt": "pip install 'lc-trt[tensorrt]'",
    "tensorrt_rtx": "pip install tensorrt-rtx==1.7.1.116",
}
# Compute capabilities that TensorRT for RTX builds for by default, according to its documentation
# (Turing, 7.5, only when named).
RTX_DEFAULT = ("8.0", "8.6", "8.9", "12.0")
# Logged at the first call of each thread; harmless.
_NOISE = "Thread context has not been set"


@dataclass
class Messages:
    """Messages that TensorRT logged.

    Attributes:
        lines: (name of the severity, text), in order.
    """

    lines: list[tuple[str, str]] = field(default_factory=list)

    def errors(self) -> list[str]:
        """The errors, without the references to NVIDIA's sources in front of them."""
        texts = [text for severity, text in self.lines if "ERROR" in severity]
        errors = list(dict.fromkeys(_readable(text) for text in texts))
        # TensorRT gives plugins no logger while it builds, so they write to stderr themselves.
        if any("maybeReportPluginError" in text for text in errors):
            errors.append("the plugin's own reason is on stderr")
        return errors


@dataclass(frozen=True)
class TensorRT:
    """An imported package.

    Attributes:
        package: ``tensorrt`` or ``tensorrt_rtx``.
        version: its version.
        module: the package.
        logger: the only logger of the process, since TensorRT keeps the first that it gets.
            `messages` collects what it logs.
    """

    package: str
    version: str
    module: Any
    logger: Any
    _sinks: list[Callable[[str, str], None]]
    _loaded: dict[str, Any] = field(default_factory=dict, init=False)

    @property
    def rtx(self) -> bool:
        """Whether it is TensorRT for RTX."""
        return self.package == "tensorrt_rtx"

    @contextmanager
    def messages(self, echo: Callable[[str], None] | None = None) -> Iterator[Messages]:
        """Collect the warnings and errors that TensorRT logs inside the block.

        Args:
            echo: also called with each message of whatever severity.
        """
        messages = Messages()

        def sink(severity: str, text: str) -> None:
            if _NOISE in text:
                return
            if echo is not None:
                echo(f"{severity}: {text}")
            if severity not in ("VERBOSE", "INFO"):
                messages.lines.append((severity, text))

        self._sinks.append(sink)
        try:
            yield messages
        finally:
            self._sinks.remove(sink)

    def new_network(self, builder: Any) -> Any:
        """An empty strongly typed network: precision is that of the ONNX.

        Args:
            builder: TensorRT's IBuilder.
        """
        # TensorRT 11 and RTX have no other kind; 10 needs a flag.
        if self.package == "tensorrt" and self.version.startswith("10."):
            flag = self.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED
            return builder.create_network(1 << int(flag))
        return builder.create_network(0)

    def set_compute_capabilities(self, config: Any, capabilities: tuple[str, ...]) -> None:
        """Choose the GPUs that TensorRT for RTX builds for.

        Args:
            config: IBuilderConfig.
            capabilities: compute capabilities, as in "8.9"; none for the default.
        """
        if not capabilities:
            return
        known = self.compute_capabilities()
        config.num_compute_capabilities = len(capabilities)
        for index, capability in enumerate(capabilities):
            config.set_compute_capability(known[capability], index)

    def compute_capabilities(self) -> dict[str, Any]:
        """Compute capabilities that TensorRT for RTX can build for without the GPU, by name."""
        if not self.rtx:
            return {}
        members = self.module.ComputeCapability.__members__
        numbers = {name: name.removeprefix("SM") for name in members if name.startswith("SM")}
        return {f"{n[:-1]}.{n[-1]}": members[name] for name, n in numbers.items()}

    def load_plugins(self, library: PluginLibrary) -> None:
        """Register our plugins for every builder, parser and runtime of this process.

        Args:
            library: on disk.

        Raises:
            LcTrtError: TensorRT does not load the library, or the process has loaded one of
                another hash.
        """
        if library.sha256 in self._loaded:
            return
        if self._loaded:
            raise LcTrtError(
                f"{library.path}: this process has loaded another plugin library "
                f"({next(iter(self._loaded))[:12]}, this is {library.sha256[:12]}); "
                "use one library in a process, or start another process"
            )
        registry = self.module.get_plugin_registry()
        with self.messages() as messages:
            # None, not an exception, on failure.
            handle = registry.load_library(str(library.path.resolve()))
        if handle is None:
            reason = "; ".join(messages.errors()) or "no reason given"
            raise LcTrtError(
                f"{library.path}: {self.package} {self.version} does not load it ({reason}); "
                f"compile it again: {BUILD_COMMAND}"
            )
        self._loaded[library.sha256] = handle

    def plugin_versions(self) -> dict[str, str]:
        """Versions of our loaded plugins, by name."""
        creators = self.module.get_plugin_registry().all_creators
        return {c.name: c.plugin_version for c in creators if c.plugin_namespace == DOMAIN}


def installed() -> str | None:
    """The package that `load` takes; None where neither is installed."""
    return next((package for package in PACKAGES if find_spec(package) is not None), None)


def load(package: str | None = None) -> TensorRT:
    """Import TensorRT.

    Args:
        package: ``tensorrt`` or ``tensorrt_rtx``; default the first that is installed.

    Raises:
        LcTrtError: it is not installed, cannot be imported, or has a version that does not work.
    """
    chosen = package or installed() or "tensorrt"
    if find_spec(chosen) is None:
        title = "TensorRT" if package is None else chosen
        raise LcTrtError(f"{title} is not installed; install it: {INSTALL[chosen]}")
    return import_package(chosen)


@cache
def import_package(package: str) -> TensorRT:
    """Import an installed package, once per process.

    Args:
        package: ``tensorrt`` or ``tensorrt_rtx``.

    Raises:
        LcTrtError: as of `load`.
    """
    try:
        module: Any = import_module(package)
        version: str = module.__version__
    except (ImportError, OSError, AttributeError) as error:
        raise LcTrtError(
            f"{package} is installed but cannot be imported ({error}); "
            f"install it again: {INSTALL[package]}"
        ) from error
    least, below = PACKAGES[package]
    if not least <= _numbers(version) < below:
        raise LcTrtError(
            f"{package} {version} is installed, expected {_dotted(least)} or newer and below "
            f"{_dotted(below)}; install it: {INSTALL[package]}"
        )
    if package == "tensorrt_rtx":
        provide_short_name()
    sinks: list[Callable[[str, str], None]] = []
    lock = threading.Lock()

    class Logger(module.ILogger):  # type: ignore[misc]
        """Forwards messages to the open collectors."""

        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, message: str) -> None:
            with lock:
                for sink in tuple(sinks):
                    sink(severity.name, message)

    return TensorRT(package, version, module, Logger(), sinks)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _readable(text: str) -> str:
    # "[file.cpp::function::12] Error Code 4: Internal Error (reason)", or the reason alone
    return text.partition("] ")[2] if text.startswith("[") and "] " in text else text
