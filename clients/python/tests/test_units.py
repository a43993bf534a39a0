"""What needs no server."""

import base64
import io
import json
import unittest
from datetime import datetime, timedelta, timezone
from email.message import Message

from framewell import FramewellError, TokenError, instant, parse_time
from framewell import http
from framewell.model import Batch, Gap, Picture, from_micros, read_sets
from framewell.token import server_of


class FakeStream:
    """An answer from bytes."""

    def __init__(self, body: bytes) -> None:
        self.headers = Message()
        self.headers["content-type"] = "multipart/mixed; boundary=b"
        self._body = io.BytesIO(body)
        self.read, self.readline = self._body.read, self._body.readline

    def close(self) -> None:
        self._body.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def part(body: bytes, **headers) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines.append(f"content-length: {len(body)}")
    return b"--b\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + body + b"\r\n"


def picture(body: bytes, captured: str, **headers) -> bytes:
    times = {"framewell_requested_time": "2024-05-01T10:00:00.000000Z", "framewell_capture_time": captured}
    return part(body, content_type="image/jpeg", **times, **headers)


END = b"--b--\r\n"


class Tokens(unittest.TestCase):
    def token(self, **members):
        return base64.b64encode(json.dumps({"token": "t", **members}).encode()).decode()

    def test_the_server_is_in_the_token(self):
        self.assertEqual(server_of(self.token(api="h", api_p=8080)), "http://h:8080")
        self.assertEqual(server_of(self.token(api="h", api_sp=443, path="/vms/")), "https://h:443/vms")

    def test_a_string_that_says_nothing_is_told_apart(self):
        for text in ["", "v3.abc", self.token(), base64.b64encode(b"[]").decode()]:
            with self.assertRaises(TokenError):
                server_of(text)


class Times(unittest.TestCase):
    def test_times_survive_to_the_microsecond(self):
        text = "2024-05-01T10:20:30.123456Z"
        time = parse_time(text)
        self.assertEqual(time.microsecond, 123456)
        self.assertEqual(instant(time), text)
        self.assertEqual(from_micros(1714558830123456), time)

    def test_a_time_without_a_zone_is_refused(self):
        with self.assertRaises(ValueError):
            instant(datetime(2024, 5, 1))
        east = timezone(timedelta(hours=2))
        self.assertEqual(instant(datetime(2024, 5, 1, 12, tzinfo=east)), "2024-05-01T10:00:00Z")
        self.assertEqual(instant("-8s"), "-8s")


class Multipart(unittest.TestCase):
    def test_parts_may_contain_the_boundary(self):
        body = b"\r\n--b\r\n--b--\r\n"
        found = list(http.parts(FakeStream(part(body, a="1") + part(b"", a="2") + END)))
        self.assertEqual([(headers["a"], body) for headers, body in found], [("1", body), ("2", b"")])

    def test_a_delimiter_may_come_before_it_is_known_what_follows(self):
        # Browsers show a part of a push when the next delimiter is here, so it is sent at once.
        body = b"--b\r\na: 1\r\ncontent-length: 1\r\n\r\nx\r\n--b\r\n\r\n--b--\r\n"
        self.assertEqual([body for _, body in http.parts(FakeStream(body))], [b"x"])

    def test_an_answer_that_stops_is_an_error(self):
        whole = part(b"abc", a="1") + END
        for cut in [0, 7, 20, len(whole) - len(END) - 3, len(whole) - len(END)]:
            with self.assertRaises(ConnectionError, msg=str(cut)):
                list(http.parts(FakeStream(whole[:cut])))

    def test_a_batch_gives_pictures_gaps_and_its_end(self):
        gap = {"type": "gap", "start": "2024-05-01T10:00:00Z", "end": "2024-05-01T10:00:05Z", "reason": "camera_offline"}
        end = {"type": "end", "reason": "done", "next": None}
        body = picture(b"jpeg", "2024-05-01T09:59:59.960000Z", framewell_cursor="c1")
        body += part(json.dumps(gap).encode(), framewell_entry="gap")
        body += part(json.dumps(end).encode(), framewell_entry="end") + END
        batch = Batch(FakeStream(body), 7)
        entries = list(batch)
        self.assertIsInstance(entries[0], Picture)
        self.assertEqual((entries[0].channel, entries[0].cursor, entries[0].data), (7, "c1", b"jpeg"))
        self.assertEqual(entries[0].distance, timedelta(milliseconds=40))
        self.assertIsInstance(entries[1], Gap)
        self.assertEqual(entries[1].reason, "camera_offline")
        self.assertEqual(batch.end.reason, "done")

    def test_a_set_is_given_when_it_is_whole(self):
        about = {
            "type": "set", "set": 3, "requested": "2024-05-01T10:00:00Z", "tolerance_ms": 100, "dropped": 2,
            "pictures": 1, "channels": [{"channel": 7}, {"channel": 8, "error": {"code": "late", "message": "m"}}],
        }
        body = part(json.dumps(about).encode(), framewell_entry="set")
        body += picture(b"jpeg", "2024-05-01T10:00:00Z", framewell_channel="7")
        body += part(json.dumps({"type": "end", "error": {"code": "unauthenticated", "message": "gone"}}).encode(), framewell_entry="end")
        sets = read_sets(FakeStream(body + END))
        first = next(sets)
        self.assertEqual((first.number, first.dropped, list(first.pictures), first.errors[8].code), (3, 2, [7], "late"))
        with self.assertRaises(FramewellError) as caught:
            next(sets)
        self.assertEqual(caught.exception.code, "unauthenticated")


class Errors(unittest.TestCase):
    def test_both_faces_are_understood(self):
        native = b'{"error":{"code":"not_found","message":"no footage","nearest_before":"2024-05-01T10:00:00Z"}}'
        error = FramewellError.of_answer(404, None, native)
        self.assertEqual((error.status, error.code), (404, "not_found"))
        self.assertEqual(error.details, {"nearest_before": "2024-05-01T10:00:00Z"})
        compat = b'{"status":503,"errorType":"unavailable","errorDetail":"busy"}'
        error = FramewellError.of_answer(503, "2", compat)
        self.assertEqual((error.code, error.message, error.retry_after), ("unavailable", "busy", 2.0))
        self.assertEqual(FramewellError.of_answer(502, "Wed, 21 Oct 2026 07:28:00 GMT", b"<html>").retry_after, None)


if __name__ == "__main__":
    unittest.main()
