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

/**
 * Saves things, [{ label, pictures: [{ directions, thumbnail }] }]; none: forgets the slab. `before` are those
 * that they came of: what other tabs have made of it since stays, but for the things that both have changed.
 * Returns what there is now.
 */
export async function save(hash, things, before) {
  let all;
  await run('readwrite', (table) => {
    const request = table.get(hash);
    request.onsuccess = () => {
      all = merged(before, things, request.result ?? []);
      if (all.length > 0) table.put(all, hash);
      else table.delete(hash);
    };
    return request;
  });
  channel.postMessage(hash);
  return all;
}

/** What two have made of the same things: of each the one that was changed, of both ours. */
function merged(before, ours, theirs) {
  const labels = new Set([...ours, ...theirs].map((t) => t.label));
  return Array.from(labels, (label) => {
    const [was, our, their] = [before, ours, theirs].map((things) => things.find((t) => t.label === label));
    return same(our, was) && !same(their, was) ? their : our;
  }).filter((thing) => thing !== undefined);
}

/** Are these two the same thing, of the same pictures, or both nothing? */
function same(a, b) {
  if (!a || !b) return a === b;
  return a.pictures.length === b.pictures.length &&
    a.pictures.every(({ directions }, i) => directions.every((v, k) => v === b.pictures[i].directions[k]));
}
