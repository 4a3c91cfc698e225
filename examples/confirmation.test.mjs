// A test of an application that sends mail: `node --test examples/confirmation.test.mjs`.
//
// PENNYPOST names the program; the default is `pennypost` on PATH. Only Node's own modules are used.

import assert from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";

const confirmed = [];
let catcher, ready, application;

// The application under test. Each link in its mails confirms one address.
async function register(address) {
  const { port } = application.address();
  const message = `From: app@example.com\r\nTo: ${address}\r\nSubject: Please confirm\r\n\r\nOpen http://127.0.0.1:${port}/confirm/${address}\r\n`;
  const commands = ["HELO app", "MAIL FROM:<app@example.com>", `RCPT TO:<${address}>`, "DATA", `${message}.`, "QUIT"];
  const [host, smtpPort] = ready.smtp.split(":");
  const socket = connect(Number(smtpPort), host);
  for await (const reply of createInterface({ input: socket })) {
    assert.match(reply, /^[23]/);
    const command = commands.shift();
    if (command) socket.write(`${command}\r\n`);
  }
}

before(async () => {
  const flags = ["catch", "--child", "--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0"];
  catcher = spawn(process.env.PENNYPOST ?? "pennypost", flags, { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(createInterface({ input: catcher.stdout }), "line");
  ready = JSON.parse(line);
  application = createServer((request, response) => {
    confirmed.push(request.url.split("/").pop());
    response.end();
  });
  application.listen(0, "127.0.0.1");
  await once(application, "listening");
});

after(async () => {
  application.close();
  application.closeAllConnections();
  // The catcher exits when its standard input closes.
  catcher.stdin.end();
  await once(catcher, "exit");
});

test("the link in the mail confirms the address", async () => {
  await register("ann@test.example");
  const response = await fetch(`${ready.web}/api/v1/wait?to=ann@test.example&subject=confirm&timeout=10s`);
  const mail = await response.json();
  assert.equal((await fetch(mail.links[0])).status, 200);
  assert.deepEqual(confirmed, ["ann@test.example"]);
});
