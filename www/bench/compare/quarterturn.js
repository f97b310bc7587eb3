import { load } from 'quarterturn';
import { measure } from './measure.js';

measure(async () => {
  const classifier = await load('model.slab');
  return async (image) => (await classifier.classify(image, { topK: 1 })).top[0];
});
