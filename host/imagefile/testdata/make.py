#!/usr/bin/python3
"""Makes the picture files of this folder and expected.json, which has the size and the SHA-256 of
each file's pixels (RGBA, straight alpha, rows from the top) as Pillow reads them. Run it here:

    python3 make.py

It was run with Pillow 9.4 and cjpeg over libjpeg-turbo 2.1.5 and libwebp 1.2.4. Bytes of JPEG and WebP
files depend on the encoders' versions; what a file means does not."""
import hashlib, io, json, struct, subprocess, zlib
import numpy as np
from PIL import Image, ImageOps

rng = np.random.default_rng(7)
expected = {}


def scene(w, h, channels=3):
    """Smooth colours, hard edges and some noise."""
    y, x = np.mgrid[0:h, 0:w]
    planes = []
    for c in range(channels):
        p = 127 + 120 * np.sin(x / (3.0 + 2 * c) + c) * np.cos(y / (5.0 - c) + 2 * c)
        p = np.where((x * 3 + y * (c + 2)) % 31 < 6, 255 * ((x + y + c) % 2), p)
        planes.append(p + rng.normal(0, 6, (h, w)))
    return np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)


def meant(data, transpose=True):
    """The pixels of a file, by Pillow."""
    im = Image.open(io.BytesIO(data))
    im.load()
    if im.mode.startswith('I'):  # 16-bit grey, which Pillow would clip instead of scale
        im = Image.fromarray((np.asarray(im).astype(np.int64) >> 8).astype(np.uint8))
    if transpose:
        im = ImageOps.exif_transpose(im)
    if im.mode == 'CMYK':
        im = im.convert('RGB')
    rgba = np.array(im.convert('RGBA'))
    if data[:3] == b'GIF':
        rgba[rgba[..., 3] == 0] = 0  # where Pillow keeps the colour that nobody sees
    return rgba


def add(name, data, pixels=None, transpose=True):
    if pixels is None:
        pixels = meant(data, transpose)
    with open(name, 'wb') as f:
        f.write(data)
    expected[name] = {'width': pixels.shape[1], 'height': pixels.shape[0],
                      'sha256': hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()}


def encode(im, fmt, **kw):
    if isinstance(im, np.ndarray):
        im = Image.fromarray(im[..., 0] if im.shape[-1] == 1 else im)
    b = io.BytesIO()
    im.save(b, fmt, **kw)
    return b.getvalue()


def tiff(orientation, big, filler=3):
    """An EXIF block whose first directory has other entries around the orientation."""
    o = '>' if big else '<'
    entries = [struct.pack(o + 'HHI', 0x0100 + i, 4, 1) + struct.pack(o + 'I', 99) for i in range(filler)]
    entries.append(struct.pack(o + 'HHI', 0x0112, 3, 1) + struct.pack(o + 'HH', orientation, 0))
    entries.append(struct.pack(o + 'HHI', 0x0128, 3, 1) + struct.pack(o + 'HH', 2, 0))
    return (b'MM\0*' if big else b'II*\0') + struct.pack(o + 'I', 8) + struct.pack(o + 'H', len(entries)) + b''.join(entries) + b'\0\0\0\0'


def chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def png(samples, colour, depth, before=b'', after=b''):
    """A PNG of rows of samples as they are stored, without filters."""
    h, w = samples.shape[:2]
    raw = b''.join(b'\0' + (samples[y].astype('>u2') if depth == 16 else samples[y]).tobytes() for y in range(h))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, depth, colour, 0, 0, 0)) + before +
            chunk(b'IDAT', zlib.compress(raw)) + after + chunk(b'IEND', b''))


# JPEG: sampling, sizes, progressive, restart markers, colour spaces.
for w, h in [(37, 29), (16, 16), (1, 1), (3, 5), (5, 3), (17, 2), (2, 17)]:
    for sampling, name in [(0, '444'), (1, '422'), (2, '420')]:
        add(f'{name}-{w}x{h}.jpg', encode(scene(w, h), 'JPEG', quality=80, subsampling=sampling))
for quality in [5, 50, 100]:
    add(f'quality{quality}.jpg', encode(scene(33, 41), 'JPEG', quality=quality))
add('progressive444.jpg', encode(scene(43, 35), 'JPEG', quality=85, subsampling=0, progressive=True))
add('progressive420.jpg', encode(scene(43, 35), 'JPEG', quality=60, progressive=True))
add('grey.jpg', encode(scene(21, 30, 1), 'JPEG', quality=70))
add('grey-progressive.jpg', encode(scene(21, 30, 1), 'JPEG', quality=70, progressive=True))
add('cmyk.jpg', encode(Image.fromarray(scene(19, 23, 4), 'CMYK'), 'JPEG', quality=80))
add('optimised.jpg', encode(scene(40, 24), 'JPEG', quality=40, optimize=True))


def libjpeg(pixels, args):
    """A JPEG by cjpeg, for what Pillow's encoder cannot be told."""
    h, w = pixels.shape[:2]
    kind = b'P5' if pixels.shape[-1] == 1 else b'P6'
    return subprocess.run(['cjpeg', *args], input=kind + b'\n%d %d\n255\n' % (w, h) + pixels.tobytes(), stdout=subprocess.PIPE, check=True).stdout


