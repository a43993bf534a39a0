"""The client."""

from __future__ import annotations

from typing import Any, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

from . import token as tokens
from .http import Http, parts
from .model import Batch, Channel, Picture, PictureSet, When, instant, read_group, read_sets
from .raw import RawRing

Id = Union[int, Channel]


class Framewell:
    """A server, seen with one token: group token, channel token or license key.

    Without `server` its address comes from the token. `timeout` is how long the server may be silent, in
    seconds. May be used from several threads. What the server refuses raises `FramewellError`.

    Pictures take the parameters of the HTTP interface by name: `width`, `height`, `fit`, `crop`, `format`,
    `quality`, `max_bytes`, `match`.
    """

    def __init__(self, token: str, server: Optional[str] = None, timeout: float = 30.0) -> None:
        self._token = token.strip()
        self.server = (server or tokens.server_of(self._token)).rstrip("/")
        self._http = Http(self.server, f"Bearer {self._token}", timeout)

    def close(self) -> None:
        """Closes kept connections. Pushes and rings are closed by themselves."""
        self._http.close()

    def __enter__(self) -> "Framewell":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- Channels ---

    def channels(self) -> List[Channel]:
        """All channels that the token opens, ascending by id."""
        found: List[Channel] = []
        cursor: Optional[str] = None
        while True:
            page = self._http.json("GET", "/v1/channels", {"limit": 1000, "cursor": cursor})
            found.extend(Channel.of(item) for item in page["channels"])
            cursor = page["meta"]["next"]
            if cursor is None:
                return found

    # --- Pictures ---

    def image(self, channel: Id, at: When = None, **form: Any) -> Picture:
        """The picture on screen at an instant; without `at` the newest one."""
        headers, data = self._http.get(f"/v1/channels/{_id(channel)}/image", {"at": instant(at), **form})
        return Picture.of({name.lower(): value for name, value in headers.items()}, data, _id(channel))

    def images(
        self, channel: Id, start: When = None, end: When = "now", *, cursor: Optional[str] = None, **rule: Any
    ) -> Batch:
        """Pictures of a range by a rule: `every="5s"`, `fps=1`, `count=8`, `keyframes=True` or `scene=0.1`.

        Pictures, gaps and failures come in order of time while they are made. With `cursor` a batch that was
        interrupted goes on behind it.
        """
        params: Dict[str, Any] = {"as": "multipart", "cursor": cursor, **rule}
        if cursor is None:
            params.update({"from": instant(start), "to": instant(end)})
        return Batch(self._http.stream(f"/v1/channels/{_id(channel)}/images", params), _id(channel))

    def live(self, channel: Id, fps: Optional[float] = None, **form: Any) -> Iterator[Picture]:
        """Pictures of a channel as they are taken, until the caller stops iterating.

        If this side is slow, only the newest picture waits (`delivery="latest"`); `delivery="bounded"` and
        `"all"` keep more. `Picture.dropped` says how many were lost before it.
        """
        with self._http.stream(f"/v1/channels/{_id(channel)}/images", {"fps": fps, **form}) as stream:
            for headers, body in parts(stream):
                if "framewell-capture-time" in headers:
                    yield Picture.of(headers, body, _id(channel))

    # --- Pictures of a group ---

    def group(
        self,
        at: When = None,
        *,
        channels: Optional[Sequence[Id]] = None,
        tolerance: Optional[str] = None,
        **form: Any,
    ) -> PictureSet:
        """A picture of every channel that the token opens, all of the same instant."""
        params = {"at": instant(at), "channels": _ids(channels), "tolerance": tolerance, **form}
        whole: Optional[PictureSet] = None
        cursor: Optional[str] = None
        while whole is None or cursor is not None:
            with self._http.stream("/v1/images", {**params, "cursor": cursor}) as stream:
                page, cursor = read_group(stream)
            if whole is None:
                whole = page
            else:
                whole.pictures.update(page.pictures)
                whole.errors.update(page.errors)
        return whole

    def live_group(
        self,
        fps: float,
        *,
        channels: Optional[Sequence[Id]] = None,
        start: When = None,
        end: When = None,
        **form: Any,
    ) -> Iterator[PictureSet]:
        """Sets of pictures of all channels as they are taken, each set of one instant.

        `start="-8s", end="+2s"` looks back and ahead from memory. `tolerance`, `wait` and `delivery` are those
        of `GET /v1/images/live`. The push ends when the caller stops iterating.
        """
        params = {"fps": fps, "channels": _ids(channels), "from": instant(start), "to": instant(end), **form}
        with self._http.stream("/v1/images/live", params) as stream:
            yield from read_sets(stream)

    def raw(self, socket: str, **request: Any) -> RawRing:
        """Raw pixels in memory shared with a server on this machine; see `RawRing`."""
        return RawRing(socket, self._token, **request)

    # --- Metadata ---

    def write(self, channel: Id, documents: Union[Mapping[str, Any], Iterable[Mapping[str, Any]]]) -> List[str]:
        """Stores documents about a channel; their ids. A document has at least a `timestamp`."""
        batch = [documents] if isinstance(documents, Mapping) else list(documents)
        answer = self._http.json("POST", "/api/v4/meta/", {"camid": _id(channel)}, batch)
        refused = [item for item in answer["objects"] if item.get("status") != 201]
        if refused:
            raise ValueError(f"{len(refused)} of {len(batch)} documents were refused: {refused[0]}")
        return [item["id"] for item in answer["objects"]]

    def find(
        self, channel: Id, filter: Mapping[str, Any], *, sort: Sequence[str] = ("timestamp",), page: int = 100
    ) -> Iterator[Mapping[str, Any]]:
        """The documents of a channel that a filter of the metadata interface selects."""
        offset = 0
        while True:
            body = {"filter": filter, "sort": list(sort), "limit": page, "offset": offset}
            answer = self._http.json("POST", "/api/v4/meta/filter/", {"camid": _id(channel)}, body)
            yield from answer["objects"]
            offset += len(answer["objects"])
            if not answer["objects"] or offset >= answer["meta"]["total_count"]:
                return


def _id(channel: Id) -> int:
    return channel.id if isinstance(channel, Channel) else channel


def _ids(channels: Optional[Sequence[Id]]) -> Optional[List[int]]:
    return None if channels is None else [_id(channel) for channel in channels]
