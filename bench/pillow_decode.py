"""Decodes and resizes files with Pillow, on all cores: one request (JSON) a line on stdin, one answer a line on stdout.

{"files": [path, ...], "size": [width, height], "resample": filter, "draft": whether}
   answers with the milliseconds that all of them took

Threads serve here, because Pillow lets other threads run while it decodes and resizes.
"""
import concurrent.futures
import json
import os
import platform
import sys
import time

import PIL
from PIL import Image

print(json.dumps({"python": platform.python_version(), "pillow": PIL.__version__}), flush=True)


def work(path, size, resample, draft):
    image = Image.open(path)
    if draft:
        image.draft("RGB", (2 * size[0], 2 * size[1]))
    return image.convert("RGB").resize(size, resample)


with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
    for line in sys.stdin:
        request = json.loads(line)
        start = time.perf_counter()
        for result in [pool.submit(work, path, tuple(request["size"]), request["resample"], request["draft"]) for path in request["files"]]:
            result.result()
        print(json.dumps({"milliseconds": (time.perf_counter() - start) * 1000}), flush=True)
