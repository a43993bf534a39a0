"""Raw pixels in memory shared with a server on the same machine.

The server puts each picture into a slot of a memory file that this side has mapped for reading, and says so
with a line on a Unix socket. A slot belongs to this side until it is released; until then the server writes
nothing there. Nothing is copied on this side: arrays are views of the shared memory.
"""

from __future__ import annotations

import json
import mmap
import os
import select
import socket as sockets
import time
from collections import deque
from datetime import datetime
from typing import Any, Deque, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

from .errors import FramewellError
from .model import Channel, from_micros

_LONGEST_LINE = 1 << 20


class RawFrame:
    """A picture in the shared memory. Release it when done, or use it in a `with` statement: afterwards the
    server puts another picture there, and arrays made from it show that one."""

    def __init__(self, ring: "RawRing", message: Mapping[str, Any]) -> None:
        self._ring = ring
        self.slot: int = message["slot"]
        self.channel: int = message["channel"]
        self.sequence: int = message["sequence"]
        """Counts the pictures that the rate chose, delivered or dropped."""
        self.dropped: int = message["dropped"]
        """Pictures of this channel that were dropped before this one, because this side was slow."""
        self.frame: str = message["frame"]
        self.captured_us: int = message["captured_us"]
        self.clock_source: str = message["clock_source"]
        self.is_key: bool = message["is_key"]
        self.is_released = False

    @property
    def captured(self) -> datetime:
        """When the camera took it."""
        return from_micros(self.captured_us)

    @property
    def rgb(self) -> Any:
        """Rows, columns, red-green-blue (format `rgb24`): a read-only NumPy array, not a copy."""
        return self.plane("rgb")

    @property
    def y(self) -> Any:
        """Luma (format `nv12`): a read-only NumPy array, not a copy."""
        return self.plane("y")

    @property
    def uv(self) -> Any:
        """Chroma at half the size, Cb and Cr (format `nv12`): a read-only NumPy array, not a copy."""
        return self.plane("uv")

    def plane(self, name: str) -> Any:
        """A plane as a read-only NumPy array over the shared memory."""
        import numpy

        self._check()
        plane = self._ring.plane(name)
        return numpy.ndarray(
            tuple(plane["shape"]),
            dtype=numpy.uint8,
            buffer=self._ring.memory,
            offset=self.slot * self._ring.slot_bytes + plane["offset"],
            strides=tuple(plane["strides"]),
        )

    def buffer(self, name: str) -> memoryview:
        """The bytes of a plane, for those who do without NumPy."""
        self._check()
        plane = self._ring.plane(name)
        begin = self.slot * self._ring.slot_bytes + plane["offset"]
        length = plane["shape"][0] * plane["strides"][0]
        return memoryview(self._ring.memory)[begin : begin + length]

    def release(self) -> None:
        """Gives the slot back. Doing it twice does nothing."""
        if not self.is_released:
            self.is_released = True
            self._ring.release(self.slot)

    def _check(self) -> None:
        if self.is_released:
            raise ValueError("the frame was released: its slot may show another picture")

    def __enter__(self) -> "RawFrame":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"RawFrame(channel={self.channel}, slot={self.slot}, captured={self.captured.isoformat()})"


