"""Sets each fault of a catcher and observes it with smtplib."""

import json
import os
import smtplib
import time
from urllib.request import Request, urlopen

WEB, PORT = os.environ["WEB"], int(os.environ["SMTP_PORT"])
MAIL = "Date: Sun, 22 Nov 2026 20:15:06 +0100\r\nFrom: app@a.example\r\nSubject: x\r\n\r\nbody\r\n"


def call(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    return json.load(urlopen(Request(WEB + path, data, {"Content-Type": "application/json"}, method=method)))


def faults(*entries):
    call("PUT", "/api/v1/faults", entries)


def injected():
    return [fault["injected"] for fault in call("GET", "/api/v1/faults")["faults"]]


def count():
    return call("GET", "/api/v1/messages")["total"]


def connect():
    return smtplib.SMTP("127.0.0.1", PORT, local_hostname="client.example", timeout=30)


def send(to="bob@b.example", sender="app@a.example", mail=MAIL):
    with connect() as smtp:
        smtp.sendmail(sender, to, mail)


def fails(kind, code, action):
    """The action fails with this kind of error and this code; None is a connection that was closed."""
    try:
        action()
    except smtplib.SMTPRecipientsRefused as error:
        found = type(error), next(iter(error.recipients.values()))[0]
    except smtplib.SMTPResponseException as error:
        found = type(error), error.smtp_code
    except (smtplib.SMTPServerDisconnected, ConnectionError) as error:
        found = smtplib.SMTPServerDisconnected, None
    else:
        found = None, None
    assert found == (kind, code), (found, kind, code)


def login(user):
    smtp = connect()
    smtp.ehlo()
    smtp.login(user, "any password")
    smtp.quit()


CLOSED = smtplib.SMTPServerDisconnected

# Recipients that ask for a fault.
fails(smtplib.SMTPRecipientsRefused, 452, lambda: send("rcpt-452@b.example"))
fails(smtplib.SMTPRecipientsRefused, 550, lambda: send("rcpt-550@b.example"))
fails(smtplib.SMTPDataError, 550, lambda: send("data-550@b.example"))
fails(smtplib.SMTPDataError, 451, lambda: send("data-451@b.example"))
fails(CLOSED, None, lambda: send("drop@b.example"))
assert count() == 0
start = time.monotonic()
send("slow-300ms@b.example")
assert time.monotonic() - start >= 0.3 and count() == 1
assert call("GET", "/api/v1/mail/latest")["faults"] == ["RCPT: carried out, after 300ms"]

# Each command is refused.
for command, kind, code, action in [
    ("CONNECT", smtplib.SMTPConnectError, 554, connect),
    ("MAIL", smtplib.SMTPSenderRefused, 451, send),
    ("RCPT", smtplib.SMTPRecipientsRefused, 550, send),
    ("DATA", smtplib.SMTPDataError, 421, send),
    ("MESSAGE", smtplib.SMTPDataError, 552, send),
    ("AUTH", smtplib.SMTPAuthenticationError, 535, lambda: login("ann")),
    ("STARTTLS", smtplib.SMTPResponseException, 454, lambda: connect().starttls()),
]:
    faults({"command": command, "reply": f"{code} {code // 100}.0.0 refused"})
    fails(kind, code, action)
    assert injected()[0] >= 1, command
faults({"command": "EHLO", "reply": "502 5.5.1 refused"})
assert connect().ehlo()[0] == 502
assert count() == 1

# The connection is closed at each command.
for command, action in [
    ("CONNECT", connect),
    ("EHLO", lambda: connect().ehlo()),
    ("STARTTLS", lambda: connect().starttls()),
    ("AUTH", lambda: login("ann")),
    ("MAIL", send),
    ("RCPT", send),
    ("DATA", send),
    ("MESSAGE", send),
    ("QUIT", lambda: connect().quit()),
]:
    faults({"command": command, "drop": True})
    fails(CLOSED, None, action)
    assert injected()[0] >= 1, command
assert count() == 1
faults({"command": "DATA", "drop": True, "after": "1 KiB"})
send()
fails(CLOSED, None, lambda: send(mail=MAIL + "x" * 70 + "\r\n" + "a line\r\n" * 100_000))
assert count() == 2

# `stored`: the message is there, its 250 is not.
faults({"command": "MESSAGE", "stored": True, "drop": True})
fails(CLOSED, None, send)
faults({"command": "MESSAGE", "stored": True, "reply": "451 4.3.0 later"})
fails(smtplib.SMTPDataError, 451, send)
assert count() == 4

# `times`, `for`, `delay`, `probability`.
faults({"command": "RCPT", "reply": "450 4.2.1 busy", "times": 2})
fails(smtplib.SMTPRecipientsRefused, 450, send)
fails(smtplib.SMTPRecipientsRefused, 450, send)
send()
assert injected() == [2]
faults({"command": "RCPT", "reply": "550 5.1.1 no", "for": "*@example.com"})
fails(smtplib.SMTPRecipientsRefused, 550, lambda: send("any@example.com"))
send("any@example.org")
faults({"command": "DATA", "delay": "300 ms"})
start = time.monotonic()
send()
assert time.monotonic() - start >= 0.3
faults({"command": "MAIL", "reply": "451 4.0.0 at times", "probability": 0.5, "seed": 7})
results = []
for _ in range(20):
    try:
        send()
        results.append(True)
    except smtplib.SMTPSenderRefused:
        results.append(False)
assert set(results) == {True, False}, results

# Every fault is recorded with its session.
faults({"command": "QUIT", "drop": True})
fails(CLOSED, None, lambda: connect().quit())
deadline = time.monotonic() + 30
while call("GET", "/api/v1/sessions")["sessions"][0]["faults"] != ["QUIT: connection dropped"]:
    assert time.monotonic() < deadline
call("DELETE", "/api/v1/faults")
send()
print("done")
