"""A window on a virtual screen."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from toy_models import bgr

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame
from lc_trt.video.sinks.window import Window


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An X server of 320x240."""
    pytest.importorskip("tkinter", reason="needs Tk (Debian: python3-tk)")
    if shutil.which("Xvfb") is None:
        pytest.skip("needs Xvfb (Debian: xvfb)")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "320x240x24", "-nolisten", "tcp"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    monkeypatch.setenv("DISPLAY", f":{os.read(reading, 16).decode().strip()}")
    yield
    server.terminate()
    server.wait()
    os.close(reading)


def test_a_window_shows_pictures_until_it_is_closed(
    screen: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tkinter = pytest.importorskip("tkinter")
    roots, create = [], tkinter.Tk
    monkeypatch.setattr(tkinter, "Tk", lambda: roots.append(create()) or roots[0])
    window = Window("street")
    (root,) = roots
    (label,) = root.winfo_children()
    for size in ((48, 64), (1, 1), (900, 1600)):
        picture = bgr(10, 200, 30, size)
        window.write(picture, Frame(picture, 0, "a"))
        shown = label.cget("image")
        height, width = (
            root.tk.getint(root.tk.call("image", d, shown)) for d in ("height", "width")
        )
        # Pictures larger than the screen are scaled down.
        assert (height, width) == ((162, 288) if size[0] == 900 else size)
        assert root.tk.splitlist(root.tk.call(shown, "get", 0, 0)) == (30, 200, 10)
        assert not window.closed()
    root.focus_force()
    root.event_generate("<Key-q>")
    assert window.closed()
    window.write(picture, Frame(picture, 1, "b"))  # too late, and no error
    window.finish()


def test_without_a_screen_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tkinter", reason="needs Tk (Debian: python3-tk)")
    monkeypatch.delenv("DISPLAY", raising=False)
    with pytest.raises(LcTrtError, match=r"--show: cannot open a window .*--save instead"):
        Window("street")
