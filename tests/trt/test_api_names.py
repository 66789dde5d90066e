"""Every name of TensorRT and CUDA in our source exists.

They are asked themselves: tensorrt_rtx, the bindings of TensorRT 11.4, and cuda-python. None of
them needs a GPU for that. The bindings need TensorRT's libraries to be loaded, which PyPI does not
have; empty ones take their place.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import fake_cuda
import fake_tensorrt
import pytest

ROOT = Path(__file__).parents[2] / "lc_trt"
SCRIPT = Path(__file__).parents[1] / "helpers" / "dump_names.py"

# Names of TensorRT for RTX only, used after a check of the package.
RTX_ONLY = {
    "ComputeCapability.__members__",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
}
# Classes of variables by name, in the files that use TensorRT.
OBJECTS = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "error": "ParserError",
    "layer": "ILayer",
    "tensor": "ITensor",
    "profile": "IOptimizationProfile",
    "cache": "ITimingCache",
    "registry": "IPluginRegistry",
    "runtime": "Runtime",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
}
# Variables of the same names for objects of our own.
OURS = {
    ("runtime/engines/tensorrt/engine.py", "context"),
    ("runtime/engines/tensorrt/execution_context.py", "error"),
    ("trt/progress_monitor.py", "error"),
    ("trt/timing_cache.py", "error"),
}
TALKERS = [
    *sorted(p for p in (ROOT / "trt").glob("*.py") if not p.name.startswith("plugin")),
    ROOT / "runtime/engines/tensorrt/engine.py",
    ROOT / "runtime/engines/tensorrt/execution_context.py",
]


def chains(path: Path) -> Iterator[tuple[str, ...]]:
    """Every ``a.b.c`` of a file, the longest only."""
    tree = ast.parse(path.read_text())
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or id(node) in inner:
            continue
        parts: list[str] = []
        here: ast.expr = node
        while isinstance(here, ast.Attribute):
            parts.append(here.attr)
            here = here.value
        if isinstance(here, ast.Name):
            yield (here.id, *reversed(parts))


def module_names() -> set[str]:
    """Names of TensorRT's module: ``trt.NAME``, and ``module.NAME`` where it is loaded."""
    names = set()
    for path in TALKERS:
        for chain in chains(path):
            if chain[0] == "trt" or chain[:2] == ("self", "module"):
                names.add(".".join(chain[1 + (chain[0] == "self") :]))
            elif chain[0] == "module" and path.name == "api.py":
                names.add(".".join(chain[1:]))
    return names - {"__version__"}


def object_names() -> set[tuple[str, str]]:
    """(class, attribute) of each use of TensorRT's objects."""
    names = set()
    for path in TALKERS:
        for chain in chains(path):
            # self._context.execute_async_v3 is asked of a context, as context.… is
            held = len(chain) > 2 and chain[0] == "self"
            name, attribute, *_ = (chain[1].lstrip("_"), *chain[2:]) if held else chain
            ours = (path.relative_to(ROOT).as_posix(), name) in OURS
            if name in OBJECTS and not ours:
                names.add((OBJECTS[name], attribute))
    return names


@pytest.fixture(scope="module", params=["tensorrt_rtx", "tensorrt"])
def package(request, tmp_path_factory):
    """Name of a package, and its names."""
    module = {"tensorrt": "tensorrt_bindings"}.get(request.param, request.param)
    if find_spec(module) is None:
        pytest.skip(f"needs {module}: make setup")
    environment = dict(os.environ)
    if module == "tensorrt_bindings":
        if shutil.which("cc") is None:
            pytest.skip("makes empty libraries, and there is no cc here")
        environment["LD_LIBRARY_PATH"] = str(empty_libraries(tmp_path_factory.mktemp("empty")))
    done = subprocess.run(
        [sys.executable, SCRIPT, module], capture_output=True, text=True, env=environment,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout)


