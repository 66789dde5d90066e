"""Opens sinks by path and connects them to views of a result."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lc_trt.data.images import IMAGE_SUFFIXES
from lc_trt.errors import LcTrtError, UsageError
from lc_trt.runtime.result import Result
from lc_trt.runtime.visualize import View
from lc_trt.video.base import DEFAULT_FPS, Image, Source
from lc_trt.video.sinks.base import (
    Encode,
    FolderSink,
    PictureSink,
    Sink,
    UniqueNames,
    image_encoder,
)
from lc_trt.video.sinks.encode import VIDEO_CODECS, VideoSink
from lc_trt.video.sinks.labels import Colours, NpzSink, RawLabels, palette_png
from lc_trt.video.sinks.window import Window

STDOUT = Path("-")


@dataclass(frozen=True)
class Output:
    """A view of results and its sink.

    Attributes:
        draw: returns the picture or labels of a result.
        sink: receives them.
    """

    draw: Callable[[Result], Image]
    sink: Sink


@dataclass(frozen=True)
class OutputSpec:
    """Output specification, applied to each source.

    Attributes:
        views: views to draw.
        save: one path per view; with several sources, a folder with one output per source. Empty
            saves nothing; None names outputs after the sources, in the current folder.
        alpha: opacity of the class colours in overlays, 0 to 1.
        labels: path of label maps: a folder or .png (palette PNG), .npz, or ``-`` (raw bytes on
            stdout); None for no labels.
        show: whether to open one window per view.
        fps: frames per second of a video made from still images.
        limit: maximum number of frames per source.
    """

    views: Sequence[View]
    save: Sequence[Path] | None
    alpha: float
    labels: Path | None = None
    show: bool = False
    fps: float | None = None
    limit: int | None = None


def open_outputs(
    sources: Sequence[Source], spec: OutputSpec, colours: Colours
) -> list[list[Output]]:
    """Open all outputs of each source, or none if one cannot be written.

    Args:
        sources: the sources.
        spec: what to output.
        colours: RGB per class, for label maps.

    Returns:
        One list of outputs per source.

    Raises:
        LcTrtError: a path cannot be written, or is a file that a source reads.
        UsageError: a path whose format does not fit the output.
    """
    if spec.save and len(set(spec.save)) < len(spec.save):
        raise UsageError(f"--save {spec.save[-1]}: given twice; choose one path per --view")
    outputs: list[list[Output]] = [[] for _ in sources]
    names = UniqueNames()
    try:
        for source, source_outputs in zip(sources, outputs, strict=True):
            for number, view in enumerate(spec.views):
                draw = _view(view, spec.alpha)
                if spec.show:
                    source_outputs.append(Output(draw, Window(f"{source.name} {view}")))
                path = _save_path(source, sources, spec.save, number, view, names)
                if path is not None:
                    _check_not_read(path, sources)
                    source_outputs.append(Output(draw, _picture_sink(path, source, spec)))
            if spec.labels is not None:
                path = spec.labels
                if len(sources) > 1:
                    path = _in_folder(path, source, "labels", names)
                _check_not_read(path, sources)
                sink = _label_sink(path, source, spec, palette_png(colours))
                source_outputs.append(Output(lambda result: result.labels, sink))
    except BaseException:
        abort(outputs)
        raise
    return outputs


def finish(outputs: Sequence[Sequence[Output]]) -> None:
    """Complete all outputs.

    Args:
        outputs: as of `open_outputs`.
    """
    for source_outputs in outputs:
        for output in source_outputs:
            output.sink.finish()


def abort(outputs: Sequence[Sequence[Output]]) -> None:
    """Discard all incomplete outputs.

    Args:
        outputs: as of `open_outputs`.
    """
    for source_outputs in outputs:
        for output in source_outputs:
            output.sink.abort()


def paths(outputs: Sequence[Sequence[Output]]) -> list[Path]:
    """List the output files and folders.

    Args:
        outputs: as of `open_outputs`.
    """
    return [
        o.sink.path for source_outputs in outputs for o in source_outputs if o.sink.path is not None
    ]


def window_closed(outputs: Sequence[Sequence[Output]]) -> bool:
    """Process window events; whether a window has been closed.

    Args:
        outputs: as of `open_outputs`.
    """
    windows = [
        o.sink for source_outputs in outputs for o in source_outputs if isinstance(o.sink, Window)
    ]
    return any([window.closed() for window in windows])


def dropped_audio(sources: Sequence[Source], outputs: Sequence[Sequence[Output]]) -> Iterator[str]:
    """List a message for each output video that lacks the audio of its source.

    Args:
        sources: the sources.
        outputs: of the sources, as of `open_outputs`.
    """
    for source, source_outputs in zip(sources, outputs, strict=True):
        if source.audio_streams:
            for output in source_outputs:
                if isinstance(output.sink, VideoSink):
                    yield f"{source.name}: audio is dropped, {output.sink.path} has none"


def default_output(source: Source, view: str) -> Path:
    """Default output path: NAME_VIEW in the current folder.

    Args:
        source: the source.
        view: name of the view.
    """
    name = re.sub(r"[^\w.-]+", "", Path(source.name).stem) or "images"
    if source.fps is not None:
        return Path(f"{name}_{view}.mp4")
    return Path(f"{name}_{view}.png" if source.count == 1 else f"{name}_{view}")


def _view(view: View, alpha: float) -> Callable[[Result], Image]:
    return lambda result: result.view(view, alpha)


def _save_path(
    source: Source,
    sources: Sequence[Source],
    save: Sequence[Path] | None,
    number: int,
    view: View,
    names: UniqueNames,
) -> Path | None:
    if save is None:
        return _in_folder(Path(), source, view, names)
    if not save:
        return None
    return save[number] if len(sources) == 1 else _in_folder(save[number], source, view, names)


def _in_folder(folder: Path, source: Source, view: str, names: UniqueNames) -> Path:
    if folder == STDOUT or (folder.suffix and not folder.is_dir()):
        raise UsageError(
            f"{folder}: several sources need a folder, which gets one output per source"
        )
    path = default_output(source, view)
    suffix = path.suffix if view in list(View) else ""  # labels go to a folder
    return folder / f"{names.unique(path.stem)}{suffix}"


def _picture_sink(path: Path, source: Source, spec: OutputSpec) -> Sink:
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix:
        return FolderSink(path, image_encoder(".png"))
    if suffix in VIDEO_CODECS:
        fps = source.fps or spec.fps or DEFAULT_FPS
        return VideoSink(path, fps, scale=source.fps is not None)
    if suffix in IMAGE_SUFFIXES:
        return PictureSink(path, image_encoder(suffix), _middle(path, source, spec.limit))
    raise UsageError(
        f"{path}: unknown output format {suffix!r}; expected a video "
        f"({' '.join(VIDEO_CODECS)}), an image ({' '.join(IMAGE_SUFFIXES)}) or a folder"
    )


def _label_sink(path: Path, source: Source, spec: OutputSpec, encode: Encode) -> Sink:
    if path == STDOUT:
        # Unbuffered, since Python would flush a buffer again after the reader has quit.
        return RawLabels(open(sys.stdout.fileno(), "wb", buffering=0, closefd=False))
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix:
        return FolderSink(path, encode)
    if suffix == ".npz":
        return NpzSink(path)
    if suffix == ".png":
        return PictureSink(path, encode, _middle(path, source, spec.limit))
    raise UsageError(
        f"{path}: unknown label format {suffix!r}; expected .npz, .png, a folder or - (stdout)"
    )


def _middle(path: Path, source: Source, limit: int | None) -> int:
    """Index of the frame that a single image of a source shows: the middle one of a video."""
    count = source.count if limit is None else min(limit, source.count or limit)
    if count is None:
        raise UsageError(f"{path}: a single image of {source.name} needs --frames N")
    if source.fps is None and count > 1:
        raise UsageError(f"{path}: a single image, but {source.name} has {count}; save to a folder")
    return count // 2


def _check_not_read(path: Path, sources: Sequence[Source]) -> None:
    """Reject a path that a source reads: a file, or the folder of its images."""
    for source in sources:
        files = list(source.files())
        if source.fps is None:
            files += {file.parent for file in files}
        if path.exists() and any(path.samefile(file) for file in files):
            raise LcTrtError(f"{path}: would overwrite the source; choose another --save")
