#!/usr/bin/env python3
"""Pictures from a recorded file by other tools, for `cargo xtask bench image`.

usage: pictures.py FILE LIMIT random OFFSET [OFFSET ...]   exact pictures at these seconds, one after the other
       pictures.py FILE LIMIT key OFFSET [OFFSET ...]      the key frame at or before these seconds, likewise
       pictures.py FILE LIMIT sample PERIOD SECONDS        a picture each period over this time, in one pass
       pictures.py FILE LIMIT keys SECONDS                 every key frame of this time

LIMIT is the program of `crates/decoder/examples/limit.rs`. One decoding thread, JPEG of quality 80 (ffmpeg: -q:v 4, the
nearest of its scale). PyAV encodes from the YUV planes with libjpeg-turbo, its fastest way; OpenCV from its BGR. CPU
seconds are user and system, child processes included. One JSON line for each tool that can do the job.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import av
import cv2
import numpy as np
from turbojpeg import TJSAMP_420, TurboJPEG

NEARLY = 1e-3
"""Media times are rational; seconds on the command line are not."""


def cpu_seconds():
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


class PyAv:
    """A file kept open, as a program that makes many pictures does."""

    name = "PyAV"

    def __init__(self, file):
        self.jpeg = TurboJPEG()
        self.container = av.open(file)
        self.stream = self.container.streams.video[0]
        self.stream.thread_count = 1
        self.stream.thread_type = "NONE"

    def encode(self, frame):
        planes = np.ascontiguousarray(frame.to_ndarray(format="yuv420p")).reshape(-1)
        return len(self.jpeg.encode_from_yuv(planes, frame.height, frame.width, 80, TJSAMP_420))

    def seek(self, offset):
        self.container.seek(int(offset / self.stream.time_base), stream=self.stream)

    def random(self, offset):
        self.seek(offset)
        for frame in self.container.decode(self.stream):
            if frame.time + NEARLY >= offset:
                return self.encode(frame)
        raise RuntimeError(f"no picture at {offset}")

    def key(self, offset):
        self.seek(offset)
        return self.encode(next(self.container.decode(self.stream)))

    def sample(self, period, seconds):
        count = 0
        for frame in self.container.decode(self.stream):
            if count * period >= seconds:
                break
            if frame.time + NEARLY >= count * period:
                self.encode(frame)
                count += 1
        return count

    def keys(self, seconds):
        self.stream.codec_context.skip_frame = "NONKEY"
        count = 0
        for frame in self.container.decode(self.stream):
            if frame.time >= seconds:
                break
            self.encode(frame)
            count += 1
        return count


class OpenCv:
    """`VideoCapture`, as most engines read video."""

    name = "OpenCV"

    def __init__(self, file):
        cv2.setNumThreads(1)
        self.capture = cv2.VideoCapture(file, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])

    def encode(self):
        _, image = self.capture.retrieve()
        return len(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])[1])

    def sample(self, period, seconds):
        count = index = 0
        rate = self.capture.get(cv2.CAP_PROP_FPS)
        while count * period < seconds and self.capture.grab():
            if index / rate + NEARLY >= count * period:
                self.encode()
                count += 1
            index += 1
        return count


class Ffmpeg:
    """The command line: a process for a picture, or one pass for many."""

    name = "ffmpeg"
    jpeg = ["-q:v", "4", "-threads", "1"]

    def __init__(self, file):
        self.file = file

    def run(self, before, after):
        command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", *before, "-i", self.file, *after]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    def one(self, before):
        picture = self.run(before, ["-frames:v", "1", *self.jpeg, "-f", "mjpeg", "-"])
        if not picture:
            raise RuntimeError(f"no picture with {before}")
        return len(picture)

    def random(self, offset):
        return self.one(["-ss", f"{offset:.3f}"])

    def key(self, offset):
        return self.one(["-noaccurate_seek", "-ss", f"{offset:.3f}"])

    def many(self, before, after):
        with tempfile.TemporaryDirectory() as folder:
            self.run(before, [*after, *self.jpeg, f"{folder}/%06d.jpg"])
            return len(list(pathlib.Path(folder).iterdir()))

    def sample(self, period, seconds):
        return self.many([], ["-t", str(seconds), "-vf", f"fps=1/{period}:round=up"])

    def keys(self, seconds):
        return self.many(["-skip_frame", "nokey", "-t", str(seconds)], ["-vsync", "passthrough"])


class Limit:
    """The same libraries in one loop with nothing around them."""

    name = "bare limit"
    program = None

    def __init__(self, file):
        self.file = file

    def run(self, *arguments):
        command = [Limit.program, self.file, *map(str, arguments)]
        return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    def sample(self, period, seconds):
        return self.run("all", period, seconds)

    def keys(self, seconds):
        return self.run("key", seconds)


def measure(tool, job, numbers):
    latencies = []
    work = getattr(tool, job)
    cpu, start = cpu_seconds(), time.perf_counter()
    if job in ("random", "key"):
        for offset in numbers:
            before = time.perf_counter()
            work(offset)
            latencies.append(time.perf_counter() - before)
        count = len(latencies)
    else:
        count = work(*numbers)
    wall, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    return {"tool": tool.name, "pictures": count, "wall_s": wall, "cpu_s": cpu, "latencies_s": latencies}


def main():
    file, Limit.program, job, *numbers = sys.argv[1:]
    for kind in (PyAv, OpenCv, Ffmpeg, Limit):
        if hasattr(kind, job):
            print(json.dumps(measure(kind(file), job, [float(number) for number in numbers])), flush=True)


if __name__ == "__main__":
    main()