def empty_libraries(folder: Path) -> Path:
    """Empty libraries with the entry points that TensorRT's bindings need."""
    entries = (
        "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL",
        "createInferRuntime_INTERNAL", "createNvOnnxParserRefitter_INTERNAL",
        "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry", "getNvOnnxParserVersion",
        "getPluginRegistry", "initLibNvInferPlugins",
    )  # fmt: skip
    source = folder / "empty.c"
    source.write_text("\n".join(f"void* {entry}(void) {{ return 0; }}" for entry in entries))
    for name in ("libnvinfer.so.11", "libnvinfer_plugin.so.11", "libnvonnxparser.so.11"):
        options = ["-shared", "-fPIC", f"-Wl,-soname,{name}", "-o", folder / name]
        subprocess.run(["cc", *options, source], check=True)
    return folder


def exists(dotted: str, has: dict[str, dict[str, str] | None]) -> bool:
    first, *rest = dotted.split(".")[:2]
    return first in has and all(name in (has[first] or {}) for name in rest)


def test_every_name_of_tensorrt_exists(package):
    name, has = package
    used = module_names() | {f"{cls}.{attribute}" for cls, attribute in object_names()}
    if name == "tensorrt":
        assert used >= RTX_ONLY and not any(exists(dotted, has) for dotted in RTX_ONLY)
        used -= RTX_ONLY
    assert sorted(dotted for dotted in used if not exists(dotted, has)) == []


def test_names_are_found_for_every_kind_of_object():
    assert {cls for cls, _ in object_names()} == set(OBJECTS.values())
    assert {"Runtime", "Builder", "TensorIOMode.INPUT", "ILogger"} <= module_names()


def test_the_fake_tensorrt_has_no_method_that_the_real_one_lacks(package):
    _, has = package
    pairs = {"Runtime": "Runtime", "Engine": "ICudaEngine", "Context": "IExecutionContext"}
    for ours, theirs in pairs.items():
        members = vars(getattr(fake_tensorrt, ours)).items()
        for method, function in members:
            if method.startswith("_"):
                continue
            assert method in has[theirs], f"{theirs} has no {method}"
            signature = has[theirs][method]
            names = function.__code__.co_varnames[1 : function.__code__.co_argcount]
            # "self" apart, and an overloaded one lists several
            counts = {
                len([p for p in part.split(",") if p.strip()]) - 1
                for part in re.findall(rf"{method}\(([^*]*?)\) ->", signature)
            }
            assert not counts or len(names) in counts | {c - 1 for c in counts}, signature


# --- CUDA -----------------------------------------------------------------------------------------


def talks_to_cuda(path: Path) -> bool:
    return "from cuda.bindings import driver as cuda" in path.read_text()


def test_every_name_of_cuda_exists():
    from cuda.bindings import driver

    paths = [path for path in ROOT.rglob("*.py") if talks_to_cuda(path)]
    names = {chain[1:] for path in paths for chain in chains(path) if chain[0] == "cuda"}
    names |= {("CUdevice_attribute", a) for a in attributes("attribute", "CU_DEVICE")}
    names |= {("CUpointer_attribute", a) for a in attributes("attribute", "CU_POINTER")}
    assert len(names) > 30
    for first, *rest in names:
        value = getattr(driver, first)
        for name in rest:
            value = getattr(value, name)


def attributes(variable: str, prefix: str) -> set[str]:
    names = chains(ROOT / "runtime/cuda/driver.py")
    return {c[1] for c in names if c[0] == variable and c[1].startswith(prefix)}


def test_only_one_file_talks_to_cuda():
    """cuda-python; the name of the GPU is queried from the driver elsewhere."""
    imports = re.compile(r"^\s*(?:from|import) cuda\b", re.MULTILINE)
    names = [
        p.relative_to(ROOT).as_posix() for p in ROOT.rglob("*.py") if imports.search(p.read_text())
    ]
    assert names == ["runtime/cuda/driver.py"]


def test_every_call_of_cuda_is_checked_and_has_its_number_of_arguments():
    tree = ast.parse((ROOT / "runtime/cuda/driver.py").read_text())
    checked = [
        node.args[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "check"
    ]
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("cuda.cu")
    ]
    assert len(calls) > 25
    for call in calls:
        name = ast.unparse(call.func).removeprefix("cuda.")
        assert len(call.args) == fake_cuda.takes(name), ast.unparse(call)
        # The helper itself asks for an error's text.
        assert call in checked or name == "cuGetErrorString", ast.unparse(call)
