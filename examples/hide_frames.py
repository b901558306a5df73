#!/usr/bin/python3
# SPDX-License-Identifier: MPL-2.0
"""Hides frames that a program makes in others that it makes, reveals them, and prints how like they are.

Debian: python3-gi, gir1.2-gstreamer-1.0 and gir1.2-gst-plugins-base-1.0, and GST_PLUGIN_PATH set.
"""

import math
import sys
from typing import NoReturn

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402, F401 (GstApp makes appsrc's methods known)

WIDTH, HEIGHT, FPS, FRAMES, SECRETS = 96, 64, 25, 3, 4
CAPS = f"video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate={FPS}/1"

PIPELINE = f"""
    appsrc name=cover format=time caps={CAPS} ! c.sink
    {" ".join(f"appsrc name=secret_{u} format=time caps={CAPS} ! c.secret_{u}" for u in range(SECRETS))}
    invmihconceal name=c secrets={SECRETS} ! tee name=t
    t. ! queue ! appsink name=stego
    t. ! queue ! invmihreveal secrets={SECRETS} ! appsink name=revealed"""


def frame(kind: int, number: int) -> bytes:
    """R, G and B of a smooth pattern that moves, another one for each kind."""
    turn = kind * 1.9 + number * 0.1
    across, down = 3 * math.cos(turn) / WIDTH, 3 * math.sin(turn) / HEIGHT
    return bytes(
        int(127.5 + 100 * math.sin(x * across + y * down + turn + shift))
        for y in range(HEIGHT)
        for x in range(WIDTH)
        for shift in (0, 2, 4)
    )


def feed(source: Gst.Element, kind: int) -> None:
    """Gives an appsrc its frames and its end; a queue inside takes them at once."""
    for number in range(FRAMES):
        buffer = Gst.Buffer.new_wrapped(frame(kind, number))
        buffer.duration = Gst.SECOND // FPS
        buffer.pts = number * buffer.duration
        source.push_buffer(buffer)
    source.end_of_stream()


def fail(pipeline: Gst.Pipeline) -> NoReturn:
    """Ends the program with what an element said."""
    message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
    sys.exit(message.parse_error()[0].message if message else "the stream has ended")


def pull(pipeline: Gst.Pipeline, name: str) -> bytes:
    """The next frame of an appsink."""
    sample = pipeline.get_by_name(name).pull_sample()
    if sample is None:
        fail(pipeline)
    buffer = sample.get_buffer()
    return buffer.extract_dup(0, buffer.get_size())


def psnr(a: bytes, b: bytes) -> float:
    """Over R, G and B, in dB."""
    error = sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / len(a)
    return 10 * math.log10(255**2 / error) if error else math.inf


def main() -> None:
    Gst.init(None)
    pipeline = Gst.parse_launch(PIPELINE)
    for kind, name in enumerate(["cover"] + [f"secret_{u}" for u in range(SECRETS)]):
        feed(pipeline.get_by_name(name), kind)
    try:
        if pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
            fail(pipeline)
        for number in range(FRAMES):
            quality = psnr(frame(0, number), pull(pipeline, "stego"))
            print(f"frame {number}: cover and stego {quality:5.2f} dB")
            for u in range(SECRETS):
                quality = psnr(frame(u + 1, number), pull(pipeline, "revealed"))
                print(f"frame {number}: secret {u} and revealed {quality:5.2f} dB")
    finally:
        pipeline.set_state(Gst.State.NULL)


if __name__ == "__main__":
    main()
