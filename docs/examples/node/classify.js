// Classifies picture files: node classify.js model.slab picture.jpg ...
//
//   npm install quarterturn sharp

import { load } from 'quarterturn';
import sharp from 'sharp';

const [slab, ...pictures] = process.argv.slice(2);
if (pictures.length === 0) {
  console.error('usage: node classify.js SLAB PICTURE...');
  process.exit(2);
}

/** The pixels of a file, upright, as the package takes them. */
async function pixels(file) {
  const { data, info } = await sharp(file).rotate().toColourspace('srgb').ensureAlpha().raw().toBuffer({ resolveWithObject: true });
  return { data, width: info.width, height: info.height };
}

const classifier = await load(slab);
for (const file of pictures) {
  const { top, mode } = await classifier.classify(await pixels(file), { topK: 3 });
  console.log(`${file}: ${top.map(({ label, probability }) => `${label} ${(100 * probability).toFixed(1)} %`).join(', ')} (${mode})`);
}
await classifier.close();
