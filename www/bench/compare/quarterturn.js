import { load } from 'quarterturn';
import { likeliest, measure } from './measure.js';

measure(async (_, { labels }) => {
  const classifier = await load('model.slab');
  // From the logits, as the others: its own probabilities are calibrated.
  return async (image) => likeliest((await classifier.classify(image, { topK: 1 })).logits, labels);
});
