#!/usr/bin/env python3
"""An AI engine for Framewell in one file: it counts people and moving things.

It is given one string, a group access token. With it, the engine

1. lists the cameras of the group            GET  /api/v5/channels/            Authorization: SI <group token>
2. pulls pictures of each one at a rate      GET  /v1/channels/{id}/image      Authorization: Bearer <channel token>
3. finds people and moving things in them    OpenCV, on this machine
4. writes one document for each picture      POST /api/v4/meta/                Authorization: Acc <channel token>
5. reads its documents back with a filter    POST /api/v4/meta/filter/         Authorization: Acc <channel token>

The channel tokens come with the list of step 1, the address of the server with the token itself.
The exit status is 0 only if every camera gave pictures and every document was read back as it was written.

    export GROUP_TOKEN=...
    python people_counter.py --pictures 10 --rate 1
"""

from __future__ import annotations

import argparse
import base64
import binascii
import json
import os
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Iterator

import cv2
import numpy as np
import requests

PAGE = 100
"""Objects per page of a list."""

HTTP_TIMEOUT_S = 20
"""A picture needs a decoder, which may be busy with others; nothing here takes longer than this."""

PEOPLE_WIDTH = 768
"""Pictures are made at most this wide for the people detector, whose people are at least 128 pixels tall."""

MOTION_WIDTH = 320
"""The same for motion, where detail is only noise."""

SMALLEST_MOTION = 0.001
"""Smallest moving area that counts, as a fraction of the picture."""


# --- The token -----------------------------------------------------------------------------------------------------


class TokenError(ValueError):
    """The string is no group access token."""


def decode_group_token(token: str) -> dict[str, Any]:
    """What the token says about itself: at least `token`, and usually where the server is (`api`, `api_p`)."""
    try:
        content = json.loads(base64.b64decode(token.strip(), validate=True))
    except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TokenError("not base64 of a JSON object") from error
    if not isinstance(content, dict) or not isinstance(content.get("token"), str):
        raise TokenError("the JSON object has no member token")
    if "camid" in content:
        raise TokenError("this is the token of a single channel, not of a group")
    return content


def server_url(content: dict[str, Any]) -> str:
    """The server's base URL, from a decoded token: plain HTTP if the token has a port for it, else HTTPS."""
    host = content.get("api")
    if not host:
        raise TokenError("the token does not say where its server is; use --server")
    prefix = str(content.get("path") or "").strip("/")
    if content.get("api_p"):
        base = f"http://{host}:{content['api_p']}"
    elif content.get("api_sp"):
        base = f"https://{host}:{content['api_sp']}"
    else:
        base = f"https://{host}"
    return f"{base}/{prefix}" if prefix else base


# --- The server ----------------------------------------------------------------------------------------------------


@dataclass
class Channel:
    """One camera of the group, and what was seen and written there."""

    id: int
    name: str
    token: str
    status: str
    recording: bool
    pictures: int = 0
    waits: int = 0
    last_capture: str = ""
    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    read_back: int = 0
    fault: str = ""

    def total(self, name: str) -> int:
        """Sum of one count over all documents written here."""
        return sum(document["long"][name] for document in self.written.values())


@dataclass
class Picture:
    """A picture with the time at which the camera took it (UTC, no zone suffix: the form of the metadata API)."""

    pixels: np.ndarray
    captured: str


class NotYet(Exception):
    """There is no picture at the moment; the server says in how many seconds to ask again."""

    def __init__(self, retry_after_s: float, why: str) -> None:
        super().__init__(why)
        self.retry_after_s = retry_after_s


