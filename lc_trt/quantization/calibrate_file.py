"""An ONNX file and images in, a calibration table out: what ``lc-trt calibrate`` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lc_trt.compiler.frontend.import_model import ImportOptions, import_model
from lc_trt.compiler.options import check_shape
from lc_trt.data.images import ImageList
from lc_trt.quantization.calibrate import Settings, calibrate
from lc_trt.quantization.calibration_table import Table, write_table
from lc_trt.utils.files import check_file
from lc_trt.utils.progress import SILENT, ProgressMonitor


def calibrate_file(
    source: Path,
    images: ImageList,
    out: Path,
    settings: Settings | None = None,
    *,
    imports: ImportOptions | None = None,
    monitor: ProgressMonitor = SILENT,
) -> Table:
    """Calibrate an exchange ONNX, or a plain segmentation ONNX, and write the table.

    What was seen so far is kept beside ``out`` and taken up again, if model, images, size and
    thresholds are still the same.

    Args:
        source: the ONNX file.
        images: the images to run it on.
        out: the table's file.
        settings: how to calibrate; None for the defaults.
        imports: how to read a plain ONNX; None for the defaults. Their size is ``settings.size``.
        monitor: shows progress and warnings.

    Raises:
        LcTrtError: the model or the images cannot be used, or the table cannot be written.
    """
    settings = settings or Settings()
    check_shape(settings.size, 1)
    check_file(out, "choose another -o")
    imported = import_model(source, replace(imports or ImportOptions(), size=settings.size))
    state = out.with_name(f".{out.name}.seen")
    table = calibrate(imported.model, imported.info, images, settings, state=state, monitor=monitor)
    write_table(out, table)
    state.unlink(missing_ok=True)
    return table
