"""Classifies files with `quarterturn serve` by the inference protocol of KServe and Triton.

    pip install tritonclient[http]
    quarterturn serve model.slab --addr 127.0.0.1:8080
    python3 kserve.py 127.0.0.1:8080 model picture.jpg more.png

Prints a line a picture: the label, its probability, the file. The model's
name is that of its file without .slab, or its own, which /v1/model says.
"""
import sys

import numpy as np
import tritonclient.http as triton


def classify(address, model, files, mode='auto'):
    """Returns the labels (N) and probabilities (N, classes) of image files."""
    client = triton.InferenceServerClient(address)
    try:
        image = triton.InferInput('image', [len(files)], 'BYTES')
        image.set_data_from_numpy(np.array(files, dtype=object))
        outputs = [triton.InferRequestedOutput(name) for name in ('label', 'probabilities')]
        answer = client.infer(model, [image], outputs=outputs, parameters={'mode': mode})
        return [label.decode() for label in answer.as_numpy('label')], answer.as_numpy('probabilities')
    finally:
        client.close()


if __name__ == '__main__':
    address, model, *names = sys.argv[1:]
    contents = []
    for name in names:
        with open(name, 'rb') as f:
            contents.append(f.read())
    for name, label, probabilities in zip(names, *classify(address, model, contents)):
        print(f'{label} {probabilities.max():.4f} {name}')
