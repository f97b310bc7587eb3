"""Writes the fixtures of format/convert: small ResNets with random weights as safetensors
and ONNX, and PyTorch's logits for an image. Needs torch (1.13 was used) and numpy:

    python3 make.py
"""
import json
import os
import struct
import sys

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../formattest"))
from lcg import noise  # noqa: E402


class Basic(nn.Module):
    expansion = 1

    def __init__(self, cin, width, stride, option, names):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.short = [shortcut(self, cin, width, stride, option, names)]  # in a list: not a module of its own

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.short[0](x))


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, cin, width, stride, option, names):
        super().__init__()
        self.conv1 = nn.Conv2d(cin, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.short = [shortcut(self, cin, 4 * width, stride, option, names)]

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.short[0](x))


def shortcut(block, cin, cout, stride, option, names):
    """The shortcut as a function; its weights, if any, under torchvision's or another name."""
    if cin == cout and stride == 1:
        return lambda x: x
    if option == 'both':
        extra = cout - cin
        return lambda x: F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, extra // 2, extra - extra // 2))
    if option == 'end':
        return lambda x: F.pad(x[:, :, ::stride, ::stride], (0, 0, 0, 0, 0, cout - cin))
    module = nn.Sequential(nn.Conv2d(cin, cout, 1, stride, bias=False), nn.BatchNorm2d(cout))
    setattr(block, names['short'], module)
    return module


class ResNet(nn.Module):
    def __init__(self, block, widths, blocks, stem, classes, option='conv', channels=3, names=None):
        super().__init__()
        self.names = names or {'short': 'downsample', 'fc': 'fc'}
        self.conv1 = nn.Conv2d(channels, widths[0], stem, 2 if stem == 7 else 1, stem // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.large, self.layers = stem == 7, len(widths)
        cin = widths[0]
        for i, (w, n) in enumerate(zip(widths, blocks)):
            stage = []
            for k in range(n):
                stage.append(block(cin, w, 2 if i > 0 and k == 0 else 1, option, self.names))
                cin = w * block.expansion
            setattr(self, f'layer{i + 1}', nn.Sequential(*stage))
        setattr(self, self.names['fc'], nn.Linear(cin, classes))

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        if self.large:
            x = F.max_pool2d(x, 3, 2, 1)
        for i in range(self.layers):
            x = getattr(self, f'layer{i + 1}')(x)
        return getattr(self, self.names['fc'])(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class PreAct(nn.Module):
    """What only an ONNX file can say: pre-activation, 2x2 pooling, a convolution with a bias."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 5, 1, 2)
        self.bn1, self.conv1 = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, 1, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(6), nn.Conv2d(6, 6, 3, 1, 1)
        self.bn3 = nn.BatchNorm2d(6)
        self.fc = nn.Linear(6, 3, bias=False)

    def forward(self, x):
        x = F.max_pool2d(self.stem(x), 2)
        x = x + self.conv2(F.relu(self.bn2(self.conv1(F.relu(self.bn1(x))))))
        x = x + F.relu(x)
        return F.softmax(self.fc(F.relu(self.bn3(x)).mean((2, 3))), 1)


def safetensors(path, tensors, half=()):
    header, data = {'__metadata__': {'format': 'pt'}}, b''
    for name, t in tensors.items():
        t = t.half() if name in half else t
        kind, a = {torch.float16: 'F16', torch.float32: 'F32', torch.int64: 'I64'}[t.dtype], t.numpy()
        raw = np.ascontiguousarray(a).tobytes()
        header[name] = {'dtype': kind, 'shape': list(t.shape), 'data_offsets': [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    open(path, 'wb').write(struct.pack('<Q', len(text)) + text + data)


def lcg(n):
    """The bytes that Go's test makes too."""
    return np.frombuffer(noise(5, n), np.uint8)


def randomise(net):
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.weight.data.uniform_(.5, 1.5)
            m.bias.data.normal_(0, .3)
            m.running_mean.normal_(0, .3)
            m.running_var.uniform_(.5, 2)
    return net.eval()


torch.manual_seed(1)
other = {'short': 'shortcut', 'fc': 'linear'}
nets = {
    'basic': (ResNet(Basic, [4, 6, 8, 10], [2, 1, 1, 1], 7, 5), 40, ''),
    'bottleneck': (ResNet(Bottleneck, [3, 4], [1, 2], 7, 4), 32, ''),
    'cifar': (ResNet(Basic, [4, 8, 8], [1, 2, 1], 3, 4, 'both'), 16, 'both'),
    'end': (ResNet(Basic, [4, 6], [1, 1], 3, 4, 'end', channels=1), 12, 'end'),
    'other': (ResNet(Basic, [4, 6], [1, 1], 3, 4, names=other), 12, ''),
    'preact': (PreAct(), 15, ''),
}
want = {}
for name, (net, size, pad) in nets.items():
    randomise(net)
    channels = next(net.parameters()).shape[1]
    if name == 'end':  # some weights in half precision
        for key, v in net.state_dict().items():
            if key.endswith('conv1.weight'):
                v.copy_(v.half().float())
    rgba = torch.tensor(lcg(size * size * 4).reshape(size, size, 4).astype(np.float32)).permute(2, 0, 1)
    levels = rgba[:3] if channels == 3 else torch.floor((19595 * rgba[0] + 38470 * rgba[1] + 7471 * rgba[2] + 32768) / 65536)[None]
    mean = torch.tensor([.485, .456, .406][:channels])[:, None, None]
    std = torch.tensor([.229, .224, .225][:channels])[:, None, None]
    x = ((levels / 255 - mean) / std)[None]
    with torch.no_grad():
        y = net(x)
    want[name] = {'size': size, 'pad': pad, 'channels': channels, 'softmax': name == 'preact', 'logits': y[0].tolist()}
    if name != 'preact':
        state = net.state_dict()
        if name == 'other':
            state = {'module.' + k: v for k, v in state.items()}
        safetensors(name + '.safetensors', state, [k for k in state if name == 'end' and k.endswith('conv1.weight')])
    # BatchNormalization stays in some of the graphs, and is folded by PyTorch in the others.
    keep = name in ('other', 'preact')
    if pad:
        continue  # PyTorch computes the padding in the graph
    torch.onnx.export(net, x, name + '.onnx', opset_version=13, input_names=['image'], output_names=['out'], do_constant_folding=True,
                      training=torch.onnx.TrainingMode.PRESERVE if keep else torch.onnx.TrainingMode.EVAL,
                      dynamic_axes={'image': {0: 'N'}})
json.dump(want, open('logits.json', 'w'), indent=1)
