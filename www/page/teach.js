// "Teach it": things of the user's own, told apart by a few pictures of each.

import { Camera } from './inputs.js';
import { bars, make, paintPicture, sentence, verdictOf } from './render.js';
import { onSaved, save, saved } from './store.js';

const $ = (id) => document.getElementById(id);
const SHOT = 180; // milliseconds between pictures while recording
const UNDO = 12000; // milliseconds in which a deletion can be taken back
const THUMBNAIL = 96;

/** The workshop; it works with one classifier at a time. */
export class Workshop {
  #inTurn;
  #classifier;
  #gallery;
  #thumbnails = new Map(); // label to addresses of its pictures' thumbnails
  #blobs = new Map(); // label to those thumbnails
  #tried; // the last picture that was tried
  #last; // the camera's last frame
  #recording; // the card that is recorded
  #camera;
  #kept = []; // the things that were loaded or saved last
  #undo; // what was there before the last deletion, and when that is forgotten

  /** inTurn(f) does things to the classifier one after the other. */
  constructor(inTurn) {
    this.#inTurn = inTurn;
    const attempt = (f) => Promise.resolve().then(f).catch((error) => this.#fail(error, $('preview')));
    this.#camera = new Camera($('teach-camera'), $('teach-video'), (frame) => this.#live(frame), attempt, (on) => {
      $('tried').hidden = on;
      if (on) return;
      this.#record();
      if (this.#last) this.#hold(this.#last);
    });
    onSaved((hash) => hash === this.#classifier?.info.hash && this.#inTurn(() => this.#follow(hash)));
    $('add').addEventListener('click', () => this.#addThing());
    $('try').addEventListener('change', (e) => {
      const files = [...e.target.files];
      e.target.value = '';
      if (files.length > 0) this.receive(files, $('preview'));
    });
    $('download').addEventListener('click', () => this.#do(() => this.#download(), $('keep')));
    $('forget').addEventListener('click', () => this.#do(() => this.#startOver(), $('keep')));
    $('undo').querySelector('button').addEventListener('click', () => this.#do(() => this.#takeBack(), $('preview')));
  }

  /** Takes another classifier, and what was taught to it before. */
  async open(classifier) {
    this.stop();
    this.#classifier = classifier;
    this.#tried = undefined;
    this.#quiet();
    this.#kept = await saved(classifier.info.hash);
    this.#restore(this.#kept);
  }

  /** Takes over what another tab has saved, which would be lost with this one's next change. */
  async #follow(hash) {
    if (hash !== this.#classifier.info.hash || this.#recording) return;
    this.#adopt(await saved(hash));
  }

  /** Begins with things that are kept, and leaves the cards that have none yet. */
  #adopt(things) {
    this.#kept = things;
    const labels = things.map((t) => t.label);
    const empty = this.#labels().filter((label) => !this.#thumbnails.has(label) && !labels.includes(label));
    this.#restore(things, [...labels, ...empty]);
  }

  /** Turns the camera off. */
  stop() {
    this.#camera.stop();
  }

  /** Takes pictures that came to a place: a thing learns all of them; anywhere else one is tried. */
  receive(files, place) {
    if (place.matches('.thing')) return this.#do(() => this.#enrolFiles(place, files), place);
    return this.#do(async () => {
      await this.#try(files[0]);
      if (files.length > 1) this.#say(`One picture is tried at a time: this is ${files[0].name}. To teach them, drop them on a thing.`, $('preview'));
    }, $('preview'));
  }

  /** Does something in turn; what goes wrong is said in the place that it is about. */
  #do(f, place) {
    return this.#inTurn(async () => {
      this.#quiet();
      try {
        if (!this.#gallery) throw new Error('The net for teaching is not there; open this tab again once there is a network.');
        await f();
      } catch (error) {
        this.#fail(error, place);
      }
    });
  }

