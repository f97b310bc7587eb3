// Telling apart what a user shows. What each method takes and returns is in quarterturn.d.ts.

import { QuarterturnError, throwIfAborted, unlessAborted } from './errors.js';
import { checkIndex, checkText, checkTopK, optionsOf } from './options.js';
import { pixelsOf } from './pixels.js';
import { LIKELY, prediction } from './prediction.js';
import { taughtSlab } from './slab.js';

const SCALE = 10; // of a match's cosines; sla.MatchScale

export class Gallery {
  #call;
  #slab;
  #info;
  /** @type {{ label: string, pictures: Float32Array[] }[]} directions (M, F) of each picture */
  #classes = [];
  /** @type {Set<{ label: string }>} what is being looked at to be enrolled */
  #coming = new Set();
  /** @type {ReturnType<typeof calibrate> | undefined} dropped when the pictures change */
  #calibration;

  constructor(call, slab, info, state) {
    this.#call = call;
    this.#slab = slab;
    this.#info = info;
    this.#classes = state.map(({ label, pictures }) => ({ label, pictures: [...pictures] }));
  }

  get state() {
    return this.#classes.map(({ label, pictures }) => ({ label, pictures: [...pictures] }));
  }

  async enrol(label, input, options) {
    const { signal } = optionsOf(options);
    checkText('a label', label);
    throwIfAborted(signal);
    const one = { label }; // which may be renamed meanwhile
    this.#coming.add(one);
    try {
      const image = await unlessAborted(pixelsOf(input), signal);
      const directions = await this.#call('features', [image], signal);
      const known = this.#find(one.label);
      if (known) known.pictures.push(directions);
      else this.#classes.push({ label: one.label, pictures: [directions] });
      this.#calibration = undefined;
    } finally {
      this.#coming.delete(one);
    }
  }

  forget(label, picture) {
    const known = this.#find(label);
    if (known && picture !== undefined) {
      checkIndex('the picture to forget', picture, known.pictures.length);
      known.pictures.splice(picture, 1);
    }
    this.#classes = this.#classes.filter((c) => c !== known || (picture !== undefined && c.pictures.length > 0));
    this.#calibration = undefined;
  }

