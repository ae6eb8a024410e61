"""Writes expected_sha256.json: what Pillow's ImageEnhance and ImageOps make of images of ../preprocess/images, as SHA-256 of the RGB bytes.

    /usr/bin/python3 make.py        (apt-get install python3-pil; Pillow 9.4.0)
"""
import hashlib
import json
import pathlib

from PIL import Image, ImageEnhance, ImageOps

here = pathlib.Path(__file__).parent
images = ["rgb.png", "exact_224.png", "chart.png", "tiny_7x5.png", "wide_1600x9.png", "tall_5x900.png", "one_pixel.png", "one_bit.png"]
factors = [0.0, 0.1, 0.37, 0.73, 0.999, 1.0, 1.27, 1.9, 3.0]

expected = {}
for name in images:
    image = Image.open(here.parent / "preprocess" / "images" / name).convert("RGB")
    results = {}
    for kind, enhance in [("Brightness", ImageEnhance.Brightness), ("Saturation", ImageEnhance.Color), ("Contrast", ImageEnhance.Contrast),
                          ("Sharpness", ImageEnhance.Sharpness)]:
        for factor in factors:
            results[f"{kind} {factor}"] = enhance(image).enhance(factor)
    for bits in range(1, 9):
        results[f"Posterize {bits}"] = ImageOps.posterize(image, bits)
    for threshold in [0, 50.5, 127.5, 128, 178.5, 255]:
        results[f"Solarize {threshold}"] = ImageOps.solarize(image, threshold)
    results["AutoContrast 0"] = ImageOps.autocontrast(image)
    results["Equalize 0"] = ImageOps.equalize(image)

    # A poor range of levels, so that these two have something to do.
    pale = image.point([60 + level // 3 for level in range(256)] * 3)
    results["pale AutoContrast 0"] = ImageOps.autocontrast(pale)
    results["pale Equalize 0"] = ImageOps.equalize(pale)
    expected[name] = {key: hashlib.sha256(result.tobytes()).hexdigest() for key, result in results.items()}

(here / "expected_sha256.json").write_text(json.dumps(expected, indent=1) + "\n")