  #say(text, place, isError = false) {
    const note = place.querySelector('.note');
    note.textContent = text;
    note.classList.toggle('error', isError);
  }

  #fail(error, place) {
    this.#say(sentence(error), place, true);
  }

  #quiet() {
    for (const note of document.querySelectorAll('#teach .note')) note.textContent = '';
    $('teach-status').textContent = '';
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
    name.addEventListener('change', () => this.#do(() => this.#rename(card, name), card));
    const remove = make('button', { type: 'button', className: 'plain', textContent: 'Delete' });
    remove.addEventListener('click', () => this.#do(() => this.#remove(card), $('preview')));
    const record = make('button', { type: 'button', className: 'record', textContent: 'Hold to record' });
    let held = false; // the pointer or the key is down
    const begin = async () => {
      held = true;
      this.#quiet();
      try {
        await this.#camera.start();
      } catch (error) {
        this.#fail(error, card);
        return;
      }
      if (!this.#camera.on) return; // it was stopped meanwhile
      if (held) this.#record(card);
      else this.#say('The camera is on. Now hold the button.', card);
    };
    const end = () => {
      held = false;
      if (this.#recording?.card === card) this.#record(); // holding another button takes the focus from this one
    };
    record.addEventListener('pointerdown', (e) => {
      record.setPointerCapture(e.pointerId);
      begin();
    });
    for (const name of ['pointerup', 'pointercancel', 'blur', 'keyup']) record.addEventListener(name, end);
    record.addEventListener('keydown', (e) => [' ', 'Enter'].includes(e.key) && !e.repeat && begin());
    record.addEventListener('contextmenu', (e) => e.preventDefault());
    const files = make('input', { type: 'file', accept: 'image/*', multiple: true, className: 'hidden' });
    files.addEventListener('change', () => {
      const all = [...files.files];
      files.value = '';
      this.receive(all, card);
    });
    const note = make('p', { className: 'note' });
    note.setAttribute('role', 'status');
    card.append(make('div', { className: 'name' }, name, make('span', { className: 'count' }), remove), make('div', { className: 'shots' }),
      make('div', { className: 'actions' }, record, make('label', { className: 'button' }, 'Add pictures', files)), note);
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
      const button = make('button', { type: 'button', title: 'Delete this picture', textContent: '×' });
      button.setAttribute('aria-label', `Delete picture ${i + 1} of ${label}`);
      button.addEventListener('click', () => this.#do(() => this.#forget(card, i), card));
      return make('div', { className: 'shot' }, make('img', { src, alt: `${label}, picture ${i + 1}`, width: 64, height: 64 }), button);
    }));
    box.scrollLeft = box.scrollWidth;
  }

  /** What there is to be kept: the things that have pictures. */
  #things() {
    return this.#gallery.state.map(({ label, pictures }) => ({
      label, pictures: pictures.map((directions, i) => ({ directions, thumbnail: this.#blobs.get(label)[i] })),
    }));
  }

  /** Begins with such things, and cards for these labels. */
  #restore(things, labels = things.map((t) => t.label)) {
    for (const all of this.#thumbnails.values()) all.forEach((url) => URL.revokeObjectURL(url));
    this.#thumbnails.clear();
    this.#blobs.clear();
    this.#gallery = this.#classifier.gallery(things.map(({ label, pictures }) => ({ label, pictures: pictures.map((p) => p.directions) })));
    for (const { label, pictures } of things) for (const { thumbnail } of pictures) this.#keepThumbnail(label, thumbnail);
    $('classes').replaceChildren(...(labels.length > 0 ? labels : ['thing 1', 'thing 2']).map((label) => this.#card(label)));
    this.#offerUndo();
    this.#changed();
  }

  #changed() {
    const { length } = this.#gallery.examples;
    $('keep').hidden = length < 2;
    if (length === 0) this.#answer('Nothing yet', 'Give each thing a few pictures.');
    if (length === 1) this.#answer('Add a second thing', 'To tell it apart, it has to know something else as well.');
    if (length > 1 && !this.#tried && !this.#camera.on) this.#answer('Try it', 'Show it something with the camera, or a picture that it has not seen.');
  }

  /** Keeps what there is now; what was there before a deletion can be had back until something else changes. */
  async #keep(before) {
    const things = this.#things();
    this.#offerUndo(before);
    try {
      const all = await save(this.#classifier.info.hash, things, this.#kept);
      if (all.length === things.length && all.every((t, i) => t === things[i])) this.#kept = things;
      else this.#adopt(all); // another tab was at work, too
    } catch {
      this.#say('This browser does not keep what you teach; download it before you leave.', $('preview'), true);
    }
    this.#changed();
    if (this.#tried && things.length > 1) await this.#compare(this.#tried);
  }

  #offerUndo(before) {
    clearTimeout(this.#undo?.timer);
    this.#undo = before && { ...before, timer: setTimeout(() => this.#offerUndo(), UNDO) };
    $('undo').hidden = !before;
    $('undo').querySelector('span').textContent = before?.what ?? '';
  }

  /** What a deletion, described in words, can be undone with. */
  #before(what) {
    return { what, things: this.#things(), labels: this.#labels() };
  }

  async #takeBack() {
    if (!this.#undo) return;
    const { things, labels } = this.#undo;
    this.#restore(things, labels);
    await this.#keep();
  }

  #keepThumbnail(label, blob) {
    this.#blobs.set(label, [...(this.#blobs.get(label) ?? []), blob]);
    this.#thumbnails.set(label, [...(this.#thumbnails.get(label) ?? []), URL.createObjectURL(blob)]);
  }

  async #enrol(card, input) {
    const canvas = new OffscreenCanvas(1, 1);
    await paintPicture(canvas, input, THUMBNAIL);
    const thumbnail = await canvas.convertToBlob({ type: 'image/webp' });
    await this.#gallery.enrol(card.dataset.label, input); // last of what can fail: each picture has a thumbnail
    this.#keepThumbnail(card.dataset.label, thumbnail);
    this.#offerUndo(); // which would take this picture back, too
    this.#fill(card);
  }

  async #enrolFiles(card, files) {
    const bad = [];
    try {
      for (const [i, file] of files.entries()) {
        this.#say(files.length > 1 ? `Looking at picture ${i + 1} of ${files.length} …` : 'Looking …', card);
        try {
          await this.#enrol(card, file);
        } catch (error) {
          if (error.code !== 'image') throw error;
          bad.push(file.name);
        }
      }
      this.#say(bad.length > 0 ? `This browser cannot read ${bad.slice(0, 3).join(', ')}${bad.length > 3 ? ` and ${bad.length - 3} more` : ''}.` : '', card, true);
    } finally {
      await this.#keep(); // what was learned before something failed, too
    }
  }

  async #rename(card, input) {
    const before = card.dataset.label;
    const label = input.value.trim();
    if (label === before) return;
    if (!label || this.#labels().includes(label)) {
      input.value = before;
      throw new Error(label ? `There is a thing called ${label} already.` : 'A thing needs a name.');
    }
    if (this.#thumbnails.has(before)) this.#gallery.rename(before, label);
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
    const before = this.#thumbnails.has(label) ? this.#before(`Deleted ${label}.`) : undefined;
    this.#gallery.forget(label);
    this.#thumbnails.get(label)?.forEach((url) => URL.revokeObjectURL(url));
    this.#thumbnails.delete(label);
    this.#blobs.delete(label);
    card.remove();
    await this.#keep(before);
  }

  async #forget(card, i) {
    const { label } = card.dataset;
    const before = this.#before(`Deleted a picture of ${label}.`);
    this.#gallery.forget(label, i);
    const [url] = this.#thumbnails.get(label).splice(i, 1);
    URL.revokeObjectURL(url);
    this.#blobs.get(label).splice(i, 1);
    for (const map of [this.#thumbnails, this.#blobs]) if (map.get(label).length === 0) map.delete(label);
    const { scrollLeft } = card.querySelector('.shots');
    this.#fill(card);
    card.querySelector('.shots').scrollLeft = scrollLeft;
    const rest = card.querySelectorAll('.shot button');
    rest[Math.min(i, rest.length - 1)]?.focus({ preventScroll: true }); // where the one was that is gone
    await this.#keep(before);
  }

  /** Records a thing from the camera, or ends that. */
  #record(card) {
    const before = this.#recording;
    this.#recording = card && { card, next: 0 };
    for (const button of document.querySelectorAll('.record')) button.classList.toggle('on', card?.contains(button) ?? false);
    if (before && !card) this.#do(() => this.#keep(), before.card);
  }

  /** One frame of the camera: recorded, and compared. */
  async #live(frame) {
    this.#last = frame;
    await this.#inTurn(async () => {
      const r = this.#recording;
      try {
        if (r && performance.now() >= r.next) {
          r.next = performance.now() + SHOT;
          await this.#enrol(r.card, frame);
          this.#changed();
        }
        if (this.#gallery?.examples.length > 1) await this.#compare(frame);
      } catch (error) {
        this.#fail(error, r?.card ?? $('preview'));
      }
    });
  }

  /** Shows a picture as the one that is tried. */
  async #hold(picture) {
    this.#tried = picture;
    this.#last = undefined;
    await paintPicture($('tried'), picture);
  }

  async #try(file) {
    this.#last = undefined;
    this.stop();
    await this.#hold(file);
    if (this.#gallery.examples.length > 1) await this.#compare(file);
    else this.#changed();
  }

  async #compare(input) {
    const { top, doubt, calibrated } = await this.#gallery.classify(input);
    const foremost = top.map((t) => ({ ...t, probability: calibrated[t.index] }));
    if (doubt === 'unlike') this.#answer('Not sure', 'It is like nothing that you showed it.', true);
    else {
      const { text, why, unsure } = verdictOf(foremost, true);
      this.#answer(text, why, unsure);
    }
    $('like-top').replaceChildren(...bars(foremost));
  }

  #answer(text, why, unsure = false) {
    $('like').textContent = text;
    $('like').classList.toggle('unsure', unsure);
    $('like-why').textContent = why;
    $('like-top').replaceChildren();
  }

  async #download() {
    const name = this.#gallery.examples.map((e) => e.label).join(', ').slice(0, 60);
    const slab = await this.#gallery.slab({ name });
    const url = URL.createObjectURL(new Blob([slab], { type: 'application/octet-stream' }));
    make('a', { href: url, download: 'taught.slab' }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    this.#say(`Saved ${Math.round(slab.length / 1024)} KB. Drop the file on this page, or give it to anybody.`, $('keep'));
  }

  async #startOver() {
    const before = this.#before('Deleted everything that you taught here.');
    this.#tried = undefined;
    this.#restore([]);
    await this.#keep(before);
  }
}
