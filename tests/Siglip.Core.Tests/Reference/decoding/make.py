#!/usr/bin/python3
"""Makes small image files of every kind in the wild, and what Pillow makes of them.

Run with Debian 12's python3-pil 9.4.0 and python3-numpy; it calls cjpeg (libjpeg-turbo-progs) for what Pillow does not write.

    ./make.py           writes files/ and expected.safetensors beside this script

Every file is a drawing of this script, so it is free to use. Writers of our own (PNG, BMP, GIF) are here because a library writes
only the variants that it likes.
"""

import io
import json
import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

HERE = Path(__file__).parent
FILES = HERE / "files"
W, H = 23, 17
random = np.random.default_rng(1)
files, twins = {}, {}


def add(name, data, twin=None):
    """twin: a file of the same picture that Pillow 9.4 reads as later versions read this one."""
    assert name not in files, name
    files[name] = bytes(data)
    if twin is not None:
        twins[name] = bytes(twin)


# ---------------------------------------------------------------------------------------------------------------- drawings

def photo(width=W, height=H):
    """Gradients, hard colour edges and a little noise."""
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack([x * 255 / max(width - 1, 1), y * 255 / max(height - 1, 1), (x + y) * 255 / max(width + height - 2, 1)], -1)
    rgb[(x - width / 3) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2] = (230, 20, 60)
    rgb[:, width * 3 // 4:width * 3 // 4 + 2] = (10, 240, 250)
    return (rgb + random.integers(-8, 9, rgb.shape)).clip(0, 255).astype(np.uint8)


def noise(shape, top=256):
    return random.integers(0, top, shape)


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, **options)
    return out.getvalue()


