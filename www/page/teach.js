// "Teach it": things of the user's own, told apart by a few pictures of each.

import { Camera } from './inputs.js';
import { bars, make, paintPicture, percent } from './render.js';
import { save, saved } from './store.js';

const $ = (id) => document.getElementById(id);
const SHOT = 180; // milliseconds between pictures while recording
const THUMBNAIL = 96;

/** The workshop; it works with one classifier at a time. */
export class Workshop {
  #inTurn;
  #classifier;
  #gallery;
  #thumbnails = new Map(); // label to addresses of its pictures' thumbnails
  #blobs = new Map(); // label to those thumbnails
  #tried; // the last picture that was tried
  #recording; // the label that is recorded
  #camera;

  /** inTurn(f) does things to the classifier one after the other; fail(error) shows what went wrong. */
  constructor(inTurn) {
    this.#inTurn = inTurn;
    const attempt = (f) => Promise.resolve().then(f).catch((error) => this.#say(error.message, true));
    this.#camera = new Camera($('teach-camera'), $('teach-video'), (frame) => this.#live(frame), attempt, (on) => {
      $('tried').hidden = on;
      if (!on) this.#record();
    });
    $('add').addEventListener('click', () => this.#addThing());
    $('try').addEventListener('change', (e) => {
      const [file] = e.target.files;
      if (file) this.#do(() => this.#try(file));
      e.target.value = '';
    });
    $('download').addEventListener('click', () => this.#do(() => this.#download()));
    $('forget').addEventListener('click', () => this.#do(() => this.#startOver()));
  }

  /** Takes another classifier, and what was taught to it before. */
  async open(classifier) {
    this.stop();
    this.#classifier = classifier;
    this.#clear();
    const things = await saved(classifier.info.hash);
    this.#gallery = classifier.gallery(things.map(({ label, pictures }) => ({ label, pictures: pictures.map((p) => p.directions) })));
    for (const { label, pictures } of things) for (const { thumbnail } of pictures) this.#keepThumbnail(label, thumbnail);
    this.#tried = undefined;
    this.#show();
  }

  /** Turns the camera off. */
  stop() {
    this.#camera.stop();
  }

  #do(f) {
    return this.#inTurn(async () => {
      try {
        this.#say('');
        await f();
      } catch (error) {
        this.#say(error.message, true);
      }
    });
  }

  #say(text, isError = false) {
    $('teach-status').textContent = text;
    $('teach-status').classList.toggle('error', isError);
  }

  // Things without pictures are on the page alone; the gallery has the others.

  #labels() {
    return Array.from($('classes').children, (card) => card.dataset.label);
  }

  #addThing() {
    const known = new Set(this.#labels());
    let n = known.size + 1;
    while (known.has(`thing ${n}`)) n++;
    $('classes').append(this.#card(`thing ${n}`));
    $('classes').lastElementChild.querySelector('input[type=text]').select();
  }

  #card(label) {
    const card = make('div', { className: 'card thing' });
    card.dataset.label = label;
    const name = make('input', { type: 'text', value: label, maxLength: 60, autocomplete: 'off', spellcheck: false });
    name.setAttribute('aria-label', 'Name of the thing');
    name.addEventListener('change', () => this.#do(() => this.#rename(card, name)));
    const remove = make('button', { type: 'button', className: 'plain', textContent: 'Delete' });
    remove.addEventListener('click', () => this.#do(() => this.#remove(card)));
    const record = make('button', { type: 'button', className: 'record', textContent: 'Hold to record' });
    const begin = () => this.#camera.start().then(() => this.#record(card), (error) => this.#say(error.message, true));
    record.addEventListener('pointerdown', (e) => {
      record.setPointerCapture(e.pointerId);
      begin();
    });
    for (const end of ['pointerup', 'pointercancel', 'blur']) record.addEventListener(end, () => this.#record());
    record.addEventListener('keydown', (e) => [' ', 'Enter'].includes(e.key) && !e.repeat && begin());
    record.addEventListener('keyup', () => this.#record());
    record.addEventListener('contextmenu', (e) => e.preventDefault());
    const files = make('input', { type: 'file', accept: 'image/*', multiple: true, className: 'hidden' });
    files.addEventListener('change', () => {
      const all = [...files.files];
      files.value = '';
      this.#do(() => this.#enrolFiles(card, all));
    });
    card.append(make('div', { className: 'name' }, name, make('span', { className: 'count' }), remove), make('div', { className: 'shots' }),
      make('div', { className: 'actions' }, record, make('label', { className: 'button' }, 'Add pictures', files)));
    this.#fill(card);
    return card;
  }

  /** Fills a card with the thumbnails of its thing. */
  #fill(card) {
    const { label } = card.dataset;
    const shots = this.#thumbnails.get(label) ?? [];
    card.querySelector('.count').textContent = shots.length === 1 ? '1 picture' : `${shots.length} pictures`;
    card.querySelector('.plain').setAttribute('aria-label', `Delete ${label}`);
    const box = card.querySelector('.shots');
    if (shots.length === 0) {
      box.textContent = 'No pictures yet. Five or more, from several sides, work well.';
      return;
    }
    box.replaceChildren(...shots.map((src, i) => {
      const button = make('button', { type: 'button', title: 'Delete this picture' }, make('img', { src, alt: `${label}, picture ${i + 1}`, width: 56, height: 56 }));
      button.addEventListener('click', () => this.#do(() => this.#forget(card, i)));
      return button;
    }));
    box.scrollLeft = box.scrollWidth;
  }

  #show() {
    const labels = this.#gallery.examples.map((e) => e.label);
    $('classes').replaceChildren(...(labels.length > 0 ? labels : ['thing 1', 'thing 2']).map((label) => this.#card(label)));
    this.#changed();
  }

  #changed() {
    const { length } = this.#gallery.examples;
    $('download').disabled = length === 0;
    $('forget').disabled = length === 0;
    if (length === 0) this.#answer('Nothing yet', 'Give each thing a few pictures.');
  }

  async #keep() {
    const things = this.#gallery.state.map(({ label, pictures }) => ({
      label, pictures: pictures.map((directions, i) => ({ directions, thumbnail: this.#blobs.get(label)[i] })),
    }));
    await save(this.#classifier.info.hash, things).catch(() => this.#say('This browser does not keep what you teach; download it before you leave.', true));
    this.#changed();
    if (this.#tried && things.length > 0) await this.#compare(this.#tried);
  }

  #keepThumbnail(label, blob) {
    this.#blobs.set(label, [...(this.#blobs.get(label) ?? []), blob]);
    this.#thumbnails.set(label, [...(this.#thumbnails.get(label) ?? []), URL.createObjectURL(blob)]);
  }

  #clear() {
    for (const all of this.#thumbnails.values()) all.forEach((url) => URL.revokeObjectURL(url));
    this.#thumbnails.clear();
    this.#blobs.clear();
  }

  async #enrol(card, input) {
    await this.#gallery.enrol(card.dataset.label, input);
    const canvas = new OffscreenCanvas(1, 1);
    await paintPicture(canvas, input, THUMBNAIL);
    this.#keepThumbnail(card.dataset.label, await canvas.convertToBlob({ type: 'image/webp' }));
    this.#fill(card);
  }

  async #enrolFiles(card, files) {
    const bad = [];
    for (const [i, file] of files.entries()) {
      this.#say(files.length > 1 ? `Looking at picture ${i + 1} of ${files.length} …` : '');
      try {
        await this.#enrol(card, file);
      } catch (error) {
        if (error.code !== 'image') throw error;
        bad.push(file.name);
      }
    }
    await this.#keep();
    this.#say(bad.length > 0 ? `This browser cannot read ${bad.join(', ')}.` : '', true);
  }

  async #rename(card, input) {
    const before = card.dataset.label;
    const label = input.value.trim();
    if (label === before) return;
    if (!label || this.#labels().includes(label)) {
      input.value = before;
      throw new Error(label ? `There is a thing called ${label} already.` : 'A thing needs a name.');
    }
    this.#gallery.rename(before, label);
    for (const map of [this.#thumbnails, this.#blobs]) {
      if (!map.has(before)) continue;
      map.set(label, map.get(before));
      map.delete(before);
    }
    card.dataset.label = label;
    this.#fill(card);
    await this.#keep();
  }

  async #remove(card) {
    const { label } = card.dataset;
    this.#gallery.forget(label);
    this.#thumbnails.get(label)?.forEach((url) => URL.revokeObjectURL(url));
    this.#thumbnails.delete(label);
    this.#blobs.delete(label);
    card.remove();
    await this.#keep();
  }

  async #forget(card, i) {
    const { label } = card.dataset;
    this.#gallery.forget(label, i);
    const [url] = this.#thumbnails.get(label).splice(i, 1);
    URL.revokeObjectURL(url);
    this.#blobs.get(label).splice(i, 1);
    this.#fill(card);
    await this.#keep();
  }

  /** Records a thing from the camera, or ends that. */
  #record(card) {
    const before = this.#recording;
    this.#recording = card && { card, next: 0 };
    for (const button of document.querySelectorAll('.record')) button.classList.toggle('on', card?.contains(button) ?? false);
    if (before && !card) this.#do(() => this.#keep());
  }

  /** One frame of the camera: recorded, and compared. */
  async #live(frame) {
    await this.#inTurn(async () => {
      const r = this.#recording;
      if (r && performance.now() >= r.next) {
        r.next = performance.now() + SHOT;
        await this.#enrol(r.card, frame);
        this.#changed();
      }
      if (this.#gallery.examples.length > 0) await this.#compare(frame);
    });
  }

  async #try(file) {
    this.stop();
    await paintPicture($('tried'), file);
    this.#tried = file;
    if (this.#gallery.examples.length > 0) await this.#compare(file);
  }

  async #compare(input) {
    const { top, doubt, calibrated } = await this.#gallery.classify(input);
    const why = {
      unlike: 'It is like nothing that you showed it.',
      between: `Between ${top.slice(0, 2).map((t) => t.label).join(' and ')}.`,
    }[doubt] ?? (top.length > 1 ? `${percent(calibrated[top[0].index])} sure` : 'Show it something else as well.');
    this.#answer(doubt ? 'Not sure' : top[0].label, why, doubt);
    $('like-top').replaceChildren(...(top.length > 1 ? bars(top.map((t) => ({ ...t, probability: calibrated[t.index] }))) : []));
  }

  #answer(text, why, doubt) {
    $('like').textContent = text;
    $('like').classList.toggle('unsure', Boolean(doubt));
    $('like-why').textContent = why;
    $('like-top').replaceChildren();
  }

  async #download() {
    const name = this.#gallery.examples.map((e) => e.label).join(', ').slice(0, 60);
    const slab = await this.#gallery.slab({ name });
    const url = URL.createObjectURL(new Blob([slab], { type: 'application/octet-stream' }));
    make('a', { href: url, download: 'taught.slab' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    this.#say(`Saved ${Math.round(slab.length / 1024)} KB. Drop the file on this page, or give it to anybody.`);
  }

  async #startOver() {
    if (!confirm('Forget everything that you taught it here?')) return;
    for (const { label } of this.#gallery.examples) this.#gallery.forget(label);
    this.#clear();
    this.#tried = undefined;
    this.#show();
    await this.#keep();
  }
}
