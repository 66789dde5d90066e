"""Names of `ir.interface` are not repeated elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from lc_trt.ir import interface

ROOT = Path(__file__).parents[2]
NAMES = {
    interface.DOMAIN, interface.MODEL_INFO, interface.FP32_TENSORS,
    *interface.CASCADE_INPUTS, *interface.CASCADE_OUTPUTS,
    *interface.PAST, *interface.PRESENT, interface.LIMITS, interface.WORK,
    *interface.PLUGIN_ATTRIBUTES, interface.FEATURE_HEIGHT, interface.FEATURE_WIDTH,
}  # fmt: skip
# Words that only look like one of them, by file or folder.
PACKAGE = {"lc_trt"}  # its logger, the module that -m runs, a version in a report
OTHERWISE = {
    "lc_trt/bench/accuracy.py": {"rho"},  # a key of its JSON
    "lc_trt/bundle/": {"confidence", "labels", "reuse", "rho", "stages"},  # keys of its JSON
    "lc_trt/cli/console.py": PACKAGE,
    "lc_trt/cli/run_report.py": {"rho"},  # of its JSON
    "lc_trt/compiler/passes/temporal_reuse.py": {
        "confidence", "past_stages", "rho", "stages", "work",  # paths of nodes
    },
    "lc_trt/data/datasets/folder.py": {"labels"},  # a folder
    "lc_trt/evaluation/compare.py": {"image", "labels", "stages"},  # keys of its JSON
    "lc_trt/evaluation/pictures.py": {"labels"},  # a title
    "lc_trt/evaluation/outcome.py": {"rho", *PACKAGE},  # of its JSON
    "lc_trt/evaluation/sweep.py": {"rho"},  # of its JSON
    "lc_trt/evaluation/tables.py": {"rho"},  # a column
    "lc_trt/model/encoders/weights.py": PACKAGE,  # metadata of a safetensors file
    "lc_trt/ir/region_ops.py": {"confidence", "rho"},  # inputs of RegionSelect
    "lc_trt/quantization/calibration_table.py": {"rho"},  # a key of its JSON
    "lc_trt/runtime/cuda/driver.py": PACKAGE,
    "lc_trt/runtime/engines/tensorrt/compatibility.py": PACKAGE,
    "lc_trt/runtime/engines/tensorrt/execution_context.py": PACKAGE,
    "lc_trt/runtime/governor/governor.py": PACKAGE,
    "lc_trt/runtime/visualize.py": {"stages"},  # a view
    "lc_trt/training/checkpoint.py": PACKAGE,  # metadata of a safetensors file
    "lc_trt/video/sinks/open.py": {"labels"},  # a folder
    "tools/bench_governor.py": {"rho", *PACKAGE},  # a key of its JSON
    "tools/bench_irnet.py": PACKAGE,
    "tools/bench_reuse.py": {"rho"},  # of its JSON
    "tools/check_bound.py": {"confidence"},  # a key of its JSON
    "tools/compare_neighbours.py": {"rho"},  # of its JSON
    "tools/draw_architecture.py": PACKAGE,
    "tools/gpu/gpubench/machine.py": PACKAGE,
    "tools/gpu/gpubench/region_operators.py": {"confidence"},  # an input of RegionSelect
    "tools/soak_video.py": {"rho"},  # of its JSON
}  # fmt: skip
# Methods that take the name of a parameter of an operator.
READS = {
    "attribute", "constant", "input", "inputs", "integers", "optional", "output",
    "set_attribute", "set_input", "set_inputs", "set_output", "tensor", "tensors",
}  # fmt: skip
FILES = sorted(
    path
    for folder in ("lc_trt", "tools")
    for path in (ROOT / folder).rglob("*.py")
    if path != ROOT / "lc_trt" / "ir" / "interface.py"
)


def literals(tree: ast.AST) -> Iterator[ast.Constant]:
    """Literals, but those that name a parameter of an operator to a `NodeView`."""
    parameters: set[int] = set()
    for node in ast.walk(tree):
        if _reads_parameter(node):
            parameters |= {id(argument) for argument in node.args}
        elif isinstance(node, ast.GeneratorExp | ast.ListComp | ast.DictComp):
            # view.input(name) for name in ("rows", "index")
            parts = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            if any(map(_reads_parameter, parts)):
                names = node.generators[0].iter
                parameters |= {id(name) for name in getattr(names, "elts", [])}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in parameters:
            yield node


def _reads_parameter(node: ast.AST) -> bool:
    is_method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    return is_method and node.func.attr in READS


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_names_are_imported_and_not_repeated(path: Path) -> None:
    place = path.relative_to(ROOT).as_posix()
    allowed = {word for key, words in OTHERWISE.items() if place.startswith(key) for word in words}
    spelt = {node.value: node.lineno for node in literals(ast.parse(path.read_text()))}
    assert {name: spelt[name] for name in (spelt.keys() & NAMES) - allowed} == {}


def test_repeated_names_are_found() -> None:
    lines = (
        'view.input("rho")',
        '[view.input(name) for name in ("rho", "confidence")]',
        'feed = {"rho": x, "image": y}',
    )
    assert [node.value for node in literals(ast.parse("\n".join(lines)))] == ["rho", "image"]
