"""Writes the JSON fixtures of the sla tests, with PyTorch as the reference.

    /usr/bin/python3 sla/testdata/fixtures.py     (Debian's python3-torch)

Weights and images are not stored: both sides make them with the generator lcg.
"""
import itertools
import json
import os
import sys

import torch
import torch.nn.functional as F

torch.set_num_threads(1)
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "../../format/formattest"))
import lcg as generator  # noqa: E402


def lcg(seed, n):
    return torch.tensor(generator.lcg(seed, n), dtype=torch.float64)


def save(name, value):
    with open(os.path.join(HERE, name), "w") as f:
        json.dump(value, f)
        f.write("\n")


# --- transformations: every named list on a 3x4x4 image ------------------------
image = torch.arange(48, dtype=torch.float32).reshape(3, 4, 4)
rotations = {"rotation": [0, 1, 2, 3], "rotation2": [0, 2], "none": [0]}
perms = {"color": list(itertools.permutations(range(3))), "color3": [(0, 1, 2), (1, 2, 0), (2, 0, 1)]}
transforms = {}
for name in ["none", "rotation", "rotation2", "color", "color3",
             "rotation2xcolor3", "rotationxcolor3", "rotationxcolor", "colorxrotation2"]:
    views = [image]
    for factor in name.split("x"):
        if factor in rotations:
            views = [torch.rot90(v, k, (1, 2)) for v in views for k in rotations[factor]]
        else:
            views = [v[list(p)] for v in views for p in perms[factor]]
    transforms[name] = [v.flatten().tolist() for v in views]
save("transforms.json", transforms)

# --- resizing: 8-bit images, centre crop, antialiased bilinear ------------------
resize = []
for channels, w, h, tw, th in [(3, 40, 40, 32, 32), (1, 17, 31, 28, 28), (3, 200, 61, 32, 32),
                               (1, 5, 3, 28, 28), (3, 64, 48, 20, 32), (1, 28, 28, 28, 28)]:
    n = channels * w * h
    samples = ((lcg(w * 1000 + h, n) + 1) * 128).floor().reshape(channels, h, w)
    if w * th >= h * tw:
        cw, ch = max(1, (2 * h * tw + th) // (2 * th)), h
    else:
        cw, ch = w, max(1, (2 * w * th + tw) // (2 * tw))
    x0, y0 = (w - cw) // 2, (h - ch) // 2
    window = samples[:, y0:y0 + ch, x0:x0 + cw]
    out = F.interpolate(window[None], size=(th, tw), mode="bilinear", antialias=True, align_corners=False)[0]
    resize.append({"channels": channels, "width": w, "height": h, "to_width": tw, "to_height": th,
                   "seed": w * 1000 + h, "out": [round(v, 3) for v in out.flatten().tolist()]})
save("resize.json", resize)


# --- a whole CIFAR ResNet-8 with all heads, in float64 --------------------------
def resnet(blocks, widths):
    layers = [dict(name="stem", op="conv", input=0, residual=0, out=widths[0], kernel=3, stride=1, relu=True)]
    value = 1
    for s, width in enumerate(widths):
        for b in range(blocks):
            stride = 2 if s > 0 and b == 0 else 1
            name = f"s{s + 1}b{b + 1}"
            layers.append(dict(name=name + "a", op="conv", input=value, residual=0, out=width, kernel=3, stride=stride, relu=True))
            a, skip = len(layers), value
            if stride == 2:
                layers.append(dict(name=name + "skip", op="shortcut", input=value, residual=0, out=width, kernel=0, stride=2, relu=False))
                skip = len(layers)
            layers.append(dict(name=name + "b", op="conv", input=a, residual=skip, out=width, kernel=3, stride=1, relu=True))
            value = len(layers)
    layers.append(dict(name="mean", op="mean", input=value, residual=0, out=0, kernel=0, stride=0, relu=False))
    return layers


def run(layers, weights, x):
    values, k = [x], 0
    for l in layers:
        v = values[l["input"]]
        if l["op"] == "conv":
            y = F.conv2d(v, weights[k], weights[k + 1], stride=l["stride"], padding=l["kernel"] // 2)
            k += 2
            if l["residual"]:
                y = y + values[l["residual"]]
            if l["relu"]:
                y = F.relu(y)
        elif l["op"] == "shortcut":
            y = v[:, :, ::2, ::2]
            y = F.pad(y, (0, 0, 0, 0, 0, l["out"] - y.shape[1]))
        else:
            y = v.mean((2, 3))
        values.append(y)
    return values[-1]


N, M, widths = 10, 4, [16, 32, 64]
layers = resnet(1, widths)
channels, shapes = {0: 3}, []
for i, l in enumerate(layers):
    cin = channels[l["input"]]
    channels[i + 1] = l["out"] or cin
    if l["op"] == "conv":
        shapes += [[l["out"], cin, l["kernel"], l["kernel"]], [l["out"]]]
for outputs in [N, N * M, N]:
    shapes += [[outputs, widths[-1]], [outputs]]
weights = []
for i, shape in enumerate(shapes):
    t = torch.zeros(shape)
    scale = 0.125
    if len(shape) == 4:  # a power of two near He's, so that the product is exact
        scale = 2.0 ** -round(0.5 * torch.log2(torch.tensor(shape[1] * shape[2] * shape[3] / 6.0)).item())
    weights.append(lcg(100 + i, t.numel()).reshape(shape) * scale)
x = lcg(7, 3 * 32 * 32).reshape(3, 32, 32)
views = torch.stack([torch.rot90(x, j, (1, 2)) for j in range(M)])
z = run(layers, weights, views)
cw, cb, jw, jb, dw, db = weights[-6:]
joint = (z @ jw.T + jb).reshape(M, N, M)                      # class-major: k = y*M + j
per_view = torch.stack([joint[j, :, j] for j in range(M)])    # (M, N): w_ij . z_j
save("resnet8.json", {
    "layers": layers, "classes": N, "transforms": M, "scales": [w.abs().max().log2().ceil().exp2().item() for w in weights],
    "baseline": (z[0] @ cw.T + cb).tolist(),
    "single": per_view[0].tolist(),
    "views": per_view.flatten().tolist(),
    "aggregated": per_view.mean(0).tolist(),
    "distilled": (z[0] @ dw.T + db).tolist(),
    "probabilities": F.softmax(per_view.mean(0), 0).tolist(),
})
