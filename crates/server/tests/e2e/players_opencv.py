"""Shows a stream with OpenCV's own FFmpeg: writes its first pictures as JPEG files, as they come."""

import os
import sys

url, transport, count, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
if transport:
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = f"rtsp_transport;{transport}"

import cv2  # noqa: E402 (reads the options when it is loaded)

capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
if not capture.isOpened():
    sys.exit("OpenCV cannot open it")
for index in range(1, count + 1):
    is_there, picture = capture.read()
    if not is_there:
        break
    cv2.imwrite(os.path.join(folder, f"{index:08}.jpg"), picture)
