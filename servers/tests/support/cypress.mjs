// Loads cypress-mailpit unchanged, with as much of Cypress as it uses, and runs each of its commands.
//
// A bundler resolves its imports in Cypress; here a hook adds the extension.

import assert from "node:assert";
import { register } from "node:module";

register(
  "data:text/javascript," +
    encodeURIComponent(`
      export const resolve = (specifier, context, next) =>
        next(specifier === "./src/MailpitCommands" ? specifier + ".js" : specifier, context);
      export const load = (url, context, next) =>
        next(url, url.includes("/cypress-mailpit/") ? { ...context, format: "module" } : context);
    `),
);

const commands = {};
globalThis.Cypress = {
  Commands: { add: (name, options, run) => (commands[name] = run) },
  config: () => 4000,
  expose: () => process.env.WEB,
};
globalThis.cy = {
  env: async () => ({}),
  wait: (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds)),
  wrap: async (value) => value,
  // As Cypress: a body of another type becomes JSON, and a status of 400 or more fails the test.
  request: async ({ method, url, qs, body }) => {
    const query = qs ? `?${new URLSearchParams(qs)}` : "";
    const json = body && { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
    const response = await fetch(url + query, { method, ...json });
    const text = await response.text();
    assert(response.ok, `${method} ${url}: ${response.status} ${text}`);
    const isJson = response.headers.get("content-type")?.includes("json");
    return { status: response.status, body: isJson ? JSON.parse(text) : text };
  },
};

await import(import.meta.resolve("cypress-mailpit", `file://${process.cwd()}/`));

const called = new Set();
const run = (name, ...values) => {
  called.add(name);
  return commands[`mailpit${name}`](...values);
};

await run("DeleteAllEmails");
await run("NotHasEmailsBySubject", "Hello");
const { ID } = await run("SendMail", { subject: "Hello", to: [{ Email: "jane@example.com", Name: "Jane" }] });
await run("SendMail", {
  attachments: [{ Content: "bm90ZXM=", Filename: "notes.txt", ContentType: "text/plain" }],
  subject: "With a file",
  to: [{ Email: "john@example.com" }],
});
assert.equal((await run("HasEmailsBySubject", "Hello")).messages[0].ID, ID);
assert.equal((await run("HasEmailsByTo", "jane@example.com")).messages_count, 1);
assert.equal((await run("HasEmailsBySearch", "has:attachment")).messages_count, 1);
await run("NotHasEmailsByTo", "nobody@example.com");
await run("NotHasEmailsBySearch", "subject:nothing");
assert.equal((await run("GetAllMails")).messages.length, 2);
assert.equal((await run("GetEmailsBySubject", "Hello")).messages_count, 1);
assert.equal((await run("GetEmailsByTo", "john@example.com")).messages_count, 1);
assert.equal((await run("SearchEmails", "file", 0, 10)).messages_count, 1);

const mail = await run("GetMail", ID);
assert.equal(await run("GetSubject", mail), "Hello");
assert.deepEqual(await run("GetRecipientAddress", mail), ["jane@example.com"]);
assert.equal(await run("GetFromAddress", mail), "from@example.com");
assert.match(await run("GetMailHTMlBody", mail), /<p>hello from mailpit<\/p>/);
assert.match(await run("GetMailTextBody", mail), /hello from mailpit/);
assert.deepEqual(await run("GetAttachments", await run("GetMail")), ["notes.txt"]);

const unread = async () => (await run("GetAllMails")).unread;
await run("SetAllEmailStatusAsRead");
assert.equal(await unread(), 0);
await run("SetAllEmailStatusAsUnRead");
assert.equal(await unread(), 2);
await run("SetStatusAsRead", mail);
assert.equal(await unread(), 1);
await run("SetStatusAsUnRead", [mail]);
assert.equal(await unread(), 2);

await run("DeleteEmailsBySearch", "subject:Hello");
assert.equal((await run("GetAllMails")).total, 1);

// Without SpamAssassin, Mailpit refuses these two, too.
for (const name of ["GetMailSpamAssassinSummary", "GetMailSpamAssainSummary"]) {
  await assert.rejects(run(name, mail), /sa-check: 400/);
}
assert.deepEqual([...called].map((name) => `mailpit${name}`).sort(), Object.keys(commands).sort(), "every command");
console.log("done");
