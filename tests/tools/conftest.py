"""The scripts of tools/gpu, and the emulator that stands in for a GPU."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools" / "gpu"))


def load(path: Path, name: str) -> ModuleType:
    """A module from its file, under a name that no other has."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_emulation = load(ROOT / "tests" / "plugins" / "conftest.py", "plugins_conftest")
emulator_path, emulator = _emulation.emulator_path, _emulation.emulator


@pytest.fixture(scope="session")
def gpu_tool() -> Callable[[str], ModuleType]:
    """A script of tools/gpu by name."""
    loaded: dict[str, ModuleType] = {}

    def tool(name: str) -> ModuleType:
        if name not in loaded:
            loaded[name] = load(ROOT / "tools" / "gpu" / f"{name}.py", f"tools_gpu_{name}")
        return loaded[name]

    return tool


@pytest.fixture
def kernels(emulator):
    """The kernels on the CPU; bounds are checked."""
    from gpubench.kernels import Kernels

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny networks: waiting for threads takes longer than the work
    yield Kernels(emulator, torch.device("cpu"))
    torch.set_num_threads(threads)


class FakeBackend:
    """Times that a test gives: one a recording, in the order of the recordings."""

    def __init__(self, times: Iterator[float]) -> None:
        self.times = times

    def record(self, work, copies=1):
        work()  # as a capture does
        taken = next(self.times) * copies

        def replay():
            self.last = taken
            return taken

        return replay

    def milliseconds(self, run):
        """The time that a recording was given, also of one within a function without a value."""
        taken = run()
        return self.last if taken is None else taken


@pytest.fixture
def fake_backend() -> type[FakeBackend]:
    return FakeBackend
