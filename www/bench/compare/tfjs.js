import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import * as tf from '@tensorflow/tfjs-core';
import { tensors, tfjsNet } from '../engines.js';
import { likeliest, measure } from './measure.js';

measure(async (bytes, { input, labels, mode }) => {
  setWasmPaths(new URL('.', location.href).href);
  await tf.setBackend('wasm');
  const { manifest, weights } = tensors(await bytes('model.safetensors'));
  const head = { baseline: 'class', single: 'joint', distilled: 'distilled' }[mode];
  const outputs = weights[`${head}.bias`].shape[0];
  // Of a joint head, the outputs of the upright view.
  const rows = labels.map((_, i) => i * (outputs / labels.length));
  const [weight, bias] = ['weight', 'bias'].map((part) => {
    const { values, shape: [, ...rest] } = weights[`${head}.${part}`];
    const size = values.length / outputs;
    const kept = new Float32Array(rows.length * size);
    rows.forEach((row, i) => kept.set(values.subarray(row * size, (row + 1) * size), i * size));
    return { values: kept, shape: [rows.length, ...rest] };
  });
  const net = tfjsNet(tf, manifest.layers, weights, weight, bias);
  const mean = tf.tensor(input.mean);
  const std = tf.tensor(input.std);
  return async (image) => {
    const logits = tf.tidy(() => net(tf.expandDims(tf.div(tf.sub(tf.div(tf.browser.fromPixels(image, input.channels), 255), mean), std))));
    const values = await logits.data();
    logits.dispose();
    return likeliest(values, labels);
  };
});
