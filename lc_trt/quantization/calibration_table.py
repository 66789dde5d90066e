"""The calibration table: the range of every tensor, and what it was made from, as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from lc_trt.bundle.sections import TableSummary
from lc_trt.compiler.graph import Graph
from lc_trt.compiler.options import Range
from lc_trt.compiler.passes.quantization_plan import fingerprints, make_plan
from lc_trt.errors import LcTrtError
from lc_trt.utils.files import atomic_write
from lc_trt.version import __version__

FORMAT = 1


@dataclass(frozen=True)
class TensorRange:
    """One tensor.

    Attributes:
        low, high: the range that INT8 covers.
        smallest, largest: what occurred.
        values: how many values were seen.
        made_by: hash of the operators and weights that compute it (`fingerprints`).
    """

    name: str
    low: float
    high: float
    smallest: float
    largest: float
    values: int
    made_by: str


@dataclass(frozen=True)
class Table:
    """All tensors of one model.

    Attributes:
        model: its name.
        model_sha256: over all ``made_by``: of what computes its tensors, not of a file.
        method: of `lc_trt.quantization.range_estimators`; ``percentile`` is its
            parameter, if it has one.
        images: how many were seen; ``skipped`` names those that were broken.
        images_sha256: of the image list (`ImageList.digest`).
        size: (height, width) they were seen at.
        rho: thresholds they were seen at; None for a dense network.
    """

    model: str
    model_sha256: str
    method: str
    percentile: float | None
    images: int
    skipped: tuple[str, ...]
    images_sha256: str
    size: tuple[int, int]
    rho: tuple[float, float] | None
    tensors: tuple[TensorRange, ...]
    lc_trt_version: str = __version__

    @property
    def ranges(self) -> dict[str, Range]:
        """(low, high) by tensor."""
        return {t.name: (t.low, t.high) for t in self.tensors}

    def summary(self) -> TableSummary:
        """All but the ranges, for a manifest."""
        body = {f.name: getattr(self, f.name) for f in fields(self)}
        return TableSummary(**{**body, "skipped": len(self.skipped), "tensors": len(self.tensors)})

    def dumps(self) -> str:
        """JSON text, one tensor a line."""
        body = {"format": FORMAT, "lc_trt_version": self.lc_trt_version, **asdict(self)}
        tensors = ",\n    ".join(json.dumps(t) for t in body.pop("tensors"))
        head = json.dumps(body, indent=2).removesuffix("\n}")
        return f'{head},\n  "tensors": [\n    {tensors}\n  ]\n}}\n'


def write_table(path: Path, table: Table) -> None:
    """Write a table, whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LcTrtError(
            f"{path}: its folder cannot be made ({error.strerror}); choose another -o"
        ) from error
    atomic_write(path, table.dumps().encode(), "choose another -o")


def read_table(path: Path) -> Table:
    """Read a table.

    Raises:
        LcTrtError: no such file, no table, or one of another format.
    """
    again = f"make it: lc-trt calibrate MODEL.onnx --images DIR -o {path}"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LcTrtError(f"{path}: cannot be read ({error.strerror}); {again}") from error
    except ValueError as error:
        raise LcTrtError(f"{path}: no calibration table (not JSON); {again}") from error
    if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
        raise LcTrtError(f"{path}: no calibration table of format {FORMAT}; {again}")
    try:
        tensors = tuple(TensorRange(**tensor) for tensor in body.pop("tensors"))
        rho, size = body.pop("rho"), body.pop("size")
        return Table(
            **{**body, "skipped": tuple(body["skipped"])},
            size=(int(size[0]), int(size[1])),
            rho=None if rho is None else (float(rho[0]), float(rho[1])),
            tensors=tensors,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise LcTrtError(
            f"{path}: a calibration table that misses or holds something unknown ({error}); {again}"
        ) from error


def model_digest(made_by: dict[str, str]) -> str:
    """SHA-256 over the names and hashes of a model's tensors."""
    text = "\n".join(f"{name} {value}" for name, value in made_by.items())
    return hashlib.sha256(text.encode()).hexdigest()


def check_table(table: Table, graph: Graph, origin: str) -> None:
    """Refuse a table of another model, by the name of the first tensor that differs.

    Args:
        table: has a hash per tensor.
        graph: folded (`lc_trt.compiler.pipeline.prepare`).
        origin: what messages call the table.

    Raises:
        LcTrtError: it is of another model.
    """
    made_by = fingerprints(graph, make_plan(graph))
    expected = list(made_by.items())
    found = [(t.name, t.made_by) for t in table.tensors]
    for i in range(max(len(expected), len(found))):
        mine = expected[i] if i < len(expected) else None
        theirs = found[i] if i < len(found) else None
        if mine == theirs:
            continue
        if mine is None or theirs is None or mine[0] != theirs[0]:
            what = (
                f"has {theirs[0]!r}" if theirs else "ends",
                f"has {mine[0]!r}" if mine else "ends",
            )
            difference = f"at tensor {i + 1} the table {what[0]} and the model {what[1]}"
        else:
            difference = f"tensor {mine[0]!r} is computed with other weights"
        raise LcTrtError(
            f"{origin}: is the table of another model ({table.model}): {difference}; make this "
            "model's own: lc-trt calibrate MODEL.onnx --images DIR -o table.json"
        )
