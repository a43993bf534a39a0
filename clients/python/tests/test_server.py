"""The client against a real server with two stamped cameras."""

import os
import subprocess
import sys
import unittest
import uuid
from datetime import datetime, timedelta, timezone

import numpy

import stamps
from framewell import FramewellError, Framewell
from rig import FPS, Site, wait_for

ROUNDING = timedelta(milliseconds=1)
FRAME = timedelta(seconds=1 / FPS)

SITE: Site


def setUpModule():
    global SITE
    SITE = Site()


def tearDownModule():
    SITE.close()


def micros(time: datetime) -> int:
    return round((time - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(microseconds=1))


class Pictures(unittest.TestCase):
    def setUp(self):
        self.fw = Framewell(SITE.group_token)
        self.addCleanup(self.fw.close)

    def assert_honest(self, picture):
        """The picture is the one that it says it is."""
        stamp = stamps.of_file(picture.data)
        self.assertLessEqual(abs(stamp.capture_us - micros(picture.captured)), 1_000)

    def test_the_token_alone_finds_server_and_channels(self):
        self.assertEqual(self.fw.server, SITE.base)
        self.assertEqual([channel.id for channel in self.fw.channels()], SITE.ids)
        with Framewell(SITE.token(0, "watch")) as watcher:
            self.assertEqual([channel.name for channel in watcher.channels()], ["camera 0"])

    def test_a_picture_of_now_and_of_then(self):
        now = self.fw.image(SITE.ids[0])
        self.assert_honest(now)
        self.assertLess(datetime.now(timezone.utc) - now.captured, timedelta(seconds=5))
        at = now.captured + FRAME / 2
        then = self.fw.image(self.fw.channels()[0], at=at, width=320)
        self.assert_honest(then)
        self.assertEqual((then.requested, then.frame), (at, now.frame))

    def test_a_refusal_says_what_and_what_is_nearest(self):
        with self.assertRaises(FramewellError) as caught:
            self.fw.image(SITE.ids[0], at="-1h")
        self.assertEqual((caught.exception.status, caught.exception.code), (404, "not_found"))
        self.assertIn("nearest_after", caught.exception.details)
        with self.assertRaises(FramewellError) as caught:
            self.fw.image(99_999)
        self.assertEqual(caught.exception.status, 404)

    def test_many_pictures_come_in_order_and_go_on_from_a_cursor(self):
        newest = self.fw.image(SITE.ids[0]).captured
        begin = newest - timedelta(seconds=2)
        wait_for("two seconds of footage", 20, lambda: self.has_footage(begin))
        batch = self.fw.images(SITE.ids[0], begin, newest, fps=5, width=320)
        pictures = list(batch.pictures())
        self.assertIsNotNone(batch.end)
        times = [picture.captured for picture in pictures]
        self.assertEqual(times, sorted(times))
        self.assertGreaterEqual(len(pictures), 9)
        for picture in pictures:
            self.assert_honest(picture)
        rest = list(self.fw.images(SITE.ids[0], cursor=pictures[3].cursor, width=320).pictures())
        self.assertEqual([picture.frame for picture in rest], [picture.frame for picture in pictures[4:]])

    def has_footage(self, at):
        try:
            return self.fw.image(SITE.ids[0], at=at) is not None
        except FramewellError:
            return False

    def test_a_group_shows_one_instant(self):
        found = wait_for("pictures of both", 20, lambda: self.whole_group())
        self.assertEqual(list(found.pictures), SITE.ids)
        self.assertLessEqual(found.spread, FRAME + ROUNDING)
        for picture in found.pictures.values():
            self.assert_honest(picture)
            self.assertTrue(-ROUNDING <= found.at - picture.captured <= FRAME + ROUNDING)
        some = self.fw.group(channels=[SITE.ids[1], 99_999], width=320)
        self.assertEqual((list(some.pictures), list(some.errors)), ([SITE.ids[1]], [99_999]))

    def whole_group(self):
        found = self.fw.group(width=320)
        return found if not found.errors else None

    def test_live_sets_of_a_group_are_aligned(self):
        whole = 0
        for found in self.fw.live_group(2, width=320, tolerance="60ms", wait="2s"):
            for picture in found.pictures.values():
                self.assert_honest(picture)
                self.assertLessEqual(abs(picture.captured - found.at), timedelta(milliseconds=61))
            whole += len(found.pictures) == 2
            self.assertLess(found.number, 30)
            if whole == 3:
                break

    def test_a_push_of_one_channel_gives_every_picture_once(self):
        frames = []
        for picture in self.fw.live(SITE.ids[0], fps=5, width=320):
            self.assert_honest(picture)
            frames.append(picture.frame)
            if len(frames) == 4:
                break
        self.assertEqual(len(set(frames)), 4)

    def test_metadata_is_written_and_found_again(self):
        run = uuid.uuid4().hex
        document = {"timestamp": "2024-05-01T10:20:30.5", "long": {"people": 2}, "string": {"run": run}}
        ids = self.fw.write(SITE.ids[0], [document, {**document, "long": {"people": 3}}])
        self.assertEqual(len(ids), 2)
        selected = {"and": [{"field": "string.run", "eq": run}, {"field": "long.people", "gte": 3}]}
        found = list(self.fw.find(SITE.ids[0], selected, page=1))
        self.assertEqual([item["id"] for item in found], ids[1:])


def address(array: numpy.ndarray) -> int:
    return array.__array_interface__["data"][0]


class Raw(unittest.TestCase):
    def setUp(self):
        wait_for("earlier readers to go", 20, lambda: SITE.metric("framewell_raw_readers") == 0)

    def ring(self, **request):
        fw = Framewell(request.pop("token", SITE.group_token), server=SITE.base)
        ring = fw.raw(SITE.socket, **{"width": 320, "height": 180, "fit": "fill", **request})
        self.addCleanup(ring.close)
        return ring

    def frame(self, ring, seconds=30):
        frame = ring.read(timeout=seconds)
        self.assertIsNotNone(frame, f"no picture came: {ring.errors}")
        return frame

    def test_arrays_are_the_shared_memory_itself(self):
        ring = self.ring(format="rgb24")
        whole = numpy.frombuffer(ring.memory, numpy.uint8)
        for _ in range(6):
            with self.frame(ring) as frame:
                rgb = frame.rgb
                self.assertEqual((rgb.shape, rgb.strides), ((180, 320, 3), (960, 3, 1)))
                self.assertTrue(numpy.shares_memory(rgb, whole))
                self.assertEqual(address(rgb), address(whole) + frame.slot * ring.slot_bytes)
                self.assertEqual(address(rgb) % 64, 0)
                self.assertFalse(rgb.flags.writeable)
                stamp = stamps.of_rgb(rgb)
                self.assertLessEqual(abs(stamp.capture_us - frame.captured_us), 1_000)
                self.assertEqual(bytes(frame.buffer("rgb")), rgb.tobytes())
        with self.assertRaises(ValueError):
            frame.rgb
        del rgb, whole

    def test_nv12_has_two_planes(self):
        ring = self.ring(format="nv12", width=322, height=182, channels=[SITE.ids[1]])
        with self.frame(ring) as frame:
            self.assertEqual((frame.y.shape, frame.uv.shape), ((182, 322), (91, 161, 2)))
            self.assertEqual(address(frame.uv) % 64, 0)
            self.assertLessEqual(abs(stamps.of_gray(frame.y).capture_us - frame.captured_us), 1_000)
            self.assertEqual(frame.channel, SITE.ids[1])

    def test_without_a_size_pictures_have_that_of_the_video(self):
        ring = self.ring(width=None, height=None, fit="pad")
        self.assertEqual((ring.width, ring.height), (480, 270))
        with self.frame(ring) as frame:
            self.assertEqual(frame.rgb.shape, (270, 480, 3))

    def test_a_slot_is_never_overwritten_while_it_is_held(self):
        ring = self.ring(slots=2, channels=[SITE.ids[0]])
        beside = self.ring(channels=[SITE.ids[0]])
        held = [self.frame(ring), self.frame(ring)]
        copies = [frame.rgb.copy() for frame in held]
        self.assertEqual(len({frame.slot for frame in held}), 2)
        # A second of pictures goes by, as the other reader sees; this one holds all its slots.
        for _ in range(FPS):
            self.frame(beside).release()
        self.assertIsNone(ring.read(timeout=0.2))
        for frame, copy in zip(held, copies):
            numpy.testing.assert_array_equal(frame.rgb, copy)
            self.assertLessEqual(abs(stamps.of_rgb(frame.rgb).capture_us - frame.captured_us), 1_000)
        held[0].release()
        following = self.frame(ring)
        self.assertEqual(following.slot, held[0].slot)
        self.assertGreaterEqual(following.dropped, FPS // 2)
        self.assertEqual(following.sequence, held[1].sequence + 1 + following.dropped)
        numpy.testing.assert_array_equal(held[1].rgb, copies[1])

    def test_two_readers_have_a_ring_each_and_the_same_pictures(self):
        first, second = self.ring(channels=[SITE.ids[0]]), self.ring(channels=[SITE.ids[0]])
        frames = {}
        for _ in range(5):
            with self.frame(first) as frame:
                frames[frame.frame] = frame.rgb.copy()
        same = 0
        for _ in range(5):
            with self.frame(second) as frame:
                if frame.frame in frames:
                    numpy.testing.assert_array_equal(frame.rgb, frames[frame.frame])
                    same += 1
        self.assertGreater(same, 0)

    def test_all_channels_of_the_group_share_one_ring_and_none_takes_all_slots(self):
        ring = self.ring(slots=2)
        self.assertEqual(ring.channels, SITE.ids)
        held = [self.frame(ring) for _ in range(4)]
        by_channel = {channel: [f for f in held if f.channel == channel] for channel in SITE.ids}
        self.assertEqual([len(frames) for frames in by_channel.values()], [2, 2])

    def test_newest_skips_what_waited_and_says_how_much(self):
        ring = self.ring(slots=4, channels=[SITE.ids[0]])
        beside = self.ring(channels=[SITE.ids[0]])
        for _ in range(FPS):
            self.frame(beside).release()
        frame = ring.newest(timeout=30)
        self.assertEqual(frame.dropped, frame.sequence)
        self.assertGreaterEqual(frame.sequence, 3)
        frame.release()

    def test_a_killed_reader_leaves_nothing_behind(self):
        self.assertEqual(SITE.shared_memories(), 0)
        program = (
            "import os, sys; from framewell import Framewell\n"
            "ring = Framewell(os.environ['TOKEN'], server=sys.argv[1]).raw(sys.argv[2], width=320, height=180)\n"
            "frame = ring.read(timeout=30); print('holding' if frame else ring.errors, flush=True); sys.stdin.read()\n"
        )
        reader = subprocess.Popen(
            [sys.executable, "-c", program, SITE.base, SITE.socket],
            env={**os.environ, "TOKEN": SITE.group_token},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.addCleanup(reader.kill)
        self.assertEqual(reader.stdout.readline(), b"holding\n")
        self.assertEqual(SITE.shared_memories(), 1)
        self.assertEqual(SITE.metric("framewell_raw_readers"), 1)
        reader.kill()
        reader.wait()
        reader.stdin.close()
        reader.stdout.close()
        wait_for("the server to clean up", 20, lambda: SITE.shared_memories() == 0)
        wait_for("the reader to be counted out", 20, lambda: SITE.metric("framewell_raw_readers") == 0)
        self.frame(self.ring()).release()

    def test_only_what_the_token_opens_is_given(self):
        for request, code in [
            ({"token": SITE.token(0, "watch"), "channels": [SITE.ids[1]]}, "not_found"),
            ({"token": "nonsense"}, "unauthenticated"),
            ({"slots": 1}, "invalid_argument"),
            ({"width": 8192, "height": 8192, "slots": 64}, "invalid_argument"),
            ({"width": None}, "invalid_argument"),
            ({"fps": -1.0}, "invalid_argument"),
        ]:
            with self.assertRaises(FramewellError, msg=str(request)) as caught:
                self.ring(**request)
            self.assertEqual(caught.exception.code, code, str(request))
            self.assertNotIn("nonsense", str(caught.exception))

    def test_more_readers_than_allowed_are_turned_away(self):
        for _ in range(3):
            self.ring()
        with self.assertRaises(FramewellError) as caught:
            self.ring()
        self.assertEqual(caught.exception.code, "resource_exhausted")

    def test_a_channel_that_leaves_the_group_ends_in_the_ring(self):
        group = SITE.admin("POST", "/api/v3/channel_groups/", {"name": "other", "channels": SITE.ids})
        ring = self.ring(token=group["token"])
        self.frame(ring).release()
        SITE.admin("PUT", f"/api/v3/channel_groups/{group['id']}/", {"channels": SITE.ids[:1]})

        def is_told():
            frame = ring.read(timeout=5)
            if frame is not None:
                frame.release()
            return SITE.ids[1] in ring.errors

        wait_for("the channel to leave", 20, is_told)
        self.assertEqual(ring.errors[SITE.ids[1]].code, "not_found")
        # What was sent before that still waits here.
        while (waiting := ring.read(timeout=0)) is not None:
            waiting.release()
        for _ in range(3):
            with self.frame(ring) as frame:
                self.assertEqual(frame.channel, SITE.ids[0])
        SITE.account("revoke", "tests", "--group", str(group["id"]))
        with self.assertRaises(FramewellError) as caught:
            while True:
                self.frame(ring).release()
        self.assertEqual(caught.exception.code, "unauthenticated")


if __name__ == "__main__":
    unittest.main()