def wrong_profile():
    """sRGB with red and green swapped: who applies it gets quite other colours."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile[:24] + bytes(12) + profile[36:]  # without today's date
    return profile.replace(b"rXYZ", b"????").replace(b"gXYZ", b"rXYZ").replace(b"????", b"gXYZ")


def exif(orientation, byte_order="<", kind=3, prefix=b"", count=1):
    """A directory with a width, the orientation (as a short or a long) and a software name."""
    value = struct.pack(byte_order + ("HH" if kind == 3 else "I"), *((orientation, 0) if kind == 3 else (orientation,)))
    entries = [struct.pack(byte_order + "HHII", 0x100, 4, 1, 99),
               struct.pack(byte_order + "HHI", 0x112, kind, count) + value,
               struct.pack(byte_order + "HHI", 0x131, 2, 4) + b"abc\0"]
    header = b"II*\0" if byte_order == "<" else b"MM\0*"
    return prefix + header + struct.pack(byte_order + "IH", 8, len(entries)) + b"".join(entries) + bytes(4)


# -------------------------------------------------------------------------------------------------------------------- JPEG

def cjpeg(rgb, *options):
    header = f"P{5 if rgb.ndim == 2 else 6} {rgb.shape[1]} {rgb.shape[0]} 255\n".encode()
    return subprocess.run(["cjpeg", *options], input=header + rgb.tobytes(), capture_output=True, check=True).stdout


def without_segments(jpeg, *markers):
    """Drops marker segments before the first scan."""
    out, position = bytearray(jpeg[:2]), 2
    while jpeg[position + 1] != 0xDA:
        length = 2 + struct.unpack_from(">H", jpeg, position + 2)[0]
        if jpeg[position + 1] not in markers:
            out += jpeg[position:position + length]
        position += length
    return bytes(out + jpeg[position:])


def with_segment(jpeg, marker, data):
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


def with_component_ids(jpeg, ids):
    """Renames the components in the start of frame and in the start of scan."""
    out = bytearray(jpeg)
    frame = next(m.start() for m in re.finditer(rb"\xff[\xc0\xc1\xc2]", jpeg))
    scan = jpeg.index(b"\xff\xda")
    for i, identifier in enumerate(ids):
        out[frame + 10 + 3 * i] = identifier
        out[scan + 5 + 2 * i] = identifier
    return bytes(out)


def adobe(transform):
    return b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform)


def jpegs():
    rgb = photo()
    image = Image.fromarray(rgb)
    grey = image.convert("L")
    for name, sample in dict(s444="1x1", s422="2x1", s420="2x2", s440="1x2", s411="4x1", s410="4x2", s441="1x4").items():
        add(f"jpeg-{name[1:]}.jpg", cjpeg(rgb, "-quality", "90", "-sample", sample))
        add(f"jpeg-{name[1:]}-progressive.jpg", cjpeg(rgb, "-quality", "90", "-progressive", "-sample", sample))
    add("jpeg-chroma-larger.jpg", cjpeg(rgb, "-quality", "90", "-sample", "1x1,2x2,1x1"))
    add("jpeg-luma-3x1.jpg", cjpeg(rgb, "-quality", "90", "-sample", "3x1"))
    for width, height in ((1, 1), (2, 1), (1, 5), (3, 3), (16, 16), (17, 33)):
        small = photo(width, height)
        for name, sample in (("420", "2x2"), ("422", "2x1"), ("440", "1x2")):
            add(f"jpeg-{name}-{width}x{height}.jpg", cjpeg(small, "-quality", "85", "-sample", sample))
    add("jpeg-quality-100.jpg", cjpeg(rgb, "-quality", "100"))
    add("jpeg-quality-5.jpg", cjpeg(rgb, "-quality", "5"))
    add("jpeg-quality-1-extended.jpg", cjpeg(rgb, "-quality", "1"))  # quantization tables of 16 bits
    add("jpeg-restart.jpg", cjpeg(rgb, "-quality", "90", "-restart", "1B"))
    add("jpeg-restart-progressive.jpg", cjpeg(rgb, "-quality", "90", "-restart", "1B", "-progressive"))
    add("jpeg-arithmetic.jpg", cjpeg(rgb, "-quality", "90", "-arithmetic"))
    add("jpeg-arithmetic-progressive.jpg", cjpeg(rgb, "-quality", "90", "-arithmetic", "-progressive"))
    scans = HERE / "scans.txt"
    scans.write_text("0;\n1;\n2;\n")
    add("jpeg-three-scans.jpg", cjpeg(rgb, "-quality", "90", "-scans", str(scans)))
    scans.unlink()
    add("jpeg-grey.jpg", saved(grey, format="JPEG", quality=90))
    add("jpeg-grey-progressive.jpg", saved(grey, format="JPEG", quality=90, progressive=True))
    add("jpeg-grey-sampling-2x2.jpg", cjpeg(np.array(grey), "-quality", "90", "-sample", "2x2"))

    full = cjpeg(rgb, "-quality", "90", "-sample", "1x1")
    bare = without_segments(full, 0xE0)
    add("jpeg-no-markers.jpg", bare)
    add("jpeg-components-0-1-2.jpg", with_component_ids(bare, (0, 1, 2)))
    add("jpeg-components-r-g-b.jpg", with_component_ids(bare, b"RGB"))
    add("jpeg-components-r-g-b-jfif.jpg", with_component_ids(full, b"RGB"))
    add("jpeg-adobe-rgb.jpg", with_segment(bare, 0xEE, adobe(0)))
    add("jpeg-adobe-ycc.jpg", with_segment(bare, 0xEE, adobe(1)))
    add("jpeg-adobe-unknown.jpg", with_segment(bare, 0xEE, adobe(7)))
    add("jpeg-adobe-rgb-and-jfif.jpg", with_segment(full, 0xEE, adobe(0)))

    cmyk = Image.fromarray(np.dstack([rgb, noise((H, W))]).astype(np.uint8), "CMYK")
    for name, options in (("", {}), ("-progressive", dict(progressive=True)), ("-subsampled", dict(subsampling=2))):
        inks = saved(cmyk, format="JPEG", quality=95, **options)
        add(f"jpeg-cmyk{name}.jpg", inks)
        add(f"jpeg-cmyk{name}-no-adobe.jpg", without_segments(inks, 0xEE))
        add(f"jpeg-ycck{name}.jpg", with_segment(without_segments(inks, 0xEE), 0xEE, adobe(2)))

    add("jpeg-profile.jpg", saved(image, format="JPEG", quality=90, icc_profile=wrong_profile()))
    add("jpeg-cmyk-profile.jpg", saved(cmyk, format="JPEG", quality=90, icc_profile=wrong_profile()))
    thumbnail = saved(Image.fromarray(photo(8, 6)), format="JPEG")
    add("jpeg-thumbnail.jpg", with_segment(full, 0xE1, b"Exif\0\0" + exif(1) + thumbnail))
    add("jpeg-jfxx-thumbnail.jpg", full[:20] + struct.pack(">BBH", 0xFF, 0xE0, 8 + len(thumbnail)) + b"JFXX\0\x10" + thumbnail + full[20:])
    add("jpeg-comment.jpg", with_segment(full, 0xFE, b"\xff\xd9 no end"))
    add("jpeg-fill-bytes.jpg", full[:2] + b"\xff\xff\xff" + full[2:])
    add("jpeg-bytes-after-end.jpg", full + b"trailing bytes \xff\xd8\xff")
    add("jpeg-bytes-before-end.jpg", full[:-2] + b"\x12\x34\x56" + full[-2:])
    add("jpeg-bytes-between-markers.jpg", full[:20] + b"\x01\x02\x03" + full[20:])
    add("jpeg-mpo.jpg", saved(image, format="MPO", save_all=True, append_images=[image.rotate(180)]))
    add("jpeg-no-end-mark.jpg", full[:-2])
    damaged = bytearray(full)
    damaged[-300] ^= 0x5A
    add("jpeg-damaged-codes.jpg", damaged)
    table = full.index(b"\xff\xdb\0\x43\0") + 5
    add("jpeg-damaged-table.jpg", full[:table] + b"\xff" * 64 + full[table + 64:])
    add("jpeg-12-bit.jpg", full.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"))
    add("jpeg-lossless-mark.jpg", full.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc3\x00\x11\x08"))


# --------------------------------------------------------------------------------------------------------------------- PNG

CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # x, y, step x, step y


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(samples, depth):
    """Rows of samples [rows, columns * channels] as bytes."""
    if depth == 16:
        return samples.astype(">u2").view(np.uint8).reshape(len(samples), -1)
    if depth == 8:
        return samples.astype(np.uint8)
    bits = (samples[:, :, None] >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.reshape(len(samples), -1).astype(np.uint8), axis=1)


def paeth(a, b, c):
    p = a + b - c
    pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
    return a if pa <= pb and pa <= pc else b if pb <= pc else c


def filtered(rows, pixel_bytes):
    """Filters one row after the other, a different way each."""
    out, above = bytearray(), bytes(rows.shape[1])
    for y, row in enumerate(rows.tolist()):
        kind = (y * 2 + 4) % 5
        out.append(kind)
        for i, value in enumerate(row):
            a = row[i - pixel_bytes] if i >= pixel_bytes else 0
            b, c = above[i], above[i - pixel_bytes] if i >= pixel_bytes else 0
            out.append((value - (0, a, b, (a + b) // 2, paeth(a, b, c))[kind]) & 255)
        above = row
    return bytes(out)


def png(samples, colour, depth, interlaced=False, before=b"", after=b"", palette=None, data_chunks=1, raw_palette=None):
    """samples [rows, columns, channels]; before and after: chunks around the pixels (before them: behind a palette)."""
    height, width = samples.shape[:2]
    bytes_a_pixel = max(1, CHANNELS[colour] * depth // 8)
    stream = b""
    for x, y, step_x, step_y in PASSES if interlaced else ((0, 0, 1, 1),):
        part = samples[y::step_y, x::step_x]
        if part.size:
            stream += filtered(packed(part.reshape(part.shape[0], -1), depth), bytes_a_pixel)
    data = zlib.compress(stream, 9)
    size = -(-len(data) // data_chunks)
    idat = b"".join(chunk(b"IDAT", data[i:i + size]) for i in range(0, len(data), size))
    if data_chunks > 1:
        idat = chunk(b"IDAT", b"") + idat + chunk(b"IDAT", b"")
    plte = chunk(b"PLTE", palette.astype(np.uint8).tobytes()) if palette is not None else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))
    return b"\x89PNG\r\n\x1a\n" + header + plte + before + idat + after + chunk(b"IEND", b"")


def sixteen_bits(shape):
    """As many levels below 256 as above, since Pillow clips grey levels there."""
    levels = noise(shape, 512)
    levels[noise(shape, 4) == 0] *= 100
    return levels.clip(0, 65535)


def pngs():
    for colour, name in ((0, "grey"), (2, "rgb"), (3, "palette"), (4, "grey-alpha"), (6, "rgba")):
        for depth in (1, 2, 4, 8, 16):
            if (depth < 8 and colour not in (0, 3)) or (depth == 16 and colour == 3):
                continue
            samples = noise((H, W, CHANNELS[colour]), 1 << depth) if depth < 16 else sixteen_bits((H, W, CHANNELS[colour]))
            palette = noise((1 << depth, 3)) if colour == 3 else None
            for interlaced in (False, True):
                add(f"png-{name}-{depth}{'-interlaced' if interlaced else ''}.png", png(samples, colour, depth, interlaced, palette=palette))
            if colour in (0, 2):
                transparent = chunk(b"tRNS", samples[0, 0].astype(">u2").tobytes())
                add(f"png-{name}-{depth}-transparent.png", png(samples, colour, depth, before=transparent))
            if colour == 3:
                transparent = chunk(b"tRNS", noise((1 << depth) // 2 + 1).astype(np.uint8).tobytes())
                add(f"png-{name}-{depth}-transparent.png", png(samples, colour, depth, before=transparent, palette=palette))
                few = max((1 << depth) * 2 // 3, 1)
                black = np.pad(palette[:few], ((0, (1 << depth) - few), (0, 0)))  # Pillow 10.1 and later; it was a grey ramp before
                add(f"png-{name}-{depth}-too-few-colours.png", png(samples, colour, depth, palette=palette[:few]),
                    twin=png(samples, colour, depth, palette=black))
                if depth < 8:
                    add(f"png-{name}-{depth}-too-many-colours.png", png(samples, colour, depth, palette=np.vstack([palette, palette[::-1]])))
                add(f"png-{name}-{depth}-few-colours.png", png(samples % few, colour, depth, palette=palette[:few]))
    for width, height in ((1, 1), (2, 2), (3, 5), (5, 3), (8, 1), (1, 9)):
        levels = sixteen_bits((height, width, 1))
        add(f"png-grey-16-interlaced-{width}x{height}.png", png(levels, 0, 16, True))
        add(f"png-grey-16-{width}x{height}.png", png(levels, 0, 16))

    rgb = photo().astype(int)
    profile = chunk(b"iCCP", b"profile\0\0" + zlib.compress(wrong_profile()))
    chunks = {
        "gamma": chunk(b"gAMA", struct.pack(">I", 100000)),
        "gamma-primaries": chunk(b"gAMA", struct.pack(">I", 60000))
        + chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)),
        "srgb": chunk(b"sRGB", b"\0"),
        "profile": profile,
        "significant-bits": chunk(b"sBIT", b"\5\6\5"),
        "background": chunk(b"bKGD", struct.pack(">HHH", 255, 0, 0)),
        "text": chunk(b"tEXt", b"Comment\0some text") + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"more text")),
        "unknown-chunk": chunk(b"abCd", b"12345"),
        "bad-checksum-of-text": chunk(b"tEXt", b"Comment\0some text")[:-1] + b"\0",
        "suggested-palette": chunk(b"PLTE", noise(30).astype(np.uint8).tobytes()),
    }
    for name, extra in chunks.items():
        add(f"png-rgb-{name}.png", png(rgb, 2, 8, before=extra))
    grey = rgb[:, :, :1]
    add("png-grey-gamma.png", png(grey, 0, 8, before=chunks["gamma"]))
    add("png-grey-significant-bits.png", png(grey, 0, 8, before=chunk(b"sBIT", b"\5")))
    add("png-grey-16-significant-bits.png", png(sixteen_bits((H, W, 1)), 0, 16, before=chunk(b"sBIT", b"\x0c")))
    add("png-grey-16-gamma.png", png(sixteen_bits((H, W, 1)), 0, 16, before=chunks["gamma"]))
    add("png-rgb-16-gamma.png", png(sixteen_bits((H, W, 3)), 2, 16, before=chunks["gamma"]))
    add("png-rgb-16-significant-bits.png", png(sixteen_bits((H, W, 3)), 2, 16, before=chunk(b"sBIT", b"\x0a\x0a\x0a")))
    add("png-palette-profile.png", png(grey % 16, 3, 8, before=b"", palette=noise((16, 3))).replace(b"\0\0\0\x30PLTE", profile + b"\0\0\0\x30PLTE"))
    add("png-rgba-transparent.png", png(np.dstack([rgb, noise((H, W), 3) // 2 * 255]), 6, 8))
    add("png-rgba-profile.png", png(np.dstack([rgb, noise((H, W))]), 6, 8, before=profile))
    add("png-many-data-chunks.png", png(rgb, 2, 8, data_chunks=7))
    add("png-grey-16-many-data-chunks.png", png(sixteen_bits((H, W, 1)), 0, 16, data_chunks=7))
    add("png-bytes-after-end.png", png(rgb, 2, 8) + b"trailing bytes")
    add("png-no-end-mark.png", png(rgb, 2, 8)[:-12])
    add("png-bad-checksum-of-data.png", png(rgb, 2, 8)[:-13] + b"\0" + png(rgb, 2, 8)[-12:])
    add("png-text-after-data.png", png(rgb, 2, 8, after=chunks["text"]))

    # APNG: the first frame is the default image, or is not.
    control = chunk(b"acTL", struct.pack(">II", 2, 0))
    def frame(number, width, height, x=0, y=0, blend=0):
        return chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, x, y, 1, 10, 0, blend))
    second = chunk(b"fdAT", struct.pack(">I", 2) + zlib.compress(filtered(packed(noise((5, 7 * 4)), 8), 4)))
    pixels = np.dstack([rgb, noise((H, W))])
    add("png-animated.png", png(pixels, 6, 8, before=control + frame(0, W, H), after=frame(1, 7, 5, 3, 4) + second))
    add("png-animated-blended.png", png(pixels, 6, 8, before=control + frame(0, W, H, blend=1), after=frame(1, 7, 5, 3, 4) + second))
    whole = zlib.compress(filtered(packed(noise((H, W * 4)), 8), 4))
    add("png-animated-default-image-apart.png", png(
        pixels, 6, 8, before=control,
        after=frame(0, W, H) + chunk(b"fdAT", struct.pack(">I", 1) + whole) + frame(2, 7, 5) + second.replace(b"\0\0\0\2", b"\0\0\0\3", 1)))


# --------------------------------------------------------------------------------------------------------------------- GIF

def lzw(indices, bits):
    """Codes of growing length, as in the GIF specification."""
    clear = 1 << bits
    table, size, out, held, filled = {}, bits + 1, bytearray(), 0, 0

    def put(code):
        nonlocal held, filled
        held |= code << filled
        filled += size
        while filled >= 8:
            out.append(held & 255)
            held >>= 8
            filled -= 8

    put(clear)
    following = clear + 2
    prefix = ()
    for index in indices:
        if not prefix or prefix + (index,) in table:
            prefix += (index,)
            continue
        put(table.get(prefix, prefix[0]))
        if following < 4096:
            table[prefix + (index,)] = following
            if following == 1 << size and size < 12:
                size += 1
            following += 1
        prefix = (index,)
    put(table.get(prefix, prefix[0]))
    if following == 1 << size and size < 12:
        size += 1
    put(clear + 1)
    if filled:
        out.append(held & 255)
    return bytes([bits]) + b"".join(bytes([len(part)]) + part for part in (out[i:i + 255] for i in range(0, len(out), 255))) + b"\0"


def gif_palette(colours):
    return (len(colours) - 1).bit_length() - 1, colours.astype(np.uint8).tobytes()


def gif_frame(indices, at=(0, 0), interlaced=False, palette=None, transparent=None, disposal=0, control=True, bits=None):
    out = b""
    if control:
        out = struct.pack("<BBBBHBB", 0x21, 0xF9, 4, disposal << 2 | (transparent is not None), 10, transparent or 0, 0)
    size, colours = gif_palette(palette) if palette is not None else (0, b"")
    height, width = indices.shape
    out += struct.pack("<BHHHHB", 0x2C, *at, width, height, (0x80 if palette is not None else 0) | interlaced << 6 | size) + colours
    order = [y for start, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for y in range(start, height, step)] if interlaced else range(height)
    bits = bits or max(2, int(indices.max()).bit_length())
    return out + lzw([int(v) for y in order for v in indices[y]], bits)


def gif(*frames, palette=None, background=0, size=(W, H), version=b"GIF89a", before=b""):
    bits, colours = gif_palette(palette) if palette is not None else (0, b"")
    return version + struct.pack("<HHBBB", *size, (0x80 if palette is not None else 0) | 0x70 | bits, background, 0) + colours \
        + before + b"".join(frames) + b";"


def gifs():
    palette, other, ramp = noise((16, 3)), noise((8, 3)), np.repeat(np.arange(256)[:, None], 3, 1)
    indices, small = noise((H, W), 16), noise((9, 11), 16)
    add("gif-87a.gif", gif(gif_frame(indices, control=False), palette=palette, version=b"GIF87a"))
    add("gif-interlaced.gif", gif(gif_frame(indices, interlaced=True), palette=palette))
    add("gif-interlaced-offset.gif", gif(gif_frame(small, (5, 3), interlaced=True), palette=palette))
    add("gif-256-colours.gif", gif(gif_frame(noise((H, W)), ), palette=noise((256, 3))))
    add("gif-two-colours.gif", gif(gif_frame(noise((H, W), 2)), palette=noise((2, 3))))
    add("gif-one-colour.gif", gif(gif_frame(np.zeros((H, W), int)), palette=noise((2, 3))))
    add("gif-black-white.gif", gif(gif_frame(noise((H, W), 2)), palette=np.array([[0, 0, 0], [255, 255, 255]])))
    add("gif-grey-ramp.gif", gif(gif_frame(noise((H, W))), palette=ramp))
    add("gif-transparent.gif", gif(gif_frame(indices, transparent=3), palette=palette))
    add("gif-transparent-beyond-palette.gif", gif(gif_frame(indices, transparent=200), palette=palette))
    add("gif-transparent-grey-ramp.gif", gif(gif_frame(noise((H, W)), transparent=3), palette=ramp))
    add("gif-offset.gif", gif(gif_frame(small, (5, 3)), palette=palette))
    add("gif-offset-background.gif", gif(gif_frame(small, (5, 3)), palette=palette, background=7))
    add("gif-offset-transparent.gif", gif(gif_frame(small, (5, 3), transparent=4), palette=palette, background=7))
    black = np.pad(palette, ((0, 240), (0, 0)))  # Pillow 10.1 and later; it was a grey ramp before
    add("gif-offset-transparent-beyond-palette.gif", gif(gif_frame(small, (5, 3), transparent=200), palette=palette),
        twin=gif(gif_frame(small, (5, 3), transparent=200), palette=black))
    add("gif-offset-local-palette.gif", gif(gif_frame(small % 8, (5, 3), palette=other), palette=palette))
    add("gif-offset-grey-ramp.gif", gif(gif_frame(noise((9, 11)), (5, 3), transparent=77), palette=ramp))
    add("gif-local-palette.gif", gif(gif_frame(indices % 8, palette=other), palette=palette))
    add("gif-local-palette-only.gif", gif(gif_frame(indices % 8, palette=other, transparent=2)))
    add("gif-local-grey-ramp.gif", gif(gif_frame(indices % 8, palette=ramp[:8]), palette=palette))
    add("gif-no-palette.gif", gif(gif_frame(noise((H, W)))))
    add("gif-no-palette-offset.gif", gif(gif_frame(noise((9, 11)), (5, 3), transparent=77)))
    add("gif-too-few-colours.gif", gif(gif_frame(indices), palette=palette[:8]),
        twin=gif(gif_frame(indices), palette=np.pad(palette[:8], ((0, 8), (0, 0)))))
    add("gif-frame-beyond-canvas.gif", gif(gif_frame(indices), palette=palette, size=(W - 6, H - 4)))
    add("gif-frame-beyond-canvas-offset.gif", gif(gif_frame(indices, (3, 2)), palette=palette))
    add("gif-canvas-0x0.gif", gif(gif_frame(indices), palette=palette, size=(0, 0)))
    for disposal in (1, 2, 3):
        add(f"gif-animated-disposal-{disposal}.gif", gif(
            gif_frame(indices, disposal=disposal, transparent=5), gif_frame(small, (4, 4), transparent=1), palette=palette))
    add("gif-animated-second-larger.gif", gif(gif_frame(small, (1, 1)), gif_frame(noise((H + 3, W + 5), 16)), palette=palette))
    add("gif-comment.gif", gif(gif_frame(indices), palette=palette, before=b"!\xfe\x05hello\0!\xff\x0bNETSCAPE2.0\x03\1\0\0\0"))
    add("gif-two-controls.gif", gif(gif_frame(small, (5, 3), transparent=4), palette=palette, before=b"!\xf9\4\1\0\0\2\0"))
    add("gif-control-replaced.gif", gif(gif_frame(small, (5, 3)), palette=palette, before=b"!\xf9\4\1\0\0\2\0"))
    add("gif-stray-bytes.gif", gif(gif_frame(indices), palette=palette, before=b"\0\0"))
    add("gif-bytes-after-end.gif", gif(gif_frame(indices), palette=palette) + b"trailing bytes")
    add("gif-no-end-mark.gif", gif(gif_frame(indices), palette=palette)[:-1])
    add("gif-large-code-table.gif", gif(gif_frame(noise((70, 71)), ), palette=noise((256, 3)), size=(71, 70)))


# --------------------------------------------------------------------------------------------------------------------- BMP

def bmp(rows, bits, width, height, palette=b"", header=40, compression=0, masks=(), gap=0, top_down=False, colours=None, size=None,
        offset=None):
    """rows: the stored pixels; masks follow a header of 40 bytes and are part of a longer one."""
    masks = struct.pack(f"<{len(masks)}I", *masks)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits, compression,
                           len(rows) if size is None else size, 2835, 2835, len(palette) // 4 if colours is None else colours, 0)
        info += (masks if header > 40 else b"") + bytes(1000)
        info = info[:header] + (masks if header == 40 else b"")
    start = 14 + len(info) + len(palette) + gap
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start if offset is None else offset) + info + palette + bytes(gap) + rows


def bmp_rows(rows, top_down=False):
    """[rows, bytes], padded to 4 bytes, bottom row first."""
    rows = np.pad(rows.astype(np.uint8), ((0, 0), (0, -rows.shape[1] % 4)))
    return (rows if top_down else rows[::-1]).tobytes()


def words(levels, shifts, kind):
    return sum((levels[..., i].astype(np.uint64) << np.uint64(s)) for i, s in enumerate(shifts)).astype(kind).view(np.uint8).reshape(len(levels), -1)


def bmps():
    rgb = photo()
    for bits in (1, 4, 8):
        indices = noise((H, W), 1 << bits)
        colours = noise((1 << bits, 4)).astype(np.uint8)
        rows = packed(indices, bits)
        for header in (40, 52, 56, 64, 108, 124):
            twin = bmp(bmp_rows(rows), bits, W, H, colours.tobytes()) if header in (52, 56) else None  # Pillow 10.4 and later
            add(f"bmp-{bits}-header-{header}.bmp", bmp(bmp_rows(rows), bits, W, H, colours.tobytes(), header), twin)
        add(f"bmp-{bits}-header-12.bmp", bmp(bmp_rows(rows), bits, W, H, colours[:, :3].tobytes(), 12))
        add(f"bmp-{bits}-top-down.bmp", bmp(bmp_rows(rows, True), bits, W, H, colours.tobytes(), top_down=True))
        add(f"bmp-{bits}-colours-0.bmp", bmp(bmp_rows(rows), bits, W, H, colours.tobytes(), colours=0))
        add(f"bmp-{bits}-gap.bmp", bmp(bmp_rows(rows), bits, W, H, colours.tobytes(), gap=12))
        few = max((1 << bits) * 2 // 3, 1)
        add(f"bmp-{bits}-few-colours.bmp", bmp(bmp_rows(packed(indices % few, bits)), bits, W, H, colours[:few].tobytes()))
        black = np.pad(colours[:few], ((0, (1 << bits) - few), (0, 0)))  # Pillow 10.1 and later; it was a grey ramp before
        add(f"bmp-{bits}-too-few-colours.bmp", bmp(bmp_rows(rows), bits, W, H, colours[:few].tobytes()),
            twin=bmp(bmp_rows(rows), bits, W, H, black.tobytes()))
        grey = np.repeat(np.arange(1 << bits)[:, None] * (255 // ((1 << bits) - 1)), 4, 1).astype(np.uint8)
        add(f"bmp-{bits}-grey.bmp", bmp(bmp_rows(rows), bits, W, H, grey.tobytes()))
        add(f"bmp-{bits}-grey-reversed.bmp", bmp(bmp_rows(rows), bits, W, H, grey[::-1].tobytes()))
    for bits in (4, 8):  # Pillow reads the rows as if they were of one bit a pixel
        add(f"bmp-{bits}-black-and-white.bmp", bmp(bmp_rows(packed(noise((H, W), 2), bits)), bits, W, H, b"\0\0\0\0\xff\xff\xff\0"))
    ramp = np.repeat(np.arange(100)[:, None], 4, 1).astype(np.uint8).tobytes()
    add("bmp-8-grey-ramp.bmp", bmp(bmp_rows(noise((H, W), 100)), 8, W, H, ramp))
    add("bmp-8-grey-ramp-too-short.bmp", bmp(bmp_rows(noise((H, W))), 8, W, H, ramp))

    bgr = rgb[:, :, ::-1].reshape(H, -1)
    for header in (12, 40, 52, 56, 64, 108, 124):
        add(f"bmp-24-header-{header}.bmp", bmp(bmp_rows(bgr), 24, W, H, header=header), twin=bmp(bmp_rows(bgr), 24, W, H))
    add("bmp-24-top-down.bmp", bmp(bmp_rows(bgr, True), 24, W, H, top_down=True))
    add("bmp-24-palette.bmp", bmp(bmp_rows(bgr), 24, W, H, noise(64).astype(np.uint8).tobytes()))
    add("bmp-24-size-0.bmp", bmp(bmp_rows(bgr), 24, W, H, size=0))
    add("bmp-24-no-padding-at-end.bmp", bmp(bmp_rows(bgr), 24, W, H)[:-3])
    add("bmp-24-bytes-after-end.bmp", bmp(bmp_rows(bgr), 24, W, H) + b"trailing bytes")

    levels = noise((H, W, 3), 32)
    rows = words(levels, (10, 5, 0), "<u2")
    add("bmp-16.bmp", bmp(bmp_rows(rows), 16, W, H))
    add("bmp-16-unused-bit.bmp", bmp(bmp_rows(rows | np.tile([0, 128], W).astype(np.uint8)), 16, W, H))
    add("bmp-16-top-down.bmp", bmp(bmp_rows(rows, True), 16, W, H, top_down=True))
    more = words(noise((H, W, 3), [32, 64, 32]), (11, 5, 0), "<u2")
    for header in (40, 52, 56, 108, 124):
        for name, pixels, masks in (("555", rows, (0x7C00, 0x3E0, 0x1F)), ("565", more, (0xF800, 0x7E0, 0x1F))):
            add(f"bmp-16-{name}-header-{header}.bmp", bmp(bmp_rows(pixels), 16, W, H, header=header, compression=3, masks=masks),
                twin=bmp(bmp_rows(pixels), 16, W, H, compression=3, masks=masks))
    add("bmp-16-444.bmp", bmp(bmp_rows(words(noise((H, W, 3), 16), (8, 4, 0), "<u2")), 16, W, H, compression=3, masks=(0xF00, 0xF0, 0xF)))
    add("bmp-16-1555.bmp", bmp(bmp_rows(words(np.dstack([levels, noise((H, W), 2)]), (10, 5, 0, 15), "<u2")), 16, W, H,
                               header=108, compression=3, masks=(0x7C00, 0x3E0, 0x1F, 0x8000)))

    for name, alpha in (("", noise((H, W))), ("-alpha-0", np.zeros((H, W), int))):
        pixels = bmp_rows(np.dstack([rgb[:, :, ::-1], alpha]).reshape(H, -1))
        plain = bmp(pixels, 32, W, H)
        add(f"bmp-32{name}.bmp", plain)
        add(f"bmp-32{name}-header-124.bmp", bmp(pixels, 32, W, H, header=124))
        for header in (56, 108, 124):
            add(f"bmp-32{name}-masks-bgra-header-{header}.bmp", bmp(
                pixels, 32, W, H, header=header, compression=3, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)), twin=plain)
        for header in (40, 52):
            add(f"bmp-32{name}-masks-bgrx-header-{header}.bmp", bmp(
                pixels, 32, W, H, header=header, compression=3, masks=(0xFF0000, 0xFF00, 0xFF)), twin=plain)
    bgra = np.dstack([rgb[:, :, ::-1], noise((H, W))])
    add("bmp-32-top-down.bmp", bmp(bmp_rows(bgra.reshape(H, -1), True), 32, W, H, top_down=True))
    for name, order, masks in (("xbgr", (3, 0, 1, 2), (0xFF000000, 0xFF0000, 0xFF00, 0)),
                               ("abgr", (3, 0, 1, 2), (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
                               ("rgba", (2, 1, 0, 3), (0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
                               ("rgbx", (2, 1, 0, 3), (0xFF, 0xFF00, 0xFF0000, 0)),
                               ("none", (0, 1, 2, 3), (0, 0, 0, 0))):
        add(f"bmp-32-masks-{name}.bmp", bmp(bmp_rows(bgra[:, :, order].reshape(H, -1)), 32, W, H, header=108, compression=3, masks=masks))
    ten = words(noise((H, W, 3), 1024), (20, 10, 0), "<u4")
    add("bmp-32-masks-10-bits.bmp", bmp(bmp_rows(ten), 32, W, H, header=56, compression=3, masks=(0x3FF00000, 0xFFC00, 0x3FF, 0)))
    add("bmp-32-masks-scattered.bmp", bmp(bmp_rows(ten), 32, W, H, header=56, compression=3, masks=(0xF0F00000, 0xFF00, 0xFF, 0)))
    add("bmp-8-offset-0.bmp", bmp(bmp_rows(noise((H, W), 4)), 8, W, H, noise(16).astype(np.uint8).tobytes(), offset=0))
    add("bmp-8-offset-of-palette.bmp", bmp(bmp_rows(noise((H, W), 4)), 8, W, H, noise(16).astype(np.uint8).tobytes(), offset=54))

    # Run lengths: runs, literal pixels, steps, ends of lines; 10 x 6 pixels.
    colours = noise((256, 4)).astype(np.uint8).tobytes()
    sixteen = colours[:64]
    def line8(*literal):
        return bytes([3, 9, 2, 7, 0, len(literal), *literal]) + b"\0" * (len(literal) % 2) + b"\0\0"
    whole8 = line8(1, 2, 3, 4, 5) + line8(6, 7, 8, 9, 10) + line8(11, 12, 13, 14, 15) * 4 + b"\0\1"
    add("bmp-rle8.bmp", bmp(whole8, 8, 10, 6, colours, compression=1))
    add("bmp-rle8-no-end-mark.bmp", bmp(whole8[:-2], 8, 10, 6, colours, compression=1))
    add("bmp-rle8-odd-offset.bmp", bmp(whole8, 8, 10, 6, colours, compression=1, gap=1))
    rest = bytes([10, 5, 0, 0]) * 5 + b"\0\1"
    def twin(*first_lines, bits=8):
        lines = np.array([*first_lines, *[[5] * 10 if bits == 8 else [5, 7] * 5] * (6 - len(first_lines))])
        return bmp(bmp_rows(packed(lines, bits), True), bits, 10, 6, colours if bits == 8 else sixteen)
    add("bmp-rle8-short-line.bmp", bmp(bytes([4, 9, 0, 0]) + rest, 8, 10, 6, colours, compression=1))
    add("bmp-rle8-run-beyond-line.bmp", bmp(bytes([14, 9, 3, 4, 0, 0]) + rest, 8, 10, 6, colours, compression=1))
    step = [[9] * 4 + [0] * 6, [0] * 10, [0] * 7 + [6] * 2 + [0]]  # Pillow 12.2 and later
    add("bmp-rle8-step.bmp", bmp(bytes([4, 9, 0, 2, 3, 2, 2, 6, 0, 0]) + rest[8:], 8, 10, 6, colours, compression=1), twin(*step))
    add("bmp-rle8-ends-early.bmp", bmp(bytes([4, 9, 0, 0, 10, 5, 0, 1]), 8, 10, 6, colours, compression=1))
    add("bmp-rle8-top-down.bmp", bmp(whole8, 8, 10, 6, colours, compression=1, top_down=True))
    add("bmp-rle8-size-0.bmp", bmp(whole8, 8, 10, 6, colours, compression=1, size=0))
    grey = np.repeat(np.arange(256)[:, None], 4, 1).astype(np.uint8).tobytes()
    add("bmp-rle8-grey.bmp", bmp(whole8, 8, 10, 6, grey, compression=1))
    def line4(count, *literal):
        data = bytes([4, 0x95, 0, count, *literal])
        return data + b"\0" * (len(literal) % 2) + bytes([10 - 4 - count, 0x37]) + b"\0\0"
    add("bmp-rle4.bmp", bmp(line4(4, 0x12, 0x34) * 6 + b"\0\1", 4, 10, 6, sixteen, compression=2))
    line = [9, 5, 9, 5, 1, 2, 3, 4, 5, 3]  # Pillow after 12.3
    add("bmp-rle4-odd-literals.bmp", bmp(line4(5, 0x12, 0x34, 0x50) * 6 + b"\0\1", 4, 10, 6, sixteen, compression=2), twin(*[line] * 6, bits=4))
    add("bmp-rle4-runs-of-odd-length.bmp", bmp(bytes([3, 0x95, 7, 0x12, 0, 0]) * 6 + b"\0\1", 4, 10, 6, sixteen, compression=2))
    step = [[9, 5, 9, 5] + [0] * 6, [0] * 10, [0] * 7 + [6] * 2 + [0]]
    rest = bytes([10, 0x57, 0, 0]) * 3 + b"\0\1"
    add("bmp-rle4-step.bmp", bmp(bytes([4, 0x95, 0, 2, 3, 2, 2, 0x66, 0, 0]) + rest, 4, 10, 6, sixteen, compression=2), twin(*step, bits=4))


# -------------------------------------------------------------------------------------------------------------------- WebP

def riff(*chunks):
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def riff_chunks(data):
    position, found = 12, []
    while position < len(data):
        kind, length = data[position:position + 4], struct.unpack_from("<I", data, position + 4)[0]
        found.append((kind, data[position + 8:position + 8 + length]))
        position += 8 + length + length % 2
    return found


def three(number):
    return struct.pack("<I", number)[:3]


def extended(flags, *chunks, size=(W, H)):
    return riff((b"VP8X", bytes([flags, 0, 0, 0]) + three(size[0] - 1) + three(size[1] - 1)), *chunks)


def webp_frame(image, at=(0, 0), flags=0, **options):
    """flags: 1 dispose to background, 2 do not blend."""
    parts = [part for part in riff_chunks(saved(image, format="WEBP", **options)) if part[0] in (b"VP8 ", b"VP8L", b"ALPH")]
    head = three(at[0] // 2) + three(at[1] // 2) + three(image.width - 1) + three(image.height - 1) + three(100) + bytes([flags])
    return b"ANMF", head + riff(*parts)[12:]


def webps():
    rgb = photo()
    image = Image.fromarray(rgb)
    alpha = noise((H, W))
    alpha[:, :9] = 0
    rgba = Image.fromarray(np.dstack([rgb, alpha]).astype(np.uint8))
    for width, height in ((W, H), (1, 1), (16, 16), (3, 40), (97, 61)):
        add(f"webp-lossy-{width}x{height}.webp", saved(Image.fromarray(photo(width, height)), format="WEBP", quality=70))
    add("webp-lossy-quality-5.webp", saved(image, format="WEBP", quality=5))
    add("webp-lossy-quality-100.webp", saved(image, format="WEBP", quality=100, method=6))
    add("webp-lossless.webp", saved(image, format="WEBP", lossless=True))
    add("webp-lossless-few-colours.webp", saved(image.quantize(7).convert("RGB"), format="WEBP", lossless=True))
    add("webp-lossless-alpha.webp", saved(rgba, format="WEBP", lossless=True))
    add("webp-lossless-alpha-exact.webp", saved(rgba, format="WEBP", lossless=True, exact=True))
    add("webp-lossy-alpha.webp", saved(rgba, format="WEBP", quality=70))
    add("webp-lossy-alpha-exact.webp", saved(rgba, format="WEBP", quality=70, exact=True))
    add("webp-lossy-alpha-lossy.webp", saved(rgba, format="WEBP", quality=70, alpha_quality=30))
    add("webp-profile.webp", saved(image, format="WEBP", quality=70, icc_profile=wrong_profile()))
    add("webp-lossless-profile.webp", saved(image, format="WEBP", lossless=True, icc_profile=wrong_profile()))
    add("webp-exif-xmp.webp", saved(image, format="WEBP", quality=70, exif=exif(1), xmp=b"<x/>"))
    add("webp-bytes-after-end.webp", saved(image, format="WEBP", quality=70) + b"trailing bytes")
    add("webp-unknown-chunk.webp", extended(0, (b"abcd", b"123"), *riff_chunks(saved(image, format="WEBP", quality=70))))

    animation = (b"ANIM", struct.pack("<IH", 0xFF336699, 0))
    full, part = webp_frame(rgba, lossless=True, exact=True), rgba.crop((0, 0, 11, 9))
    add("webp-animated.webp", extended(0x12, animation, full, webp_frame(part, (4, 6), lossless=True)))
    add("webp-animated-lossy.webp", extended(0x02, animation, webp_frame(image, quality=70), webp_frame(image.rotate(180), quality=70)))
    add("webp-animated-lossy-alpha.webp", extended(0x12, animation, webp_frame(rgba, quality=70, exact=True), full))
    for flags in (0, 1, 2, 3):
        first = webp_frame(part, (4, 6), flags, lossless=True, exact=True)
        add(f"webp-animated-first-smaller-{flags}.webp", extended(0x12, animation, first, full))
    add("webp-animated-first-smaller-opaque.webp", extended(0x02, animation, webp_frame(image.crop((0, 0, 11, 9)), (4, 6), quality=70)))


# ------------------------------------------------------------------------------------------------------------- orientation

def orientations():
    rgb = photo(7, 5)
    image = Image.fromarray(rgb)
    jpeg, plain, webp = cjpeg(rgb, "-quality", "95"), rgb.astype(int), riff_chunks(saved(image, format="WEBP", lossless=True))
    def turned_jpeg(data):
        return with_segment(jpeg, 0xE1, b"Exif\0\0" + data)
    def turned_png(data):
        return png(plain, 2, 8, before=chunk(b"eXIf", data))
    def turned_webp(data):
        return extended(0x08, *webp, (b"EXIF", data), size=(7, 5))
    for kind, turned in (("jpeg.jpg", turned_jpeg), ("png.png", turned_png), ("webp.webp", turned_webp)):
        kind, suffix = kind.split(".")
        for orientation in range(1, 9):
            add(f"orientation-{kind}-{orientation}.{suffix}", turned(exif(orientation, "<>"[orientation % 2])))
        for name, data in (("0", exif(0)), ("9", exif(9)), ("long", exif(6, kind=4)), ("long-big-endian", exif(6, ">", kind=4)),
                           ("damaged", exif(6)[:20]), ("two-values", exif(6, count=2))):
            add(f"orientation-{kind}-{name}.{suffix}", turned(data))
        add(f"orientation-{kind}-prefix.{suffix}", turned(exif(6, prefix=b"Exif\0\0")), twin=turned(exif(6)))  # Pillow 10 and later
    add("orientation-png-after-data.png", png(plain, 2, 8, after=chunk(b"eXIf", exif(6))))
    hexadecimal = exif(6, prefix=b"Exif\0\0").hex().encode()
    profile = b"\nexif\n%8d\n" % (len(hexadecimal) // 2) + b"\n".join(hexadecimal[i:i + 72] for i in range(0, len(hexadecimal), 72)) + b"\n"
    add("orientation-png-raw-profile.png", png(plain, 2, 8, before=chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile))))
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    add("orientation-png-xmp.png", png(plain, 2, 8, before=chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)))
    add("orientation-jpeg-xmp.jpg", with_segment(jpeg, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp), twin=turned_jpeg(exif(6)))  # Pillow 11.3 and later
    add("orientation-webp-xmp.webp", extended(0x04, *webp, (b"XMP ", xmp), size=(7, 5)), twin=turned_webp(exif(6)))  # so, too
    add("orientation-png-xmp-element.png", png(plain, 2, 8, before=chunk(
        b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<tiff:Orientation>8</tiff:Orientation>")))
    add("orientation-png-exif-before-xmp.png", png(plain, 2, 8, before=chunk(b"eXIf", exif(3)) + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)))
    add("orientation-png-raw-profile-plain.png", png(plain, 2, 8, before=chunk(b"tEXt", b"Raw profile type exif\0" + profile)))
    add("orientation-jpeg-twice.jpg", with_segment(turned_jpeg(exif(3)), 0xE1, b"Exif\0\0" + exif(6)))
    add("orientation-webp-flag-missing.webp", extended(0, *webp, (b"EXIF", exif(6)), size=(7, 5)))


# --------------------------------------------------------------------------------------------------------------- expectation

def main():
    for make in (jpegs, pngs, gifs, bmps, webps, orientations):
        make()
    shutil.rmtree(FILES, ignore_errors=True)
    FILES.mkdir()
    tensors, refused = {}, {}
    def opened(name):
        return Image.open(io.BytesIO(twins.get(name, files[name])))

    for name, data in files.items():
        (FILES / name).write_bytes(data)
        try:
            tensors[name] = np.array(opened(name).convert("RGB"))
            if name.startswith("orientation-"):
                tensors["exif_applied." + name] = np.array(ImageOps.exif_transpose(opened(name)).convert("RGB"))
        except Exception as error:
            refused[name] = re.sub(" <.*>", "", f"{type(error).__name__}: {error}")
            continue
        if name not in twins:
            assert np.array_equal(tensors[name], np.array(Image.open(FILES / name).convert("RGB"))), name  # with memory-mapping
    header, body = {"__metadata__": {"Pillow": Image.__version__}}, b""
    for name, pixels in tensors.items():
        header[name] = {"dtype": "U8", "shape": list(pixels.shape), "data_offsets": [len(body), len(body) + pixels.nbytes]}
        body += pixels.tobytes()
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    (HERE / "expected.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + body)
    for name, error in refused.items():
        print(f"refused by Pillow: {name}: {error}")
    print(f"{len(files)} files, {sum(map(len, files.values())):,} bytes; {len(tensors)} expectations, {len(body):,} bytes")


main()
