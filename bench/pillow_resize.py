"""Resizes with Pillow and times Image.resize alone: one request (JSON) a line on stdin, one answer a line on stdout.

{"image": [width, height]}                    makes the image of SyntheticImage.cs; answers with the hash of its pixels
{"resize": [width, height], "filter": name}   answers with the milliseconds that it took and the hash of the result
"""
import hashlib
import json
import platform
import sys
import time

import numpy
import PIL
from PIL import Image

FILTERS = {"bicubic": Image.BICUBIC, "bilinear": Image.BILINEAR}


def noise(x, y, channel):
    value = x * numpy.uint32(0x9E3779B1) + y * numpy.uint32(0x85EBCA77) + numpy.uint32(channel * 0xC2B2AE3D & 0xFFFFFFFF)
    value = (value ^ (value >> numpy.uint32(15))) * numpy.uint32(0x2C1B3C6D)
    return (value ^ (value >> numpy.uint32(12))) >> numpy.uint32(24)


def synthetic(width, height):
    x = numpy.arange(width, dtype=numpy.uint32)[None, :]
    y = numpy.arange(height, dtype=numpy.uint32)[:, None]
    gradients = [x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 255 // (width + height - 2)]
    channels = [(3 * gradient + noise(x, y, channel)) // 4 for channel, gradient in enumerate(gradients)]
    return Image.fromarray(numpy.stack(channels, axis=2).astype(numpy.uint8), "RGB")


def answer(**values):
    print(json.dumps(values), flush=True)


def sha256(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


answer(python=platform.python_version(), pillow=PIL.__version__, numpy=numpy.__version__)
source = None
for line in sys.stdin:
    request = json.loads(line)
    if "image" in request:
        source = synthetic(*request["image"])
        answer(sha256=sha256(source))
    else:
        size, resampling = tuple(request["resize"]), FILTERS[request["filter"]]
        start = time.perf_counter()
        resized = source.resize(size, resampling)
        milliseconds = (time.perf_counter() - start) * 1000
        answer(milliseconds=milliseconds, sha256=sha256(resized))
