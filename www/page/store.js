// What was taught, kept in this browser: for each slab, by its hash, the things with their
// pictures' directions and thumbnails.

const NAME = 'quarterturn';
const TABLE = 'taught';

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(TABLE);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

async function run(mode, f) {
  const db = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = db.transaction(TABLE, mode);
      const request = f(transaction.objectStore(TABLE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    db.close();
  }
}

/** What was saved for a slab; [] if nothing was, or this browser keeps nothing. */
export const saved = (hash) => run('readonly', (table) => table.get(hash)).then((things) => things ?? [], () => []);

const channel = new BroadcastChannel(`${NAME} ${TABLE}`);

/** Calls f with a slab's hash when another tab has saved something for it. */
export const onSaved = (f) => channel.addEventListener('message', ({ data }) => f(data));

/** Saves things: [{ label, pictures: [{ directions, thumbnail }] }]; none: forgets the slab. */
export async function save(hash, things) {
  await run('readwrite', (table) => (things.length > 0 ? table.put(things, hash) : table.delete(hash)));
  channel.postMessage(hash);
}
