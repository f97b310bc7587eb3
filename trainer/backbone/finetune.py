#!/usr/bin/python3
"""Trains a slab on a folder of pictures with PyTorch, as somebody without Quarterturn's trainer would:
what `quarterturn train FOLDER` is compared with in docs/results.md.

    python3 finetune.py SLAB FOLDER [SEED]

FOLDER has train/CLASS and test/CLASS. First the head alone, on the features of the upright pictures;
then all weights, with SGD (Nesterov's momentum 0.9, weight decay 5e-4, cosine schedule), steps of 32
pictures, shifted by up to 4 pixels and mirrored. It prints the accuracy on the test pictures after
both, and the seconds since it began.
"""
import pathlib
import sys
import time

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'docs/examples/python'))
import slab  # noqa: E402

EPOCHS, BATCH, RATE, HEAD_RATE = 30, 32, 0.001, 0.01


def load(s, folder):
    """Returns the pictures of a folder, (n, C, H, W) as the net wants them, and their classes."""
    classes = sorted(p.name for p in folder.iterdir())
    x, y = [], []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).iterdir()):
            x.append(s.preprocess(np.asarray(Image.open(path).convert('RGB'))))
            y.append(label)
    return torch.tensor(np.stack(x)), torch.tensor(y), classes


def shifted(x, pixels=4):
    """Mirrors half of the pictures and shifts each, with zeros, the mean colour, behind the edge."""
    x = torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)
    size = x.shape[2]
    padded = F.pad(x, (pixels,) * 4)
    at = torch.randint(0, 2 * pixels + 1, (len(x), 2))
    return torch.stack([p[:, i:i + size, j:j + size] for p, (i, j) in zip(padded, at.tolist())])


def main():
    s = slab.read(sys.argv[1])
    folder, seed = pathlib.Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
    torch.manual_seed(seed)
    x, y, classes = load(s, folder / 'train')
    test_x, test_y, _ = load(s, folder / 'test')
    net = s.torch()

    began = time.time()
    with torch.no_grad():
        features = net(x)
    head = nn.Linear(features.shape[1], len(classes))
    probe = torch.optim.LBFGS(head.parameters(), max_iter=100)

    def loss():
        probe.zero_grad()
        z = F.cross_entropy(head(features), y) + 1e-3 * head.weight.square().sum()
        z.backward()
        return z

    probe.step(loss)

    def accuracy():
        with torch.no_grad():
            return 100 * (head(net(test_x)).argmax(1) == test_y).float().mean().item()

    print(f'head alone {accuracy():.2f} %, {time.time() - began:.0f} s')
    steps = EPOCHS * (len(x) // BATCH)
    optimizer = torch.optim.SGD([{'params': net.parameters(), 'lr': RATE}, {'params': head.parameters(), 'lr': HEAD_RATE}],
                                momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, [RATE, HEAD_RATE], steps, pct_start=0.2)
    net.train()
    for _ in range(EPOCHS):
        order = torch.randperm(len(x))
        for at in range(0, len(x) - BATCH + 1, BATCH):
            some = order[at:at + BATCH]
            optimizer.zero_grad()
            F.cross_entropy(head(net(shifted(x[some]))), y[some]).backward()
            optimizer.step()
            schedule.step()
    print(f'all weights {accuracy():.2f} %, {time.time() - began:.0f} s')


main()
