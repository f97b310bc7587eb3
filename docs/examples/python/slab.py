"""Reads slabs, the model files of Quarterturn, with numpy alone, and runs them.

    import slab
    s = slab.read('model.slab')
    s.labels, s.modes, s.tensors['stem.weight'].shape
    answer = s.classify(rgb, mode='aggregated')     # uint8 (height, width, 3 or 4)
    answer.logits, answer.probabilities, s.labels[answer.logits.argmax()]

    net = s.torch()                                 # an nn.Module of its features, if torch is there

or on the command line, with Pillow: python3 slab.py model.slab picture.png

This one file is all there is: copy it to where you need it. It follows docs/format.md. It
checks every hash. The input is computed to the bit; logits agree with the other engines
to rounding, since numpy sums in another order.
"""
import hashlib
import struct
from collections import namedtuple

import numpy as np

MAGIC, VERSION, PREFIX, ALIGN = b'\x89QTS\r\n\x1a\n', 1, 64, 64
MAX_MANIFEST = 4 << 20

Answer = namedtuple('Answer', 'logits probabilities passes')


class SlabError(ValueError):
    """The file is not a slab, is damaged, or is of a newer version."""


def read(path):
    """Returns the Slab in a file."""
    with open(path, 'rb') as f:
        return decode(f.read())


def decode(b):
    """Returns the Slab in bytes."""
    if b[:8] != MAGIC:
        raise SlabError('not a slab: it does not begin with the magic bytes')
    if len(b) < PREFIX:
        raise SlabError('the slab is cut off')
    version, length, data_length = struct.unpack_from('<IIQ', b, 8)
    if version != VERSION:
        raise SlabError(f'a slab of version {version}; this reader knows {VERSION}')
    start = _align(PREFIX + length)
    if length > MAX_MANIFEST or len(b) != start + data_length or any(b[24:32]) or any(b[PREFIX + length:start]):
        raise SlabError('the slab is damaged: its lengths do not add up')
    if hashlib.sha256(b[:32] + b[PREFIX:PREFIX + length]).digest() != b[32:64]:
        raise SlabError('the slab is damaged: the hash of its manifest differs')
    manifest, end = _msgpack(b, PREFIX)
    if end != PREFIX + length:
        raise SlabError('the slab is damaged: something follows its manifest')
    tensors, at = {}, 0
    for t in manifest['tensors']:
        size = 4 * int(np.prod(t['shape']))
        if t['offset'] != _align(at) or t['offset'] + size > data_length:
            raise SlabError(f"the slab is damaged: tensor {t['name']} is out of place")
        at = t['offset'] + size
        part = b[start + t['offset']:start + at]
        if hashlib.sha256(part).digest() != t['sha256']:
            raise SlabError(f"the slab is damaged: the hash of tensor {t['name']} differs")
        tensors[t['name']] = np.frombuffer(part, '<f4').reshape(t['shape'])
    return Slab(manifest, tensors, b[32:64].hex())


def _align(n):
    return (n + ALIGN - 1) // ALIGN * ALIGN


def _msgpack(b, i):
    """Returns the MessagePack value at b[i] and where it ends; those kinds that a slab has."""
    def integer(n):
        return int.from_bytes(b[i + 1:i + 1 + n], 'big'), i + 1 + n

    tag = b[i]
    if tag < 0x80:
        return tag, i + 1
    if tag < 0x90 or tag in (0xde, 0xdf):
        n, i = (tag & 15, i + 1) if tag < 0x90 else integer(2 << (tag - 0xde))
        out = {}
        for _ in range(n):
            key, i = _msgpack(b, i)
            out[key], i = _msgpack(b, i)
        return out, i
    if tag < 0xa0 or tag in (0xdc, 0xdd):
        n, i = (tag & 15, i + 1) if tag < 0xa0 else integer(2 << (tag - 0xdc))
        out = []
        for _ in range(n):
            v, i = _msgpack(b, i)
            out.append(v)
        return out, i
    if tag < 0xc0 or 0xd9 <= tag <= 0xdb:
        n, i = (tag & 31, i + 1) if tag < 0xc0 else integer(1 << (tag - 0xd9))
        return b[i:i + n].decode(), i + n
    if 0xc4 <= tag <= 0xc6:
        n, i = integer(1 << (tag - 0xc4))
        return b[i:i + n], i + n
    if tag in (0xc2, 0xc3):
        return tag == 0xc3, i + 1
    if tag == 0xca:
        return np.float32(struct.unpack_from('>f', b, i + 1)[0]), i + 5
    if tag == 0xcb:
        return struct.unpack_from('>d', b, i + 1)[0], i + 9
    if 0xcc <= tag <= 0xcf:
        return integer(1 << (tag - 0xcc))
    raise SlabError(f'the slab is damaged: MessagePack type {tag:#x} in its manifest')


