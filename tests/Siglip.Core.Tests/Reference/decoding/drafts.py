"""Writes drafts.json: the JPEG images of this folder and of ../preprocess as Pillow decodes them when it is asked for a draft.

For each file and each size: SHA-256 of the pixels of draft("RGB", twice the size), converted to RGB.

    python3 drafts.py
"""
import glob
import hashlib
import json
import os

import PIL
from PIL import Image

SIZES = [2, 5, 16, 32]
here = os.path.dirname(os.path.abspath(__file__))


def draft(path, size):
    image = Image.open(path)
    image.draft("RGB", (2 * size, 2 * size))
    return image.convert("RGB")


files = {}
for path in sorted(glob.glob(here + "/files/*.jp*g") + glob.glob(here + "/../preprocess/images/*.jp*g")):
    try:
        files[os.path.relpath(path, os.path.dirname(here))] = {
            str(size): hashlib.sha256(draft(path, size).tobytes()).hexdigest() for size in SIZES}
    except OSError:
        pass  # refused; the tests of decoding are about that
with open(here + "/drafts.json", "w", encoding="utf-8") as output:
    json.dump({"pillow": PIL.__version__, "files": files}, output, indent=1)
    output.write("\n")
