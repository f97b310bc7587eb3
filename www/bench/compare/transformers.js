import { env, pipeline, RawImage } from '@huggingface/transformers';
import { measure } from './measure.js';

measure(async () => {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.localModelPath = new URL('.', location.href).pathname;
  env.backends.onnx.wasm.wasmPaths = new URL('.', location.href).href;
  const classify = await pipeline('image-classification', 'model', { device: 'wasm', dtype: 'fp32' });
  return async ({ data, width, height }) => {
    const [{ label, score }] = await classify(new RawImage(data, width, height, 4), { top_k: 1 });
    return { label, probability: score };
  };
});
