"""Times training steps of a CIFAR ResNet, or of a fast net, in PyTorch; see BenchmarkStep and BenchmarkDevice.

    /usr/bin/python3 trainer/graph/testdata/bench.py NET ROWS THREADS
    python3 trainer/graph/testdata/bench.py NET ROWS cuda

On a GPU the net is compiled, in mixed precision and channels_last. Prints the median milliseconds of a step: forward, cross-entropy over the 40
joint labels, backward and SGD, on 3x32x32 images.
"""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

name, rows, cuda = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "cuda"
device, steps = ("cuda", 60) if cuda else ("cpu", 6)
if not cuda:
    torch.set_num_threads(int(sys.argv[3]))
torch.manual_seed(1)


class Block(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.a, self.na = nn.Conv2d(cin, cout, 3, stride, 1, bias=False), nn.BatchNorm2d(cout)
        self.b, self.nb = nn.Conv2d(cout, cout, 3, 1, 1, bias=False), nn.BatchNorm2d(cout)
        self.stride, self.extra = stride, cout - cin

    def forward(self, x):
        y = F.relu(self.na(self.a(x)), inplace=True)
        y = self.nb(self.b(y))
        if self.stride != 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.extra))
        return F.relu(y + x, inplace=True)


def resnet(depth):
    layers, cin = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)], 16
    for s in range(3):
        for b in range((depth - 2) // 6):
            layers.append(Block(cin, 16 << s, 2 if s > 0 and b == 0 else 1))
            cin = 16 << s
    return layers, cin


def fast(first, rest):
    layers, cin = [nn.Conv2d(3, 32, 3, 1, 1).requires_grad_(False), nn.ReLU(inplace=True)], 32
    for width in (first, rest, rest):
        for pool in (nn.MaxPool2d(2), nn.Identity()):
            layers += [nn.Conv2d(cin, width, 3, 1, 1, bias=False), pool, nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            cin = width
    return layers, cin


if name.startswith("fast"):
    a, _, b = name.removeprefix("fast").partition("-")
    layers, cin = fast(int(a), int(b or 2 * int(a)))
else:
    layers, cin = resnet(int(name.removeprefix("resnet")))
net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(cin, 40))
# Whichever memory layout PyTorch is faster with.
best = float("inf")
for layout in (torch.channels_last,) if cuda else (torch.contiguous_format, torch.channels_last):
    model = net.to(device, memory_format=layout)
    if cuda:
        model = torch.compile(model)
    x = torch.randn(rows, 3, 32, 32).to(device).contiguous(memory_format=layout)
    y = torch.randint(0, 40, (rows,)).to(device)
    opt = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.01, momentum=0.9, weight_decay=1e-4)
    times = []
    for _ in range(steps):
        t = time.perf_counter()
        opt.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=cuda):
            loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        loss.item()  # waits for a GPU, as whoever looks at the loss does
        times.append(time.perf_counter() - t)
    times = times[steps // 6:]  # without what is prepared at first
    best = min(best, sorted(times)[len(times) // 2])
print(best * 1e3)
