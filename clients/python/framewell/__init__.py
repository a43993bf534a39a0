"""Client of the Framewell video server, in pure standard Python.

    from framewell import Framewell

    fw = Framewell(token)                         # a group token says where its server is
    for channel in fw.channels():
        print(channel.id, channel.name, channel.status)
    picture = fw.image(7)                         # now
    picture = fw.image(7, at="-8s", width=640)    # exact to the frame
    for entry in fw.images(7, "-10m", "now", fps=1):
        ...
    for pictures in fw.live_group(fps=5):         # all cameras, the same instant
        ...
    with fw.raw(socket="/run/framewell/raw.sock", format="rgb24", width=640, height=360) as ring:
        for frame in ring:                        # numpy arrays in shared memory, nothing is copied
            with frame:
                model(frame.rgb)
"""

from .client import Framewell
from .errors import FramewellError, TokenError
from .model import Batch, Channel, End, Failure, Gap, Picture, PictureSet, instant, parse_time
from .raw import RawFrame, RawRing

__all__ = [
    "Batch",
    "Channel",
    "End",
    "Failure",
    "Framewell",
    "FramewellError",
    "Gap",
    "Picture",
    "PictureSet",
    "RawFrame",
    "RawRing",
    "TokenError",
    "instant",
    "parse_time",
]
