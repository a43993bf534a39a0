"""Reads what a synthetic camera writes into its pictures: frame number and time of capture.

The same code as in crates/testkit/src/stamp, for arrays.
"""

from __future__ import annotations

import io
import zlib
from typing import NamedTuple

import numpy
from PIL import Image

_COLUMNS, _ROWS = 16, 8
_WHITENING = 0x5A5AA5A55A5AA5A55A5AA5A55A5AA5A5


class Stamp(NamedTuple):
    frame: int
    capture_us: int


def of_gray(gray: numpy.ndarray) -> Stamp:
    """The stamp of a picture of luma values; an error if there is none or it is damaged."""
    means = _cell_means(gray.astype(numpy.float64))
    low, high = means.min(), means.max()
    assert high - low >= 60, "no stamp in this picture"
    bits = 0
    for mean in means.ravel():
        bits = bits << 1 | int(mean > (low + high) / 2)
    content = (bits ^ _WHITENING).to_bytes(16, "big")
    assert zlib.crc32(content[:12]) == int.from_bytes(content[12:], "big"), "the stamp is damaged"
    capture_us = int.from_bytes(content[4:12], "big", signed=True)
    return Stamp(int.from_bytes(content[:4], "big"), capture_us)


def of_rgb(rgb: numpy.ndarray) -> Stamp:
    """The stamp of a picture of red, green and blue."""
    return of_gray(rgb.astype(numpy.float64) @ numpy.array([0.299, 0.587, 0.114]))


def of_file(data: bytes) -> Stamp:
    """The stamp of an encoded picture."""
    return of_gray(numpy.asarray(Image.open(io.BytesIO(data)).convert("L")))


def _cell_means(gray: numpy.ndarray) -> numpy.ndarray:
    height, width = gray.shape
    means = numpy.empty((_ROWS, _COLUMNS))
    for row in range(_ROWS):
        top, bottom = _middle(height, 8, _ROWS, row)
        for column in range(_COLUMNS):
            left, right = _middle(width, 14, _COLUMNS, column)
            means[row, column] = gray[top : max(bottom, top + 1), left : max(right, left + 1)].mean()
    return means


def _middle(length: int, sixteenths: int, count: int, index: int) -> "tuple[int, int]":
    """Pixels of the middle half of a cell: its edges may be smeared."""
    cell = count * 4 + sixteenths * index * 4
    unit = 16 * count * 4
    return length * (cell + sixteenths) // unit, length * (cell + sixteenths * 3) // unit
