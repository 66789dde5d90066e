"""Shows pictures in a Tk window: opencv-python-headless has no windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from lc_trt.errors import LcTrtError
from lc_trt.video.base import Frame, Image
from lc_trt.video.sinks.base import Sink

if TYPE_CHECKING:
    import tkinter

_MAX_SCREEN_SHARE = 0.9  # larger pictures are scaled down


class Window(Sink):
    """Shows the latest picture until the window is closed, or q or Escape is pressed.

    All methods must be called from the main thread.

    Args:
        title: of the window.

    Raises:
        LcTrtError: no display, or Python without Tk.
    """

    path = None

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ModuleNotFoundError:
            raise LcTrtError(
                "--show: this Python has no Tk; install it (Debian: apt install python3-tk) or "
                "use --save instead"
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise LcTrtError(
                f"--show: cannot open a window ({error}); use --save instead"
            ) from None
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
        screen = (self._root.winfo_screenwidth(), self._root.winfo_screenheight())
        scale = min(
            1.0, _MAX_SCREEN_SHARE * screen[0] / width, _MAX_SCREEN_SHARE * screen[1] / height
        )
        if scale < 1:
            size = (max(1, int(width * scale)), max(1, int(height * scale)))
            picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
            width, height = size
        rgb = np.ascontiguousarray(picture[:, :, ::-1])
        # Tk reads PPM. The reference keeps Tk from dropping the picture.
        content = f"P6 {width} {height} 255\n".encode() + rgb.tobytes()
        self._picture = tkinter.PhotoImage(master=self._root, data=content, format="PPM")
        self._label.configure(image=self._picture)
        self._root.update()

    def closed(self) -> bool:
        """Process window events; whether the window has been closed."""
        if self._open:
            self._root.update()
        return not self._open

    def finish(self) -> None:
        """Close the window."""
        self._close()

    def abort(self) -> None:
        """Close the window."""
        self._close()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._picture = None
            self._root.destroy()
