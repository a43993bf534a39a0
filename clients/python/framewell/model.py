"""What the server gives."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, Iterator, List, Mapping, Optional, Union

from .errors import FramewellError
from .http import Stream, parts

When = Union[None, str, datetime]
"""`None` or `"now"`, a distance such as `"-8s"`, an RFC 3339 time, or a `datetime` with a zone."""

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def parse_time(text: str) -> datetime:
    """An RFC 3339 time of the server, exact to the microsecond."""
    return datetime.fromisoformat(text[:-1] + "+00:00" if text.endswith("Z") else text)


def instant(when: When) -> Optional[str]:
    """A moment as the server reads it."""
    if not isinstance(when, datetime):
        return when
    if when.tzinfo is None:
        raise ValueError("a datetime without a zone is no instant: use datetime.now(timezone.utc)")
    return when.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")


def from_micros(micros: int) -> datetime:
    """Microseconds since the epoch as a time."""
    return EPOCH + timedelta(microseconds=micros)


@dataclass(frozen=True)
class Channel:
    """A camera."""

    id: int
    name: str
    status: str
    recording: bool
    raw: Mapping[str, Any] = field(repr=False)
    """Everything that the server says about it."""

    @classmethod
    def of(cls, item: Mapping[str, Any]) -> "Channel":
        """From an object of the list."""
        return cls(item["id"], item["name"], item["status"], bool(item["recording"]), item)


@dataclass(frozen=True)
class Picture:
    """A picture with the truth about its time."""

    data: bytes = field(repr=False)
    content_type: str
    requested: datetime
    """The instant that was asked for."""
    captured: datetime
    """When the camera took it."""
    clock_source: str
    """Who says so: `camera_rtcp` or `server_arrival`."""
    frame: str
    """Names the picture for good."""
    channel: Optional[int]
    headers: Mapping[str, str] = field(repr=False)

    @property
    def distance(self) -> timedelta:
        """Requested minus captured."""
        return self.requested - self.captured

    @property
    def dropped(self) -> int:
        """Pictures of a push that were dropped before this one, because this side was slow."""
        return int(self.headers.get("framewell-dropped", 0))

    @property
    def cursor(self) -> Optional[str]:
        """Where a batch goes on behind this picture."""
        return self.headers.get("framewell-cursor")

    @classmethod
    def of(cls, headers: Mapping[str, str], data: bytes, channel: Optional[int] = None) -> "Picture":
        """From headers in lower case and bytes."""
        if channel is None and "framewell-channel" in headers:
            channel = int(headers["framewell-channel"])
        return cls(
            data=data,
            content_type=headers["content-type"],
            requested=parse_time(headers["framewell-requested-time"]),
            captured=parse_time(headers["framewell-capture-time"]),
            clock_source=headers.get("framewell-clock-source", ""),
            frame=headers.get("framewell-frame", ""),
            channel=channel,
            headers=headers,
        )


@dataclass(frozen=True)
class Gap:
    """Where pictures were wanted and there is no footage."""

    start: datetime
    end: datetime
    reason: Optional[str]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Failure:
    """Footage that could not be turned into pictures."""

    error: FramewellError
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class End:
    """The end of a batch: why, and where the next one goes on (`next` is a cursor, or `None`)."""

    reason: str
    next: Optional[str]
    raw: Mapping[str, Any] = field(repr=False)


Entry = Union[Picture, Gap, Failure]


class Batch:
    """Pictures of a range, in order of time, as they are made. `end` is set when all have come."""

    def __init__(self, stream: Stream, channel: int) -> None:
        self._stream = stream
        self._channel = channel
        self.end: Optional[End] = None

    def __iter__(self) -> Iterator[Entry]:
        with self._stream:
            for headers, body in parts(self._stream):
                entry = self._entry(headers, body)
                if entry is not None:
                    yield entry

    def pictures(self) -> Iterator[Picture]:
        """Only the pictures."""
        return (entry for entry in self if isinstance(entry, Picture))

    def close(self) -> None:
        """Ends it before its end."""
        self._stream.close()

    def _entry(self, headers: Mapping[str, str], body: bytes) -> Optional[Entry]:
        kind = headers.get("framewell-entry", "picture")
        if kind == "picture":
            return Picture.of(headers, body, self._channel)
        item = _object(body)
        if kind == "gap":
            return Gap(parse_time(item["start"]), parse_time(item["end"]), item.get("reason"), item)
        if kind == "end":
            self.end = End(item.get("reason", ""), item.get("next"), item)
            if "error" in item:
                raise FramewellError.of_object(item["error"])
            return None
        return Failure(FramewellError.of_object(item.get("error", {})), item)


@dataclass
class PictureSet:
    """Pictures of several channels for one instant."""

    at: datetime
    tolerance: timedelta
    """How far a picture may lie from the instant."""
    pictures: Dict[int, Picture]
    """By channel id, ascending."""
    errors: Dict[int, FramewellError]
    """Why the other channels have none."""
    number: Optional[int] = None
    """Counts the sets of a push, delivered or dropped."""
    dropped: int = 0
    """Sets of a push that were dropped before this one, because this side was slow."""

    @property
    def spread(self) -> Optional[timedelta]:
        """From the earliest to the latest capture; `None` without pictures."""
        times = [picture.captured for picture in self.pictures.values()]
        return max(times) - min(times) if times else None


def read_group(stream: Stream) -> "tuple[PictureSet, Optional[str]]":
    """The set in an answer of `/v1/images`, and the cursor for further channels."""
    at = parse_time(stream.headers["framewell-requested-time"])
    tolerance = timedelta(milliseconds=int(stream.headers["framewell-tolerance-ms"]))
    found = PictureSet(at, tolerance, {}, {})
    following = None
    for headers, body in parts(stream):
        kind = headers.get("framewell-entry", "picture")
        if kind == "picture":
            picture = Picture.of(headers, body)
            found.pictures[int(headers["framewell-channel"])] = picture
        elif kind == "error":
            error = FramewellError.of_object(_object(body)["error"])
            found.errors[int(headers["framewell-channel"])] = error
        elif kind == "end":
            following = _object(body).get("next")
    return found, following


def read_sets(stream: Stream) -> Iterator[PictureSet]:
    """The sets of a push, each as soon as its last picture is here."""
    current: Optional[PictureSet] = None
    missing = 0
    for headers, body in parts(stream):
        kind = headers.get("framewell-entry", "picture")
        if kind == "set":
            current, missing = _begin_set(_object(body))
        elif kind == "picture" and current is not None:
            picture = Picture.of(headers, body)
            current.pictures[int(headers["framewell-channel"])] = picture
            missing -= 1
        elif kind == "end":
            item = _object(body)
            if "error" in item:
                raise FramewellError.of_object(item["error"])
            return
        if current is not None and missing == 0:
            yield current
            current = None


def _begin_set(item: Mapping[str, Any]) -> "tuple[PictureSet, int]":
    entries: List[Mapping[str, Any]] = item["channels"]
    errors = {
        entry["channel"]: FramewellError.of_object(entry["error"]) for entry in entries if "error" in entry
    }
    tolerance = timedelta(milliseconds=item["tolerance_ms"])
    found = PictureSet(parse_time(item["requested"]), tolerance, {}, errors, item["set"], item["dropped"])
    return found, item["pictures"]


def _object(body: bytes) -> Dict[str, Any]:
    return json.loads(body)