  rename(label, name) {
    checkText('a label', name);
    const known = this.#find(label);
    if (!known) throw new QuarterturnError('option', `there is no label ${label}`);
    if (name !== label && this.#find(name)) throw new QuarterturnError('option', `there is a label ${name} already`);
    known.label = name;
    for (const one of this.#coming) if (one.label === label) one.label = name;
  }

  get examples() {
    return this.#classes.map(({ label, pictures }) => ({ label, pictures: pictures.length }));
  }

  async classify(input, options) {
    const { topK = 5, signal } = optionsOf(options);
    checkTopK(topK);
    throwIfAborted(signal);
    if (this.#classes.length === 0) throw new QuarterturnError('mode', 'nothing is enrolled yet');
    const labels = this.#classes.map((c) => c.label);
    const { scale, least } = this.#calibrated();
    const rows = this.#rows(); // now: what is taught or forgotten meanwhile is for later calls
    const image = await unlessAborted(pixelsOf(input), signal);
    const p = await prediction(labels, topK, () => this.#call('match', [image, rows], signal));
    const best = Math.max(...p.logits);
    const odds = p.logits.map((v) => Math.exp((scale / SCALE) * (v - best)));
    const all = odds.reduce((a, b) => a + b, 0);
    return { ...p, calibrated: odds.map((v) => v / all), doubt: best / SCALE < least ? 'unlike' : 1 / all < LIKELY ? 'between' : undefined };
  }

  async slab(options) {
    const { name = 'taught' } = optionsOf(options);
    checkText('name', name);
    if (this.#classes.length === 0) throw new QuarterturnError('mode', 'nothing is enrolled yet');
    const { length: width } = this.#classes[0].pictures[0];
    const rows = this.#rows();
    const size = width / this.#info.transforms.length;
    for (let at = 0; at < rows.length; at += size) rows.set(unit(rows.subarray(at, at + size)), at);
    const pictures = this.#classes.reduce((n, c) => n + c.pictures.length, 0);
    const { scale, score } = this.#calibrated();
    return taughtSlab(this.#slab, this.#info, { name, labels: this.#classes.map((c) => c.label), rows, scale, score, pictures },
      (slab, image) => this.#call('logits', [slab, image]));
  }

  #find(label) {
    return this.#classes.find((c) => c.label === label);
  }

  /** The sums of each label's directions, in the order in which the pictures came: (N, M, F). */
  #rows() {
    const width = this.#classes[0].pictures[0].length;
    const rows = new Float32Array(this.#classes.length * width);
    this.#classes.forEach(({ pictures }, i) => rows.set(sum(pictures), i * width));
    return rows;
  }

  #calibrated() {
    this.#calibration ??= calibrate(this.#classes, this.#info.transforms.length);
    return this.#calibration;
  }
}

function sum(vectors) {
  const out = vectors[0].slice();
  for (const v of vectors.slice(1)) for (let i = 0; i < out.length; i++) out[i] += v[i];
  return out;
}

/** A vector over its length, in the module's order of float32 sums (docs/format.md). */
function unit(v) {
  let squares = 0;
  for (const x of v) squares = Math.fround(squares + Math.fround(x * x));
  const length = Math.max(Math.fround(1e-12), Math.fround(Math.sqrt(squares)));
  return v.map((x) => x / length);
}

/**
 * What the pictures say of themselves, each left out in turn: the factor of the cosines with
 * which the probabilities of their labels are best (temperature scaling, Guo et al. 2017, with a
 * prior around SCALE, since the pictures are few); how unlike its label a picture can be:
 * three standard deviations below their mean; and their score.
 * @param {{ pictures: Float32Array[] }[]} classes
 * @param {number} views
 */
export function calibrate(classes, views) {
  const sums = classes.map((c) => sum(c.pictures));
  const cases = [];
  classes.forEach(({ pictures }, own) => {
    if (pictures.length < 2) return;
    for (const picture of pictures) {
      cases.push({ own, cosines: sums.map((s, i) => cosine(picture, i === own ? s.map((v, k) => v - picture[k]) : s, views)) });
    }
  });
  const loss = (scale) => cases.reduce((total, { own, cosines }) =>
    total + Math.log(cosines.reduce((z, c) => z + Math.exp(scale * (c - cosines[own])), 0)), Math.log(scale / SCALE) ** 2);
  let scale = SCALE;
  for (let s = 1; s < 200; s *= 1.05) if (loss(s) < loss(scale)) scale = s;
  const score = scoreOf(cases.map(({ own, cosines }) => {
    const top = Math.max(...cosines);
    const all = cosines.reduce((z, c) => z + Math.exp(scale * (c - top)), 0);
    return { right: cosines[own] === top, sure: 1 / all, nll: Math.log(all) - scale * (cosines[own] - top) };
  }));
  if (cases.length < 4) return { scale, least: -1, score };
  const likeness = cases.map(({ own, cosines }) => cosines[own]);
  const mean = likeness.reduce((a, b) => a + b) / likeness.length;
  const deviation = Math.sqrt(likeness.reduce((a, b) => a + (b - mean) ** 2, 0) / likeness.length);
  return { scale, least: mean - 3 * Math.max(deviation, 0.03), score };
}

/** The accuracy, mean negative log-likelihood and expected calibration error, over 15 bins, of answers. */
function scoreOf(answers) {
  const BINS = 15;
  const n = answers.length;
  const gaps = new Float64Array(BINS);
  for (const { right, sure } of answers) gaps[Math.min(Math.floor(sure * BINS), BINS - 1)] += (Number(right) - sure) / n;
  const mean = (f) => answers.reduce((sum, a) => sum + f(a), 0) / Math.max(n, 1);
  return { n, accuracy: mean((a) => Number(a.right)), nll: mean((a) => a.nll), ece: gaps.reduce((sum, g) => sum + Math.abs(g), 0) };
}

/** The mean over the views of the cosines of the parts of two vectors (M, F), the first of length 1 each. */
function cosine(a, b, views) {
  const size = a.length / views;
  let total = 0;
  for (let j = 0; j < views; j++) {
    let dot = 0;
    let squares = 0;
    for (let i = j * size; i < (j + 1) * size; i++) {
      dot += a[i] * b[i];
      squares += b[i] * b[i];
    }
    total += dot / Math.max(1e-12, Math.sqrt(squares));
  }
  return total / views;
}