class Server:
    """The five requests of this engine."""

    def __init__(self, base: str, group_token: str) -> None:
        self.base = base.rstrip("/")
        self.group_token = group_token
        self.session = requests.Session()

    def channels(self) -> list[Channel]:
        """All channels of the group, page by page."""
        headers = {"Authorization": f"SI {self.group_token}"}
        path: str | None = f"/api/v5/channels/?limit={PAGE}"
        found: list[Channel] = []
        while path:
            answer = self._json("GET", path, headers=headers)
            found.extend(channel_of(item) for item in answer["objects"])
            # The next page is named relative to the server, and is null on the last one.
            path = answer["meta"].get("next")
        return found

    def picture(self, channel: Channel) -> Picture:
        """The newest picture of a channel. Raises NotYet if there is none at the moment."""
        response = self.session.get(
            f"{self.base}/v1/channels/{channel.id}/image",
            headers={"Authorization": f"Bearer {channel.token}"},
            timeout=HTTP_TIMEOUT_S,
        )
        if response.status_code in (404, 429, 503):
            raise NotYet(retry_after(response.headers.get("Retry-After")), error_text(response))
        raise_for_error(response)
        pixels = cv2.imdecode(np.frombuffer(response.content, np.uint8), cv2.IMREAD_COLOR)
        if pixels is None:
            raise RuntimeError(f"channel {channel.id}: {len(response.content)} bytes that are no picture")
        return Picture(pixels, without_zone(response.headers["Framewell-Capture-Time"]))

    def write(self, channel: Channel, document: dict[str, Any]) -> str:
        """Stores one document and gives its id."""
        answer = self._json("POST", "/api/v4/meta/", headers=acc(channel), json=[document])
        result = answer["objects"][0]
        if result["status"] != 201:
            raise RuntimeError(f"channel {channel.id}: the document was refused: {result}")
        return result["id"]

    def documents_of_run(self, channel: Channel, run: str) -> Iterator[dict[str, Any]]:
        """Every document that this run of the engine wrote, oldest first."""
        offset = 0
        while True:
            body = {
                "filter": {"and": [{"field": "string.run", "eq": run}, {"field": "long.people", "gte": 0}]},
                "sort": ["timestamp"],
                "limit": PAGE,
                "offset": offset,
            }
            answer = self._json("POST", "/api/v4/meta/filter/", headers=acc(channel), json=body)
            yield from answer["objects"]
            offset += len(answer["objects"])
            if not answer["objects"] or offset >= answer["meta"]["total_count"]:
                return

    def _json(self, method: str, path: str, **arguments: Any) -> Any:
        response = self.session.request(method, self.base + path, timeout=HTTP_TIMEOUT_S, **arguments)
        raise_for_error(response)
        return response.json()


def channel_of(item: dict[str, Any]) -> Channel:
    """A channel from an object of the group's list."""
    return Channel(item["id"], item["name"], item["token"], item["status"], bool(item["recording"]))


def acc(channel: Channel) -> dict[str, str]:
    """The header that opens one channel."""
    return {"Authorization": f"Acc {channel.token}"}


def retry_after(value: str | None) -> float:
    """Seconds of a Retry-After header. Without one, or with a date, a second; never longer than ten."""
    try:
        return min(max(float(value or 1), 0.1), 10.0)
    except ValueError:
        return 1.0


def without_zone(timestamp: str) -> str:
    """RFC 3339 in UTC to the form of the metadata API, which has no zone suffix."""
    if timestamp.endswith(("Z", "z")):
        return timestamp[:-1]
    if timestamp.endswith("+00:00"):
        return timestamp[: -len("+00:00")]
    return timestamp


def error_text(response: requests.Response) -> str:
    """What the server says about an error, in either of its two faces."""
    try:
        body = response.json()
        native = body.get("error")
        return native["message"] if isinstance(native, dict) else body["errorDetail"]
    except (ValueError, KeyError, AttributeError):
        return response.reason


def raise_for_error(response: requests.Response) -> None:
    """Raises with the server's own words, which `requests` would leave out."""
    if response.status_code >= 400:
        path = response.request.path_url.split("?")[0]
        text = f"{response.request.method} {path}: {response.status_code}, {error_text(response)}"
        raise requests.HTTPError(text, response=response)


# --- The detectors -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Box:
    """A found thing. The place is in fractions of the picture, so it fits every size of the same picture."""

    label: str
    left: float
    top: float
    width: float
    height: float

    def as_json(self) -> dict[str, Any]:
        """For the document."""
        place = (self.left, self.top, self.width, self.height)
        return {"label": self.label, "box": [round(value, 4) for value in place]}


