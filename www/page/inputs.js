// The ways a picture comes to the page. Each gives it to take(input, what).

import { pixelsOf } from './quarterturn/pixels.js';

const $ = (id) => document.getElementById(id);

/** Reads a file's pixels, inverted if the box is ticked. */
async function pixelsOfFile(file) {
  const image = await pixelsOf(file);
  if ($('invert').checked) {
    for (let i = 0; i < image.data.length; i++) if (i % 4 !== 3) image.data[i] = 255 - image.data[i];
  }
  return image;
}

/** Sets up files: picked, dropped and pasted. */
export function setUpFiles(take, attempt) {
  const read = (file, name) => file && attempt(async () => take(await pixelsOfFile(file), name));
  $('file').addEventListener('change', (e) => {
    const [file] = e.target.files;
    read(file, file?.name);
    e.target.value = ''; // the same file may be picked again
  });
  const drop = $('drop');
  drop.addEventListener('dragover', (e) => {
    e.preventDefault();
    drop.classList.add('over');
  });
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', (e) => {
    e.preventDefault();
    drop.classList.remove('over');
    const [file] = e.dataTransfer.files;
    if (!file) attempt(() => { throw new Error('what was dropped is no file; save the picture first'); });
    read(file, file?.name);
  });
  document.addEventListener('paste', (e) => {
    const [file] = e.clipboardData.files;
    if (!file) attempt(() => { throw new Error('there is no picture on the clipboard'); });
    read(file, 'the pasted picture');
  });
}

/** Sets up the drawing area of nets for light shapes on black. */
export function setUpDrawing(take) {
  const canvas = $('drawing');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  const wipe = () => {
    context.fillStyle = '#000';
    context.fillRect(0, 0, canvas.width, canvas.height);
  };
  wipe();
  Object.assign(context, { strokeStyle: '#fff', lineWidth: 16, lineCap: 'round', lineJoin: 'round' });
  let drawing = false;
  canvas.addEventListener('pointerdown', (e) => {
    drawing = true;
    canvas.setPointerCapture(e.pointerId);
    context.beginPath();
    context.moveTo(e.offsetX, e.offsetY);
  });
  canvas.addEventListener('pointermove', (e) => {
    if (!drawing) return;
    context.lineTo(e.offsetX, e.offsetY);
    context.stroke();
  });
  canvas.addEventListener('pointerup', () => {
    drawing = false;
    take(context.getImageData(0, 0, canvas.width, canvas.height), 'the drawing');
  });
  $('clear').addEventListener('click', wipe);
}

/** Sets up the camera: while it is on, one frame after the other, as fast as they are classified. */
export function setUpCamera(take, attempt) {
  const button = $('camera');
  const video = $('video');
  let stream;

  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = undefined;
    video.srcObject = null;
    video.hidden = true;
    button.textContent = 'Use the camera';
    button.setAttribute('aria-pressed', 'false');
  }

  async function start() {
    if (!navigator.mediaDevices) throw new Error('a page may use the camera only over https or on localhost');
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 320 }, height: { ideal: 320 } } });
    } catch (error) {
      throw new Error({ NotAllowedError: 'the camera was not allowed', NotFoundError: 'there is no camera' }[error.name] ?? `the camera cannot be used: ${error.message}`);
    }
    video.srcObject = stream;
    video.hidden = false;
    button.textContent = 'Stop the camera';
    button.setAttribute('aria-pressed', 'true');
    await video.play();
    const mine = stream;
    mine.getTracks()[0].addEventListener('ended', stop);
    while (stream === mine) {
      if (!document.hidden && video.videoWidth > 0) await take(square(video), 'what the camera sees');
      await new Promise(requestAnimationFrame);
    }
  }

  button.addEventListener('click', () => (stream ? stop() : attempt(start)));
}

/** The middle of a frame, square, so that nothing is squeezed. */
function square(video) {
  const side = Math.min(video.videoWidth, video.videoHeight);
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext('2d').drawImage(video, (side - video.videoWidth) / 2, (side - video.videoHeight) / 2);
  return canvas;
}
