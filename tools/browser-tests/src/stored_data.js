// Returns the content of localStorage, sessionStorage and IndexedDB as text.
const [done] = arguments;

const answer = (request) =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
const readable = (_, value) => (value instanceof Uint8Array ? new TextDecoder().decode(value) : value);

(async () => {
  const parts = [JSON.stringify(localStorage), JSON.stringify(sessionStorage)].filter((storage) => storage !== "{}");
  for (const { name } of await indexedDB.databases()) {
    parts.push(name);
    const database = await answer(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      const objects = database.transaction(store).objectStore(store);
      const [keys, values] = await Promise.all([answer(objects.getAllKeys()), answer(objects.getAll())]);
      parts.push(store, JSON.stringify([keys, values], readable));
    }
    database.close();
  }
  done(parts.join("\n"));
})().catch((error) => done(`unreadable: ${error}`));