def at_most(pixels: np.ndarray, width: int) -> np.ndarray:
    """The picture, made smaller if it is wider than this."""
    height, current = pixels.shape[:2]
    if current <= width:
        return pixels
    size = (width, max(1, round(height * width / current)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def boxes_of(label: str, rectangles: Any, shape: tuple[int, ...]) -> list[Box]:
    """Pixel rectangles (left, top, width, height) as boxes."""
    height, width = shape[:2]
    return [Box(label, x / width, y / height, w / width, h / height) for x, y, w, h in rectangles]


class PeopleDetector:
    """OpenCV's people detector: histograms of oriented gradients and a linear classifier."""

    def __init__(self, minimum_score: float = 0.4) -> None:
        self.hog = cv2.HOGDescriptor()
        self.hog.setSVMDetector(cv2.HOGDescriptor_getDefaultPeopleDetector())
        self.minimum_score = minimum_score

    def find(self, pixels: np.ndarray) -> list[Box]:
        """Upright people, at least 128 pixels tall after scaling."""
        small = at_most(pixels, PEOPLE_WIDTH)
        if small.shape[0] < 128 or small.shape[1] < 64:
            return []
        rectangles, scores = self.hog.detectMultiScale(small, winStride=(8, 8), padding=(8, 8), scale=1.05)
        pairs = zip(rectangles, np.ravel(scores))
        return boxes_of("person", [r for r, score in pairs if score >= self.minimum_score], small.shape)


class MotionDetector:
    """What differs from the learned background. One for each camera; it needs two pictures before it says anything."""

    WARM_UP = 2

    def __init__(self) -> None:
        self.background = cv2.createBackgroundSubtractorMOG2(history=50, varThreshold=25, detectShadows=False)
        self.seen = 0

    def find(self, pixels: np.ndarray) -> list[Box]:
        """Moving areas, the largest first."""
        small = cv2.GaussianBlur(at_most(pixels, MOTION_WIDTH), (5, 5), 0)
        mask = self.background.apply(small)
        self.seen += 1
        if self.seen <= self.WARM_UP:
            return []
        mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        mask = cv2.dilate(mask, np.ones((7, 7), np.uint8))
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        smallest = SMALLEST_MOTION * mask.size
        areas = sorted((c for c in contours if cv2.contourArea(c) >= smallest), key=cv2.contourArea, reverse=True)
        return boxes_of("moving", [cv2.boundingRect(c) for c in areas], small.shape)


# --- The engine ----------------------------------------------------------------------------------------------------


def document_of(run: str, picture: Picture, boxes: list[Box]) -> dict[str, Any]:
    """The metadata document of one picture. Its timestamp is the time of capture, not of detection."""
    labels = [box.label for box in boxes]
    gray = cv2.cvtColor(at_most(picture.pixels, MOTION_WIDTH), cv2.COLOR_BGR2GRAY)
    return {
        "timestamp": picture.captured,
        "long": {"people": labels.count("person"), "moving": labels.count("moving")},
        "float": {"brightness": round(float(gray.mean()) / 255, 4)},
        "string": {"engine": "people_counter", "run": run},
        "raw_data": json.dumps([box.as_json() for box in boxes]),
    }


class Engine:
    """Looks at every channel in turn until each has given enough pictures, or the time is over."""

    def __init__(self, server: Server, channels: list[Channel], options: argparse.Namespace) -> None:
        self.server = server
        self.channels = channels
        self.options = options
        self.run = uuid.uuid4().hex
        self.people = PeopleDetector()
        self.motion = {channel.id: MotionDetector() for channel in channels}
        self.not_before = {channel.id: 0.0 for channel in channels}

    def watch(self) -> None:
        """The loop: one round over the channels for each tick of the rate."""
        end = time.monotonic() + self.options.timeout
        tick = 1 / self.options.rate
        while time.monotonic() < end:
            started = time.monotonic()
            waiting = [channel for channel in self.channels if channel.pictures < self.options.pictures]
            if not waiting:
                return
            for channel in waiting:
                self.look(channel)
            time.sleep(max(0.0, started + tick - time.monotonic()))

    def look(self, channel: Channel) -> None:
        """One picture of one channel; trouble there is noted and does not stop the others."""
        if time.monotonic() < self.not_before[channel.id]:
            return
        try:
            picture = self.server.picture(channel)
        except NotYet as wait:
            channel.waits += 1
            self.not_before[channel.id] = time.monotonic() + wait.retry_after_s
            print(f"  {channel.name}: no picture yet ({wait}); asking again in {wait.retry_after_s:g} s")
            return
        except (requests.RequestException, RuntimeError, KeyError) as error:
            channel.fault = f"{type(error).__name__}: {error}"
            print(f"  {channel.name}: {channel.fault}")
            return
        if picture.captured == channel.last_capture:
            return
        channel.last_capture = picture.captured
        channel.pictures += 1
        self.analyse(channel, picture)

    def analyse(self, channel: Channel, picture: Picture) -> None:
        """Detects, writes the document, says so."""
        started = time.monotonic()
        boxes = self.people.find(picture.pixels) + self.motion[channel.id].find(picture.pixels)
        spent_ms = (time.monotonic() - started) * 1000
        document = document_of(self.run, picture, boxes)
        try:
            channel.written[self.server.write(channel, document)] = document
        except (requests.RequestException, RuntimeError) as error:
            channel.fault = f"{type(error).__name__}: {error}"
        height, width = picture.pixels.shape[:2]
        counts = document["long"]
        print(
            f"  {channel.name}: {width}x{height} of {picture.captured}: {counts['people']} people, "
            f"{counts['moving']} moving ({spent_ms:.0f} ms)"
        )

    def read_back(self) -> None:
        """Asks for the documents of this run and compares them with what was written."""
        for channel in self.channels:
            try:
                found = {item["id"]: item for item in self.server.documents_of_run(channel, self.run)}
            except requests.RequestException as error:
                channel.fault = f"{type(error).__name__}: {error}"
                continue
            differing = [id_ for id_, sent in channel.written.items() if not same(sent, found.get(id_))]
            channel.read_back = len(channel.written) - len(differing)
            if differing or len(found) != len(channel.written):
                channel.fault = f"{len(differing)} documents differ, {len(found)} of {len(channel.written)} found"


def same(sent: dict[str, Any], found: dict[str, Any] | None) -> bool:
    """Whether a document came back as it was sent. The server may write the fraction of a second differently."""
    if found is None:
        return False
    if padded(sent["timestamp"]) != padded(found["timestamp"]):
        return False
    return all(sent[part] == found.get(part) for part in ("long", "float", "string", "raw_data"))


def padded(timestamp: str) -> str:
    """A timestamp with six digits of fraction."""
    whole, _, fraction = timestamp.partition(".")
    return f"{whole}.{fraction:<06}"


def report(channels: list[Channel], must_detect: bool) -> bool:
    """Prints a line for each channel and the verdict."""
    print("\nchannel                  pictures  people  moving  written  read back")
    for channel in channels:
        print(
            f"{channel.name[:24]:<24} {channel.pictures:>8} {channel.total('people'):>7} {channel.total('moving'):>7} "
            f"{len(channel.written):>8} {channel.read_back:>10}  {channel.fault}"
        )
    faults = faults_of(channels, must_detect)
    for fault in faults:
        print(f"FAILED: {fault}")
    if not faults:
        print(f"OK: {len(channels)} channels, {sum(len(c.written) for c in channels)} documents written and read back")
    return not faults


def faults_of(channels: list[Channel], must_detect: bool) -> list[str]:
    """Why the run was no success."""
    faults = []
    if not channels:
        faults.append("the group has no channels")
    for channel in channels:
        if channel.pictures == 0:
            faults.append(f"{channel.name} gave no picture ({channel.status}; {channel.fault or 'not ready in time'})")
        elif channel.read_back != channel.pictures:
            faults.append(f"{channel.name}: {channel.read_back} of {channel.pictures} documents came back")
        elif channel.fault:
            faults.append(f"{channel.name}: {channel.fault}")
    if must_detect and not any(c.total("people") + c.total("moving") for c in channels):
        faults.append("nothing was detected in any channel")
    return faults


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line. The token may come from the environment, where other users of the machine do not see it."""
    parser = argparse.ArgumentParser(description="Counts people and moving things in every camera of a group.")
    parser.add_argument("token", nargs="?", default=os.environ.get("GROUP_TOKEN", ""),
                        help="group access token; default: the variable GROUP_TOKEN")
    parser.add_argument("--server", help="base URL of the server; default: what the token says")
    parser.add_argument("--pictures", type=int, default=10, help="pictures of each camera (default 10)")
    parser.add_argument("--rate", type=float, default=1.0, help="pictures a second of each camera (default 1)")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds after which it stops anyway")
    parser.add_argument("--must-detect", action="store_true", help="seeing nothing anywhere is a failure")
    options = parser.parse_args(argv)
    if options.rate <= 0 or options.pictures < 1:
        parser.error("--rate and --pictures must be positive")
    return options


def main() -> int:
    """Runs the engine once."""
    options = arguments()
    try:
        content = decode_group_token(options.token)
        server = Server(options.server or server_url(content), options.token.strip())
        channels = server.channels()
    except (TokenError, requests.RequestException) as error:
        print(f"cannot start: {error}", file=sys.stderr)
        return 2
    print(f"{len(channels)} channels at {server.base}")
    for channel in channels:
        print(f"  {channel.id}: {channel.name}, {channel.status}{', recording' if channel.recording else ''}")
    engine = Engine(server, channels, options)
    engine.watch()
    engine.read_back()
    return 0 if report(channels, options.must_detect) else 1


if __name__ == "__main__":
    sys.exit(main())
