"""Tests of the example engine's own logic. That it works against the server is tested by `cargo xtask demo`."""

import base64
import contextlib
import io
import json
import unittest

import cv2
import numpy as np

import people_counter as engine


def token_of(content):
    return base64.b64encode(json.dumps(content).encode()).decode()


class Token(unittest.TestCase):
    def test_a_group_token_names_its_server(self):
        content = engine.decode_group_token(token_of({"token": "share.x", "api": "vms.local", "api_p": 8080, "api_sp": 8443}))
        self.assertEqual(engine.server_url(content), "http://vms.local:8080")

    def test_without_a_plain_port_it_is_https(self):
        self.assertEqual(engine.server_url({"token": "t", "api": "vms.local", "api_sp": 8443}), "https://vms.local:8443")
        self.assertEqual(engine.server_url({"token": "t", "api": "vms.local", "path": "/a/"}), "https://vms.local/a")

    def test_what_is_no_group_token_is_refused_with_the_reason(self):
        for bad, reason in [
            ("", "base64"),
            ("not a token!", "base64"),
            (token_of([1]), "no member token"),
            (token_of({"api": "x"}), "no member token"),
            (token_of({"token": "t", "camid": 7}), "single channel"),
        ]:
            with self.subTest(bad=bad), self.assertRaisesRegex(engine.TokenError, reason):
                engine.decode_group_token(bad)

    def test_a_token_without_a_server_is_refused(self):
        with self.assertRaisesRegex(engine.TokenError, "--server"):
            engine.server_url({"token": "t"})


class Small(unittest.TestCase):
    def test_retry_after_is_polite_and_bounded(self):
        self.assertEqual(engine.retry_after("3"), 3.0)
        self.assertEqual(engine.retry_after(None), 1.0)
        self.assertEqual(engine.retry_after("3600"), 10.0)
        self.assertEqual(engine.retry_after("Wed, 21 Oct 2026 07:28:00 GMT"), 1.0)

    def test_the_zone_goes_and_nothing_else(self):
        self.assertEqual(engine.without_zone("2024-05-01T10:20:30.5Z"), "2024-05-01T10:20:30.5")
        self.assertEqual(engine.without_zone("2024-05-01T10:20:30+00:00"), "2024-05-01T10:20:30")

    def test_fractions_of_different_length_are_the_same_instant(self):
        self.assertEqual(engine.padded("2024-05-01T10:20:30"), engine.padded("2024-05-01T10:20:30.000000"))
        self.assertEqual(engine.padded("2024-05-01T10:20:30.5"), "2024-05-01T10:20:30.500000")

    def test_only_a_rate_above_zero_is_accepted(self):
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
            engine.arguments(["token", "--rate", "0"])


class Detectors(unittest.TestCase):
    def scene(self, left=None):
        """A plain scene with noise, and a bright square at `left` if given."""
        rng = np.random.default_rng(7)
        pixels = rng.integers(90, 100, (360, 640, 3), dtype=np.uint8)
        if left is not None:
            cv2.rectangle(pixels, (left, 100), (left + 80, 180), (230, 230, 230), -1)
        return pixels

    def test_motion_finds_a_moving_square_at_its_place(self):
        detector = engine.MotionDetector()
        for _ in range(4):
            self.assertEqual(detector.find(self.scene()), [])
        boxes = detector.find(self.scene(left=320))
        self.assertEqual(len(boxes), 1)
        self.assertAlmostEqual(boxes[0].left, 0.5, delta=0.03)
        self.assertAlmostEqual(boxes[0].width, 80 / 640, delta=0.06)

    def test_people_are_not_found_in_an_empty_scene_nor_in_a_tiny_one(self):
        detector = engine.PeopleDetector()
        self.assertEqual(detector.find(self.scene()), [])
        self.assertEqual(detector.find(np.zeros((60, 40, 3), np.uint8)), [])

    def test_boxes_are_fractions_of_the_picture(self):
        box = engine.boxes_of("person", [(64, 36, 128, 72)], (360, 640, 3))[0]
        self.assertEqual(box, engine.Box("person", 0.1, 0.1, 0.2, 0.2))


class Documents(unittest.TestCase):
    def document(self):
        picture = engine.Picture(np.full((90, 160, 3), 51, np.uint8), "2024-05-01T10:20:30.5")
        boxes = [engine.Box("person", 0, 0, 0.1, 0.2), engine.Box("moving", 0, 0, 1, 1), engine.Box("person", 0, 0, 1, 1)]
        return engine.document_of("run1", picture, boxes)

    def test_a_document_has_counts_and_boxes_at_the_time_of_capture(self):
        document = self.document()
        self.assertEqual(document["timestamp"], "2024-05-01T10:20:30.5")
        self.assertEqual(document["long"], {"people": 2, "moving": 1})
        self.assertEqual(document["float"], {"brightness": 0.2})
        self.assertEqual(len(json.loads(document["raw_data"])), 3)

    def test_a_document_that_came_back_changed_is_noticed(self):
        sent = self.document()
        back = dict(sent, id="x", camid=7, timestamp="2024-05-01T10:20:30.500000")
        self.assertTrue(engine.same(sent, back))
        self.assertFalse(engine.same(sent, dict(back, long={"people": 3, "moving": 1})))
        self.assertFalse(engine.same(sent, None))


class Verdict(unittest.TestCase):
    def channel(self, **values):
        return engine.Channel(1, "gate", "token", "active", True, **values)

    def test_success_needs_pictures_and_documents_of_every_channel(self):
        document = {"long": {"people": 1, "moving": 0}}
        good = self.channel(pictures=1, read_back=1, written={"a": document})
        self.assertEqual(engine.faults_of([good], must_detect=True), [])
        for bad in [self.channel(), self.channel(pictures=2, read_back=1), self.channel(pictures=1, read_back=1, fault="x")]:
            self.assertEqual(len(engine.faults_of([good, bad], must_detect=True)), 1)

    def test_seeing_nothing_fails_only_if_something_must_be_seen(self):
        blind = self.channel(pictures=1, read_back=1, written={"a": {"long": {"people": 0, "moving": 0}}})
        self.assertEqual(engine.faults_of([blind], must_detect=False), [])
        self.assertEqual(engine.faults_of([blind], must_detect=True), ["nothing was detected in any channel"])

    def test_an_empty_group_is_a_failure(self):
        self.assertEqual(engine.faults_of([], must_detect=False), ["the group has no channels"])


if __name__ == "__main__":
    unittest.main()
