"""The calibration table: the range of each activation, and its origin, as JSON."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from itertools import zip_longest
from pathlib import Path

import onnx

from lc_trt.bundle.sections import TableSummary
from lc_trt.compiler.options import Range
from lc_trt.compiler.passes.quantization_plan import fingerprints, make_plan
from lc_trt.compiler.pipeline import prepare
from lc_trt.errors import LcTrtError
from lc_trt.utils.files import atomic_write
from lc_trt.version import __version__

FORMAT = 1


@dataclass(frozen=True)
class TensorRange:
    """The range of a tensor.

    Attributes:
        name: of the tensor.
        low: lower end of the range that INT8 covers.
        high: upper end of it.
        smallest: the smallest value that occurred.
        largest: the largest one.
        values: number of values.
        made_by: hash of the operators and weights that compute it (`origins`).
    """

    name: str
    low: float
    high: float
    smallest: float
    largest: float
    values: int
    made_by: str


@dataclass(frozen=True)
class CalibrationTable:
    """The ranges of a model.

    Attributes:
        model: name of the model.
        model_sha256: over all ``made_by``: of the computation, not of a file.
        method: range estimator (`lc_trt.quantization.range_estimators.find_range`).
        percentile: parameter of the method of that name, 0 to 100; None for others.
        images: number of images used.
        skipped: names of the unreadable ones.
        images_sha256: of the image list (`ImageList.digest`).
        size: (height, width) in pixels of the calibration.
        rho: its thresholds, one per boundary; None for a dense network.
        tensors: one range per quantised activation, in the order of the graph.
        lc_trt_version: the version that calibrated.
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
        """(low, high) per tensor."""
        return {t.name: (t.low, t.high) for t in self.tensors}

    def summary(self) -> TableSummary:
        """The manifest's summary: everything but the ranges."""
        body = {f.name: getattr(self, f.name) for f in fields(self)}
        return TableSummary(**{**body, "skipped": len(self.skipped), "tensors": len(self.tensors)})

    def dumps(self) -> str:
        """JSON text with one line per tensor."""
        body = {"format": FORMAT, "lc_trt_version": self.lc_trt_version, **asdict(self)}
        tensors = ",\n    ".join(json.dumps(t) for t in body.pop("tensors"))
        head = json.dumps(body, indent=2).removesuffix("\n}")
        return f'{head},\n  "tensors": [\n    {tensors}\n  ]\n}}\n'


def write_table(path: Path, table: CalibrationTable) -> None:
    """Write a table atomically, with the folders above it.

    Args:
        path: the file.
        table: what to write.

    Raises:
        LcTrtError: the file cannot be written.
    """
    atomic_write(path, table.dumps().encode(), "choose another -o", parents=True)


def read_table(path: Path) -> CalibrationTable:
    """Read a table.

    Args:
        path: the file.

    Raises:
        LcTrtError: the file is missing, is not a table, or has another format.
    """
    advice = f"create it: lc-trt calibrate MODEL.onnx --images DIR -o {path}"
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LcTrtError(f"{path}: cannot be read ({error.strerror}); {advice}") from error
    except ValueError as error:
        raise LcTrtError(f"{path}: not a calibration table (no JSON); {advice}") from error
    if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
        raise LcTrtError(f"{path}: not a calibration table of format {FORMAT}; {advice}")
    try:
        tensors = tuple(TensorRange(**tensor) for tensor in body.pop("tensors"))
        rho, size = body.pop("rho"), body.pop("size")
        return CalibrationTable(
            **{**body, "skipped": tuple(body["skipped"])},
            size=(int(size[0]), int(size[1])),
            rho=None if rho is None else (float(rho[0]), float(rho[1])),
            tensors=tensors,
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise LcTrtError(
            f"{path}: calibration table with a missing or unknown field ({error}); {advice}"
        ) from error


def origins(source: onnx.ModelProto) -> dict[str, str]:
    """Hash of the operators and weights that compute each tensor to quantise, for every size.

    Args:
        source: an exchange model.

    Returns:
        Hexadecimal hash by tensor, in the order of the graph.
    """
    graph = prepare(source)
    return fingerprints(graph, make_plan(graph))


def model_digest(made_by: dict[str, str]) -> str:
    """SHA-256 over the names and hashes of a model's tensors.

    Args:
        made_by: hash per tensor (`origins`).
    """
    text = "\n".join(f"{name} {value}" for name, value in made_by.items())
    return hashlib.sha256(text.encode()).hexdigest()


def check_table(table: CalibrationTable, source: onnx.ModelProto, path: str) -> None:
    """Reject a table of another model, naming the first tensor that differs.

    Args:
        table: the table.
        source: an exchange model, of any size.
        path: the table's name in messages.

    Raises:
        LcTrtError: the table belongs to another model.
    """
    model = list(origins(source).items())
    rows = [(tensor.name, tensor.made_by) for tensor in table.tensors]
    for i, (row, tensor) in enumerate(zip_longest(rows, model)):
        if row == tensor:
            continue
        if row and tensor and row[0] == tensor[0]:
            difference = f"tensor {row[0]!r} is computed with other weights"
        else:
            has = [f"has {entry[0]!r}" if entry else "ends" for entry in (row, tensor)]
            difference = f"at tensor {i + 1} the table {has[0]} and the model {has[1]}"
        raise LcTrtError(
            f"{path}: is the table of another model ({table.model}): {difference}; calibrate "
            "this one: lc-trt calibrate MODEL.onnx --images DIR -o table.json"
        )
