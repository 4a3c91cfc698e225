// Everything that the page's origin has stored, as text: IndexedDB, localStorage, sessionStorage.
const [done] = arguments;

const answer = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
const readable = (_, value) => (value instanceof Uint8Array ? new TextDecoder().decode(value) : value);

(async () => {
  const kept = [JSON.stringify(localStorage), JSON.stringify(sessionStorage)].filter((storage) => storage !== "{}");
  for (const { name } of await indexedDB.databases()) {
    kept.push(name);
    const database = await answer(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      const shelf = database.transaction(store).objectStore(store);
      const [keys, values] = await Promise.all([answer(shelf.getAllKeys()), answer(shelf.getAll())]);
      kept.push(store, JSON.stringify([keys, values], readable));
    }
    database.close();
  }
  done(kept.join("\n"));
})().catch((error) => done(`unreadable: ${error}`));
