#!/usr/bin/env python3
"""Pictures from a recorded file by PyAV and by the ffmpeg command line, for `cargo xtask bench image`.

usage: pictures.py FILE random OFFSET [OFFSET ...]      exact pictures at these seconds, one after the other
       pictures.py FILE sample SECONDS                  one picture a second over this time

One decoding thread, JPEG of quality 80 (ffmpeg: -q:v 4, the nearest of its scale). PyAV encodes from the YUV planes with
libjpeg-turbo, its fastest way. CPU seconds are user and system, child processes included. One JSON line for each tool.
"""

import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import av
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

    def one(self, offset):
        self.container.seek(int(offset / self.stream.time_base), stream=self.stream)
        for frame in self.container.decode(self.stream):
            if frame.time + NEARLY >= offset:
                return self.encode(frame)
        raise RuntimeError(f"no picture at {offset}")

    def sample(self, seconds):
        """One pass; returns the number of pictures."""
        wanted = 0
        for frame in self.container.decode(self.stream):
            if wanted >= seconds:
                break
            if frame.time + NEARLY >= wanted:
                self.encode(frame)
                wanted += 1
        return wanted


class Ffmpeg:
    """The command line: a process for a picture, or one pass for many."""

    name = "ffmpeg"

    def __init__(self, file):
        self.file = file

    def run(self, before, after):
        command = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "1", *before, "-i", self.file, *after]
        return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

    def one(self, offset):
        picture = self.run(["-ss", f"{offset:.3f}"], ["-frames:v", "1", "-q:v", "4", "-threads", "1", "-f", "mjpeg", "-"])
        if not picture:
            raise RuntimeError(f"no picture at {offset}")
        return len(picture)

    def sample(self, seconds):
        with tempfile.TemporaryDirectory() as folder:
            rate = ["-t", str(seconds), "-vf", "fps=1:round=up", "-q:v", "4", "-threads", "1"]
            self.run([], [*rate, f"{folder}/%06d.jpg"])
            return len(list(pathlib.Path(folder).iterdir()))


def measure(tool, job, numbers):
    latencies = []
    cpu, start = cpu_seconds(), time.perf_counter()
    if job == "random":
        for offset in numbers:
            before = time.perf_counter()
            tool.one(offset)
            latencies.append(time.perf_counter() - before)
        count = len(latencies)
    else:
        count = tool.sample(int(numbers[0]))
    wall, cpu = time.perf_counter() - start, cpu_seconds() - cpu
    return {"tool": tool.name, "pictures": count, "wall_s": wall, "cpu_s": cpu, "latencies_s": latencies}


def main():
    file, job, *numbers = sys.argv[1:]
    for tool in (PyAv(file), Ffmpeg(file)):
        print(json.dumps(measure(tool, job, [float(number) for number in numbers])), flush=True)


if __name__ == "__main__":
    main()
