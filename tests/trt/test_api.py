"""Loading TensorRT, with fake packages."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from lc_trt.errors import LcTrtError
from lc_trt.trt import api as trt


class Builder:
    """Returns the flags of a network."""

    def create_network(self, flags: int) -> int:
        return flags


class Logger:
    """TensorRT's ILogger."""


def package(version: str) -> Any:
    module = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    vars(module).update(
        __version__=version,
        ILogger=Logger,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
    )
    return module


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replaces the package tensorrt by a module."""

    def put(module: Any) -> trt.TensorRT:
        monkeypatch.setitem(sys.modules, "tensorrt", module)
        trt.import_package.cache_clear()
        return trt.load()

    yield put
    trt.import_package.cache_clear()


@pytest.mark.parametrize(("version", "flags"), [("10.13.3.9", 2), ("11.4.0.106", 0)])
def test_networks_are_strongly_typed(install: Any, version: str, flags: int) -> None:
    api = install(package(version))
    assert (api.package, api.version, api.rtx) == ("tensorrt", version, False)
    assert api.new_network(Builder()) == flags
    assert api.compute_capabilities() == {}
    assert trt.installed() == "tensorrt"


@pytest.mark.parametrize("version", ["10.12.0", "9.3", "12.0.1"])
def test_another_version_is_refused(install: Any, version: str) -> None:
    with pytest.raises(LcTrtError, match=r"expected 10.13 or newer and below 12.0; install it: "):
        install(package(version))


def test_a_package_without_its_libraries_is_refused(install: Any) -> None:
    # As pip leaves tensorrt if it could not download the libraries.
    module = ModuleType("tensorrt")
    module.__spec__ = ModuleSpec("tensorrt", None)
    with pytest.raises(LcTrtError, match=r"cannot be imported .* install it again: pip install"):
        install(module)


def test_a_missing_package_names_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in trt.PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)
    assert trt.installed() is None
    with pytest.raises(LcTrtError, match=r"TensorRT is not installed; install it: pip install"):
        trt.load()
    with pytest.raises(LcTrtError, match=r"tensorrt_rtx is not installed.*tensorrt-rtx=="):
        trt.load("tensorrt_rtx")


def test_messages_are_collected_within_the_block(install: Any) -> None:
    api, echoed = install(package("11.4.0")), []
    error, warning = SimpleNamespace(name="ERROR"), SimpleNamespace(name="WARNING")
    with api.messages(echoed.append) as outer:
        api.logger.log(SimpleNamespace(name="VERBOSE"), "something")
        api.logger.log(error, "[a.cpp::f::3] Error Code 4: the reason")
        with api.messages() as inner:
            api.logger.log(warning, "careful")
            api.logger.log(error, "[a.cpp::g::5] Thread context has not been set!")
    api.logger.log(error, "too late")
    assert outer.errors() == ["Error Code 4: the reason"]
    assert inner.lines == [("WARNING", "careful")] and inner.errors() == []
    assert echoed[0] == "VERBOSE: something" and len(echoed) == 3
