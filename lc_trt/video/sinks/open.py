"""Which picture of a result goes where, by the paths that a person gives."""

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
from lc_trt.video.sinks.base import Encode, FolderSink, Names, PictureSink, Sink, encode_as
from lc_trt.video.sinks.encode import VIDEO_CODECS, VideoSink
from lc_trt.video.sinks.labels import Colours, NpzSink, RawLabels, palette_png
from lc_trt.video.sinks.window import Window

STDOUT = Path("-")


@dataclass(frozen=True)
class Output:
    """A picture of each result, and where it goes."""

    draw: Callable[[Result], Image]
    sink: Sink


@dataclass(frozen=True)
class OutputSpec:
    """What to make of each source.

    Attributes:
        views: the pictures to draw.
        save: a path a view; for several sources each is a folder, in which every source gets its
            own. Empty saves none, None names them after the sources in the current folder.
        labels: where label maps go: a folder or .png (palette PNG), .npz, or ``-`` (bytes on
            stdout); None for nowhere.
        show: whether to open a window a view.
        alpha: share of the colours in overlays.
        fps: frames a second of a video made of images.
        limit: frames of each source.
    """

    views: Sequence[View]
    save: Sequence[Path] | None
    alpha: float
    labels: Path | None = None
    show: bool = False
    fps: float | None = None
    limit: int | None = None


def open_outputs(
    sources: Sequence[Source], wish: OutputSpec, colours: Colours
) -> list[list[Output]]:
    """The outputs of each source, or none at all if one of them cannot be written.

    Raises:
        LcTrtError: a place cannot be written, or is a file that a source reads.
        UsageError: a place of a kind that cannot hold what was asked for.
    """
    if wish.save and len(set(wish.save)) < len(wish.save):
        raise UsageError(f"{wish.save[-1]}: given twice; choose another --save for each --view")
    outputs: list[list[Output]] = [[] for _ in sources]
    names = Names()
    try:
        for source, mine in zip(sources, outputs, strict=True):
            for number, view in enumerate(wish.views):
                draw = _view(view, wish.alpha)
                if wish.show:
                    mine.append(Output(draw, Window(f"{source.name} {view}")))
                path = _place(source, sources, wish.save, number, view, names)
                if path is not None:
                    _check_not_read(path, sources)
                    mine.append(Output(draw, _picture_sink(path, source, wish)))
            if wish.labels is not None:
                several = len(sources) > 1
                place = _in_folder(wish.labels, source, "labels", names) if several else wish.labels
                _check_not_read(place, sources)
                sink = _label_sink(place, source, wish, palette_png(colours))
                mine.append(Output(lambda result: result.labels, sink))
    except BaseException:
        abort(outputs)
        raise
    return outputs


def finish(outputs: Sequence[Sequence[Output]]) -> None:
    """Complete all of them."""
    for mine in outputs:
        for output in mine:
            output.sink.finish()


def abort(outputs: Sequence[Sequence[Output]]) -> None:
    """Leave nothing half-written behind."""
    for mine in outputs:
        for output in mine:
            output.sink.abort()


def paths(outputs: Sequence[Sequence[Output]]) -> list[Path]:
    """The files and folders that they make."""
    return [o.sink.path for mine in outputs for o in mine if o.sink.path is not None]


def window_closed(outputs: Sequence[Sequence[Output]]) -> bool:
    """Whether somebody closed a window among them; keeps the windows alive."""
    windows = [o.sink for mine in outputs for o in mine if isinstance(o.sink, Window)]
    return any([window.closed() for window in windows])


def sound_lost(sources: Sequence[Source], outputs: Sequence[Sequence[Output]]) -> Iterator[str]:
    """A sentence for each video that comes out without the sound it had."""
    for source, mine in zip(sources, outputs, strict=True):
        if source.sound:
            for output in mine:
                if isinstance(output.sink, VideoSink):
                    yield f"{source.name}: its sound is dropped, {output.sink.path} has none"


def default_output(source: Source, view: str) -> Path:
    """Where pictures of a view go if nobody says: in the current folder, NAME_VIEW."""
    name = re.sub(r"[^\w.-]+", "", Path(source.name).stem) or "images"
    if source.fps is not None:
        return Path(f"{name}_{view}.mp4")
    return Path(f"{name}_{view}.png" if source.count == 1 else f"{name}_{view}")


def _view(view: View, alpha: float) -> Callable[[Result], Image]:
    return lambda result: result.view(view, alpha)


def _place(
    source: Source,
    sources: Sequence[Source],
    save: Sequence[Path] | None,
    number: int,
    view: View,
    names: Names,
) -> Path | None:
    if save is None:
        return _in_folder(Path(), source, view, names)
    if not save:
        return None
    return save[number] if len(sources) == 1 else _in_folder(save[number], source, view, names)


def _in_folder(folder: Path, source: Source, view: str, names: Names) -> Path:
    if folder == STDOUT or (folder.suffix and not folder.is_dir()):
        raise UsageError(f"{folder}: several sources need a folder, in which each gets its own")
    path = default_output(source, view)
    suffix = path.suffix if view in list(View) else ""  # labels go to a folder
    return folder / f"{names.take(path.stem)}{suffix}"


def _picture_sink(path: Path, source: Source, wish: OutputSpec) -> Sink:
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix:
        return FolderSink(path, encode_as(".png"))
    if suffix in VIDEO_CODECS:
        fps = source.fps or wish.fps or DEFAULT_FPS
        return VideoSink(path, fps, scale=source.fps is not None)
    if suffix in IMAGE_SUFFIXES:
        return PictureSink(path, encode_as(suffix), _middle(path, source, wish.limit))
    raise UsageError(
        f"{path}: unknown kind of output {suffix!r}; expected a video "
        f"({' '.join(VIDEO_CODECS)}), an image ({' '.join(IMAGE_SUFFIXES)}) or a folder"
    )


def _label_sink(path: Path, source: Source, wish: OutputSpec, encode: Encode) -> Sink:
    if path == STDOUT:
        # Without a buffer, which Python would try to write once more when the reader has left.
        return RawLabels(open(sys.stdout.fileno(), "wb", buffering=0, closefd=False))
    suffix = path.suffix.lower()
    if path.is_dir() or not suffix:
        return FolderSink(path, encode)
    if suffix == ".npz":
        return NpzSink(path)
    if suffix == ".png":
        return PictureSink(path, encode, _middle(path, source, wish.limit))
    raise UsageError(
        f"{path}: unknown kind of labels {suffix!r}; expected .npz, .png, a folder or - (stdout)"
    )


def _middle(path: Path, source: Source, limit: int | None) -> int:
    """Which frame one image of a source shows: of a film the middle one."""
    count = source.count if limit is None else min(limit, source.count or limit)
    if count is None:
        raise UsageError(f"{path}: one image of {source.name} needs --frames N to stop after")
    if source.fps is None and count > 1:
        raise UsageError(f"{path}: one image, but {source.name} has {count}; save to a folder")
    return count // 2


def _check_not_read(path: Path, sources: Sequence[Source]) -> None:
    """Refuse a path that a source reads: a file, or the folder of its images."""
    for source in sources:
        files = list(source.files())
        if source.fps is None:
            files += {file.parent for file in files}
        if path.exists() and any(path.samefile(file) for file in files):
            raise LcTrtError(f"{path}: the source itself; choose another --save")