class RawRing:
    """The pictures of one or more channels in shared memory.

    `format` is `rgb24` or `nv12`; without `width` and `height` pictures have the size of the first channel's
    video; `fit` is `pad` (default), `cover` or `fill`; `fps` chooses pictures by rate, absent it is all of them;
    `slots` is how many pictures of a channel this side may hold (2 to 64). Iterate over it, or call `read`.
    """

    def __init__(
        self,
        socket: str,
        token: str,
        *,
        channels: Optional[Sequence[Any]] = None,
        format: str = "rgb24",
        width: Optional[int] = None,
        height: Optional[int] = None,
        fit: str = "pad",
        fps: Optional[float] = None,
        slots: int = 4,
        timeout: float = 10.0,
    ) -> None:
        request: Dict[str, Any] = {"token": token, "format": format, "fit": fit, "slots": slots}
        named = {"channels": _ids(channels), "width": width, "height": height, "fps": fps}
        request.update({name: value for name, value in named.items() if value is not None})
        self.errors: Dict[int, FramewellError] = {}
        """Channels that give no pictures at the moment, and why."""
        self._text = b""
        self._waiting: Deque[Mapping[str, Any]] = deque()
        self._socket = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(socket)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            ring, descriptor = self._welcome(timeout)
        except BaseException:
            self._socket.close()
            raise
        try:
            self.memory = mmap.mmap(descriptor, ring["size_bytes"], access=mmap.ACCESS_READ)
        finally:
            os.close(descriptor)
        self.layout: Mapping[str, Any] = ring["layout"]
        self.width: int = self.layout["width"]
        self.height: int = self.layout["height"]
        self.slot_bytes: int = self.layout["slot_bytes"]
        self.channels: List[int] = [entry["channel"] for entry in ring["channels"]]

    def read(self, timeout: Optional[float] = None) -> Optional[RawFrame]:
        """The next picture of any channel; `None` if none comes within `timeout` seconds (absent: for ever).

        Raises `FramewellError` if the server ends the conversation, `ConnectionError` if it goes away.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while not self._waiting:
            left = None if end is None else max(end - time.monotonic(), 0.0)
            if not self._receive(left):
                return None
        return RawFrame(self, self._waiting.popleft())

    def newest(self, timeout: Optional[float] = None) -> Optional[RawFrame]:
        """As `read`, but what waits is skipped (and released) up to the newest picture of that channel."""
        frame = self.read(timeout)
        if frame is None:
            return None
        while self._receive(0.0):
            pass
        skipped = 0
        for message in [m for m in self._waiting if m["channel"] == frame.channel]:
            self._waiting.remove(message)
            skipped += 1 + frame.dropped
            frame.release()
            frame = RawFrame(self, message)
        frame.dropped += skipped
        return frame

    def release(self, slot: int) -> None:
        """Gives a slot back; `RawFrame.release` calls it."""
        self._socket.sendall(b'{"release":%d}\n' % slot)

    def plane(self, name: str) -> Mapping[str, Any]:
        """Where a plane lies in each slot: `offset`, `shape`, `strides`."""
        for plane in self.layout["planes"]:
            if plane["name"] == name:
                return plane
        raise KeyError(f"format {self.layout['format']} has no plane {name}")

    def close(self) -> None:
        """Ends it. Arrays that are still in use keep the memory until they go; it does not change any more."""
        self._socket.close()
        try:
            self.memory.close()
        except BufferError:
            pass

    def __iter__(self) -> Iterator[RawFrame]:
        while True:
            frame = self.read()
            if frame is None:
                return
            yield frame

    def __enter__(self) -> "RawRing":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _welcome(self, timeout: float) -> Tuple[Mapping[str, Any], int]:
        """The first line, and the descriptor that came with it."""
        data, descriptors, _, _ = sockets.recv_fds(self._socket, 1 << 16, 1)
        try:
            if not data:
                raise ConnectionError("the server closed the connection")
            self._text = data
            end = time.monotonic() + timeout
            while b"\n" not in self._text:
                if not self._fill(max(end - time.monotonic(), 0.0)):
                    raise TimeoutError("the server's first line did not come whole")
            line, self._text = self._text.split(b"\n", 1)
            message = json.loads(line)
            if "error" in message:
                raise FramewellError.of_object(message["error"])
            if len(descriptors) != 1 or message["ring"]["version"] != 1:
                raise FramewellError("bad_answer", "this client knows version 1 of the ring only")
            self._take_lines()
        except BaseException:
            for descriptor in descriptors:
                os.close(descriptor)
            raise
        self._socket.settimeout(None)
        return message["ring"], descriptors[0]

    def _receive(self, timeout: Optional[float]) -> bool:
        """Takes in what arrives; false if nothing does in time."""
        if not self._fill(timeout):
            return False
        self._take_lines()
        return True

    def _fill(self, timeout: Optional[float]) -> bool:
        readable, _, _ = select.select([self._socket], [], [], timeout)
        if not readable:
            return False
        data = self._socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the ring")
        self._text += data
        if len(self._text) > _LONGEST_LINE:
            raise ConnectionError("the server sent a line without an end")
        return True

    def _take_lines(self) -> None:
        *lines, self._text = self._text.split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "frame" in message:
                self.errors.pop(message["frame"]["channel"], None)
                self._waiting.append(message["frame"])
            elif "channel" in message:
                self.errors[message["channel"]] = FramewellError.of_object(message["error"])
            else:
                raise FramewellError.of_object(message["error"])


def _ids(channels: Optional[Sequence[Any]]) -> Optional[List[int]]:
    if channels is None:
        return None
    return [channel.id if isinstance(channel, Channel) else channel for channel in channels]