for sample in ['1x2', '4x1', '2x1,1x2,1x1', '4x2', '2x2,2x1,1x2', '1x4']:
    add(f'sample-{sample.replace(",", "-")}.jpg', libjpeg(scene(45, 39), ['-sample', sample]))
add('restart.jpg', libjpeg(scene(61, 37), ['-restart', '3B']))
add('restart-rows-progressive.jpg', libjpeg(scene(61, 37), ['-restart', '1', '-progressive']))
add('rgb.jpg', libjpeg(scene(20, 20), ['-rgb']))
add('grey-2x2.jpg', libjpeg(scene(27, 13, 1), ['-sample', '2x2']))

# EXIF orientation, in JPEG and PNG and both byte orders; WebP's is ignored.
for o in range(1, 9):
    add(f'exif{o}.jpg', encode(scene(26, 17), 'JPEG', quality=75, exif=b'Exif\0\0' + tiff(o, o % 2 == 0)))
    add(f'exif{o}.png', png(scene(11, 6), 2, 8, before=chunk(b'eXIf', tiff(o, o % 2 == 1))))
add('exif6.webp', encode(scene(26, 17), 'WEBP', quality=70, exif=b'Exif\0\0' + tiff(6, True)), transpose=False)
add('exif6-lossless.webp', encode(scene(16, 7), 'WEBP', lossless=True, exif=b'Exif\0\0' + tiff(6, True)), transpose=False)

# WebP.
for w, h in [(37, 29), (36, 30), (1, 1), (2, 1), (1, 3), (17, 16)]:
    add(f'lossy-{w}x{h}.webp', encode(scene(w, h), 'WEBP', quality=75))
bw = np.zeros((16, 24, 3), np.uint8)
bw[:, 12:] = 255
add('black-white.webp', encode(bw, 'WEBP', quality=90))
for method in [0, 6]:
    add(f'lossy-alpha{method}.webp', encode(scene(33, 27, 4), 'WEBP', quality=60, method=method))
add('lossless.webp', encode(scene(30, 21), 'WEBP', lossless=True))
add('lossless-alpha.webp', encode(scene(30, 21, 4), 'WEBP', lossless=True, exact=True))

# PNG: every colour type and depth, transparency, interlacing.
add('rgb.png', encode(scene(20, 13), 'PNG'))
add('rgba.png', encode(scene(20, 13, 4), 'PNG'))
add('grey.png', encode(scene(20, 13, 1), 'PNG'))
add('grey-alpha.png', png(scene(20, 13, 2), 4, 8))
add('palette.png', encode(Image.fromarray(scene(20, 13)).quantize(200), 'PNG'))
add('palette4.png', encode(Image.fromarray(scene(20, 13)).quantize(11), 'PNG', bits=4))
add('bits1.png', encode(Image.fromarray(scene(21, 13, 1)[..., 0]).convert('1'), 'PNG'))
p = Image.fromarray(scene(20, 13)).quantize(50)
add('palette-alpha.png', encode(p, 'PNG', transparency=bytes(range(0, 250, 5))))
add('grey-key.png', encode(scene(20, 13, 1), 'PNG', transparency=127))
key = scene(20, 13)
key[3:7, 4:9] = (1, 200, 3)
add('rgb-key.png', encode(key, 'PNG', transparency=(1, 200, 3)))
deep = lambda channels: (rng.integers(0, 65536, (9, 14, channels))).astype(np.uint16)
d = deep(1)
add('grey16.png', png(d, 0, 16), np.dstack([d >> 8] * 3 + [np.full_like(d, 255)]).astype(np.uint8))
add('rgb16.png', png(deep(3), 2, 16))
d = deep(2)
add('grey-alpha16.png', png(d, 4, 16), (np.dstack([d[..., :1]] * 3 + [d[..., 1:]]) >> 8).astype(np.uint8))
d = deep(4)
add('rgba16.png', png(d, 6, 16), (d >> 8).astype(np.uint8))
assert (meant(png(d, 6, 16)) == (d >> 8)).all()
colour = chunk(b'gAMA', struct.pack('>I', 100000)) + chunk(b'cHRM', struct.pack('>8I', 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000))
add('gamma.png', png(scene(20, 13), 2, 8, before=colour))


def interlaced(samples):
    h, w = samples.shape[:2]
    raw = b''
    for x0, y0, dx, dy in [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]:
        part = samples[y0::dy, x0::dx]
        if part.size:
            raw += b''.join(b'\0' + part[y].tobytes() for y in range(part.shape[0]))
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', w, h, 8, 6, 0, 0, 1)) + chunk(b'IDAT', zlib.compress(raw)) + chunk(b'IEND', b''))


add('interlaced.png', interlaced(scene(21, 14, 4)))

