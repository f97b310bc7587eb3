"""Times training steps of a CIFAR ResNet in PyTorch; see BenchmarkStep.

    /usr/bin/python3 trainer/testdata/bench.py NET ROWS THREADS

Prints the median milliseconds of a step: forward, cross-entropy over the 40
joint labels, backward and SGD, on 3x32x32 images.
"""
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

depth, rows, threads = int(sys.argv[1].removeprefix("resnet")), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
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


layers, cin = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)], 16
for s in range(3):
    for b in range((depth - 2) // 6):
        layers.append(Block(cin, 16 << s, 2 if s > 0 and b == 0 else 1))
        cin = 16 << s
net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 40))
# Whichever memory layout PyTorch is faster with.
best = float("inf")
for layout in (torch.contiguous_format, torch.channels_last):
    model = net.to(memory_format=layout)
    x = torch.randn(rows, 3, 32, 32).contiguous(memory_format=layout)
    y = torch.randint(0, 40, (rows,))
    opt = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    times = []
    for _ in range(6):
        t = time.perf_counter()
        opt.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()
        opt.step()
        times.append(time.perf_counter() - t)
    best = min(best, sorted(times[1:])[len(times[1:]) // 2])
print(best * 1e3)