class Slab:
    """A model: manifest (a dict as docs/format.md has it), tensors by name, hash."""

    def __init__(self, manifest, tensors, hash):
        self.manifest, self.tensors, self.hash = manifest, tensors, hash
        self.labels, self.views = manifest['labels'], manifest['transforms']
        self.heads = {h['kind']: h for h in manifest['heads']}

    @property
    def modes(self):
        """The modes that the slab has."""
        kinds = [('baseline', 'class'), ('single', 'joint'), ('aggregated', 'joint'), ('distilled', 'distilled')]
        return [m for m, kind in kinds if kind in self.heads] + ['adaptive'] * ('exits' in self.manifest)

    def classify(self, pixels, mode='auto'):
        """Returns the Answer of a mode for an image, uint8 (height, width, 3 or 4), RGB or RGBA."""
        return self.run(self.preprocess(pixels), mode)

    def preprocess(self, pixels):
        """Returns the net's input, float32 (C, H, W), of an image: exactly what the others compute."""
        v = np.asarray(pixels)
        if v.dtype != np.uint8 or v.ndim != 3 or v.shape[2] not in (3, 4) or 0 in v.shape:
            raise ValueError(f'an image of {v.dtype} {v.shape}; want uint8 (height, width, 3 or 4)')
        v = v.astype(np.int64)
        if v.shape[2] == 4:
            v = (v[:, :, :3] * v[:, :, 3:] + 127) // 255
        to = self.manifest['input']
        if to['channels'] == 1:
            v = (v @ np.array([19595, 38470, 7471]) + 32768)[:, :, None] // 65536
        h, w, H, W = v.shape[0], v.shape[1], to['height'], to['width']
        if w * H >= h * W:
            ch, cw = h, max(1, (2 * h * W + H) // (2 * H))
        else:
            ch, cw = max(1, (2 * w * H + W) // (2 * W)), w
        y, x = (h - ch) // 2, (w - cw) // 2
        v = v[y:y + ch, x:x + cw]
        line = (np.einsum('oi,yic->yoc', _weights(cw, W), v) + 128) // 256
        v = (np.einsum('py,yoc->cpo', _weights(ch, H), line) + (1 << 23)) >> 24
        mean, std = (np.array(to[k], np.float32)[:, None, None] for k in ('mean', 'std'))
        return (v.astype(np.float32) / np.float32(255) - mean) / std

    def run(self, x, mode='auto'):
        """Returns the Answer of a mode for a normalised input, float32 (C, H, W)."""
        if mode == 'auto':
            mode = self.manifest['recommended']
        if mode not in self.modes:
            raise ValueError(f"this slab does not have the mode {mode}; it has {', '.join(self.modes)}")
        if mode == 'adaptive':
            return self._adaptive(x)
        kind = {'baseline': 'class', 'distilled': 'distilled'}.get(mode, 'joint')
        passes = len(self.views) if mode == 'aggregated' else 1
        logits = self._mean(x, passes) if kind == 'joint' else self.head(kind, self.features(x))
        temperature = next((m['temperature'] for m in self.manifest['metrics'] if m['mode'] == mode and 'temperature' in m), np.float32(1))
        return Answer(logits, _softmax(logits / temperature), passes)

    def _adaptive(self, x):
        for k, e in enumerate(self.manifest['exits'], 1):
            logits = self.head('distilled', self.features(x)) if k == 1 else self._mean(x, k)
            second, first = np.sort(np.append(logits, -np.inf))[-2:]
            if k == len(self.views) or first - second >= e['margin']:
                return Answer(logits, _softmax(logits / e['temperature']), k)

    def _mean(self, x, views):
        """The mean of the joint head's logits over views, each with its own outputs."""
        return sum(self.head('joint', self.features(self.view(x, j)))[j::len(self.views)] for j in range(views)) / np.float32(views)

    def view(self, x, j):
        """Returns view j of an input: turned counter-clockwise, then its channels permuted."""
        t = self.views[j]
        return np.rot90(x, t['turns'], (1, 2))[t['channels']]

    def head(self, kind, z):
        """Returns the outputs of a head on features."""
        out = self.tensors[kind + '.weight'] @ z + self.tensors[kind + '.bias']
        scale = self.heads[kind].get('scale', 0)
        return out / max(np.float32(1e-12), np.sqrt((z * z).sum())) * np.float32(scale) if scale else out

    def features(self, x):
        """Returns the features of an input, float32 (F)."""
        values = [np.ascontiguousarray(x)]
        for l in self.manifest['layers']:
            v = values[l['input']]
            if l['op'] == 'conv':
                v = _conv(v, self.tensors[l['name'] + '.weight'], l['stride']) + self.tensors[l['name'] + '.bias'][:, None, None]
                if l['residual']:
                    v = v + values[l['residual']]
                if l['relu']:
                    v = np.maximum(v, 0)
            elif l['op'] == 'shortcut':
                v = v[:, ::l['stride'], ::l['stride']]
                v = np.concatenate([v, np.zeros((l['out'] - len(v),) + v.shape[1:], np.float32)])
            elif l['op'] == 'max':
                v = _windows(v, l['kernel'], l['stride'], -np.inf).max((3, 4))
            else:
                v = v.mean((1, 2))
            values.append(v)
        return values[-1]

    def torch(self):
        """Returns an nn.Module with the slab's weights: (N, C, H, W) to features (N, F), to go on training with."""
        import torch
        from torch import nn
        from torch.nn import functional as F
        layers = self.manifest['layers']

        class Net(nn.Module):
            def __init__(net):
                super().__init__()
                net.convs = nn.ModuleDict()
                for i, l in enumerate(layers):
                    if l['op'] == 'conv':
                        w, b = (torch.tensor(self.tensors[l['name'] + part]) for part in ('.weight', '.bias'))
                        conv = nn.Conv2d(w.shape[1], w.shape[0], l['kernel'], l['stride'], l['kernel'] // 2)
                        conv.weight.data, conv.bias.data = w, b
                        net.convs[str(i)] = conv

            def forward(net, x):
                values = [x]
                for i, l in enumerate(layers):
                    v = values[l['input']]
                    if l['op'] == 'conv':
                        v = net.convs[str(i)](v)
                        v = v + values[l['residual']] if l['residual'] else v
                        v = F.relu(v) if l['relu'] else v
                    elif l['op'] == 'shortcut':
                        v = v[:, :, ::l['stride'], ::l['stride']]
                        v = F.pad(v, (0, 0, 0, 0, 0, l['out'] - v.shape[1]))
                    elif l['op'] == 'max':
                        v = F.max_pool2d(v, l['kernel'], l['stride'], (l['kernel'] - 1) // 2)
                    else:
                        v = v.mean((2, 3))
                    values.append(v)
                return values[-1]

        return Net().eval()


def _weights(n, m):
    """The integer weights, (m, n), with which n samples become m."""
    i, o = np.arange(n, dtype=np.int64), np.arange(m, dtype=np.int64)[:, None]
    tents = np.maximum(0, 2 * max(n, m) - abs((2 * i + 1) * m - (2 * o + 1) * n))
    total = tents.sum(1, keepdims=True)
    rounded = (np.cumsum(tents, 1) * (1 << 17) + total) // (2 * total)
    return np.diff(rounded, axis=1, prepend=0)


def _windows(v, kernel, stride, fill):
    """The windows of v (C, H, W) around every stride-th pixel: (C, H', W', kernel, kernel)."""
    p = (kernel - 1) // 2
    v = np.pad(v, ((0, 0), (p, p), (p, p)), constant_values=np.float32(fill))
    return np.lib.stride_tricks.sliding_window_view(v, (kernel, kernel), (1, 2))[:, ::stride, ::stride]


def _conv(v, w, stride):
    windows = _windows(v, w.shape[2], stride, 0)
    c, h, wide = windows.shape[:3]
    columns = windows.transpose(0, 3, 4, 1, 2).reshape(-1, h * wide)
    return (w.reshape(len(w), -1) @ columns).reshape(len(w), h, wide)


def _softmax(logits):
    e = np.exp(logits.astype(np.float64) - logits.max())
    return (e / e.sum()).astype(np.float32)


if __name__ == '__main__':
    import sys
    if len(sys.argv) < 3:
        sys.exit('usage: slab.py SLAB PICTURE...')
    from PIL import Image, ImageOps
    model = read(sys.argv[1])
    for name in sys.argv[2:]:
        answer = model.classify(np.asarray(ImageOps.exif_transpose(Image.open(name)).convert('RGBA')))
        best = answer.probabilities.argsort()[::-1][:5]
        print(name + ':', ', '.join(f'{model.labels[i]} {100 * answer.probabilities[i]:.1f} %' for i in best))
