import * as ort from 'onnxruntime-web/wasm';
import { likeliest, measure, normalised } from './measure.js';

measure(async (bytes, { input, labels }) => {
  ort.env.wasm.wasmPaths = new URL('.', location.href).href;
  const session = await ort.InferenceSession.create(await bytes('model.onnx'), { executionProviders: ['wasm'] });
  const shape = [1, input.channels, input.height, input.width];
  return async (image) => {
    const { logits } = await session.run({ image: new ort.Tensor('float32', normalised(image, input), shape) }, ['logits']);
    return likeliest(logits.data, labels);
  };
});
