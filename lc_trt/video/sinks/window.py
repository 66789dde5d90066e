"""A window that shows pictures, made with Python's own Tk: OpenCV comes here without windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame, Image
from lc_trt.video.sinks.base import Sink

if TYPE_CHECKING:
    import tkinter

_OF_SCREEN = 0.9  # a larger picture is shrunk to so much of it


class Window(Sink):
    """Shows the latest picture until it is closed, also with q or Escape.

    All calls come from one thread, the main one.
    """

    path = None

    def __init__(self, title: str) -> None:
        """Open it.

        Raises:
            LcTrtError: there is no screen, or Python has no Tk.
        """
        try:
            import tkinter
        except ModuleNotFoundError:
            raise LcTrtError(
                "--show: this Python has no Tk; install it (Debian: apt install python3-tk), or "
                "--save instead"
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise LcTrtError(f"--show: no window can be opened ({error}); --save instead") from None
        self._root.title(title)
        self._root.protocol("WM_DELETE_WINDOW", self._close)
        for key in ("q", "<Escape>"):
            self._root.bind(key, lambda _: self._close())
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._picture: tkinter.PhotoImage | None = None
        self._open = True

    def write(self, picture: Image, frame: Frame) -> None:
        """Show a picture."""
        if self.closed():
            return
        import tkinter

        height, width = picture.shape[:2]
        room = (self._root.winfo_screenwidth(), self._root.winfo_screenheight())
        scale = min(1.0, _OF_SCREEN * room[0] / width, _OF_SCREEN * room[1] / height)
        if scale < 1:
            size = (max(1, int(width * scale)), max(1, int(height * scale)))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
            width, height = size
        rgb = np.ascontiguousarray(picture[:, :, ::-1])
        # PPM, the plainest of what Tk reads. It shows a picture only as long as somebody has it.
        content = f"P6 {width} {height} 255\n".encode() + rgb.tobytes()
        self._picture = tkinter.PhotoImage(master=self._root, data=content, format="PPM")
        self._label.configure(image=self._picture)
        self._root.update()

    def closed(self) -> bool:
        """Whether somebody closed it; keeps the window alive when it is asked often."""
        if self._open:
            self._root.update()
        return not self._open

    def finish(self) -> None:
        """Close it."""
        self._close()

    def abort(self) -> None:
        """Close it."""
        self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._picture = None
            self._root.destroy()