# GIF: the first frame, on its screen.
add('plain.gif', encode(Image.fromarray(scene(24, 18)).quantize(100), 'GIF'))
frames = [Image.fromarray(scene(24, 18)).quantize(64) for _ in range(3)]
add('animated.gif', encode(frames[0], 'GIF', save_all=True, append_images=frames[1:]))
add('key.gif', encode(frames[0], 'GIF', transparency=3))


def moved(data, width, height, x, y):
    """A GIF whose one frame is moved on a screen of another size."""
    data = bytearray(data)
    struct.pack_into('<HH', data, 6, width, height)
    at = 13 + (3 << (1 + (data[10] & 7)))
    while data[at] == 0x21:
        at += 2
        while data[at]:
            at += 1 + data[at]
        at += 1
    struct.pack_into('<HH', data, at + 1, x, y)
    return bytes(data)


small = encode(Image.fromarray(scene(9, 7)).quantize(16), 'GIF')
frame = meant(small)
screen = np.zeros((20, 30, 4), np.uint8)
screen[5:12, 8:17] = frame
add('part-of-screen.gif', moved(small, 30, 20, 8, 5), screen)
screen = np.zeros((12, 17, 4), np.uint8)
screen[5:12, 8:17] = frame
add('beyond-screen.gif', moved(small, 4, 4, 8, 5), screen)

# More rows of MCUs than are kept. (New files come last: all before draw from the same random numbers.)
for sample in ['2x2', '1x1', '1x2', '2x1']:
    add(f'progressive-tall-{sample}.jpg', libjpeg(scene(19, 131), ['-progressive', '-sample', sample, '-quality', '50']))

# PNG with flaws that browsers and Pillow pass over. Where Pillow refuses a file, the pixels are those
# without the flaw; of two tRNS Chromium takes the first, Pillow the last.
sound = scene(20, 13)
indexed = Image.fromarray(scene(20, 13)).quantize(16)
palette, indices = bytes(indexed.getpalette())[:48], np.asarray(indexed)
packed = (indices[:, 0::2] << 4 | indices[:, 1::2]).astype(np.uint8)


def palette4(before, after=b''):
    raw = b''.join(b'\0' + row.tobytes() for row in packed)
    return (b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', 20, 13, 4, 3, 0, 0, 0)) + before +
            chunk(b'IDAT', zlib.compress(raw)) + after + chunk(b'IEND', b''))


alpha = chunk(b'tRNS', bytes(range(0, 160, 10)))
add('flaw-palette-too-long.png', palette4(chunk(b'PLTE', palette + bytes(range(60)))))
add('flaw-trns-behind-pixels.png', palette4(chunk(b'PLTE', palette), after=alpha))
add('flaw-trns-before-palette.png', palette4(alpha + chunk(b'PLTE', palette)))
add('flaw-trns-too-long.png', palette4(chunk(b'PLTE', palette) + chunk(b'tRNS', bytes(range(0, 170, 10)))))
add('flaw-trns-twice.png', palette4(chunk(b'PLTE', palette) + alpha + chunk(b'tRNS', bytes(16))), meant(palette4(chunk(b'PLTE', palette) + alpha)))
add('flaw-trns-of-rgba.png', png(scene(20, 13, 4), 6, 8, before=chunk(b'tRNS', bytes(6))))
add('flaw-trns-short.png', png(sound, 2, 8, before=chunk(b'tRNS', bytes(5))), meant(png(sound, 2, 8)))
add('grey-flaw-palette.png', png(scene(20, 13, 1), 0, 8, before=chunk(b'PLTE', bytes(48))))
damaged = bytearray(chunk(b'tEXt', b'Comment\0hello'))
damaged[-1] ^= 1
add('flaw-text-checksum.png', png(sound, 2, 8, before=bytes(damaged)), meant(png(sound, 2, 8)))
add('flaw-text-checksum-behind.png', png(sound, 2, 8, after=bytes(damaged)))
add('flaw-end-with-content.png', png(sound, 2, 8)[:-12] + chunk(b'IEND', b'bye'))

# JPEG: the Huffman tables left out, as in Motion JPEG, and kinds of CMYK that Adobe has not numbered.


def segments(data):
    """The markers in front of the first scan, each with what belongs to it, and the rest."""
    at, parts = 2, []
    while data[at + 1] != 0xda:
        end = at + 2 + int.from_bytes(data[at + 2:at + 4], 'big')
        parts.append(data[at:end])
        at = end
    return parts, data[at:]


parts, rest = segments(encode(Image.fromarray(scene(40, 24)), 'JPEG', quality=70))
whole = b''.join([b'\xff\xd8', *parts, rest])
add('without-tables.jpg', b''.join([b'\xff\xd8', *(p for p in parts if p[1] != 0xc4), rest]), meant(whole))
parts, rest = segments(encode(Image.fromarray(scene(19, 23, 4), 'CMYK'), 'JPEG', quality=80))
for transform in (1, 2, 3):
    adobe = [p[:15] + bytes([transform]) if p[1] == 0xee else p for p in parts]
    add(f'cmyk-transform{transform}.jpg', b''.join([b'\xff\xd8', *adobe, rest]))

with open('expected.json', 'w') as f:
    json.dump(expected, f, indent=1, sort_keys=True)
    f.write('\n')
