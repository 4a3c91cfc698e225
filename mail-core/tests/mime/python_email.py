"""Reads one mail per line in base64, and prints its parts as Python's email package sees them: a JSON list per mail."""

import base64
import email
import email.header
import json
import sys


def leaves(message):
    """Yields the parts that are not multiparts. A message inside a message is one part."""
    if message.get_content_maintype() == "multipart" and message.is_multipart():
        for part in message.get_payload():
            yield from leaves(part)
    else:
        yield message


def name(part):
    value = part.get_filename()
    if value is None:
        return None
    try:
        return str(email.header.make_header(email.header.decode_header(value)))
    except (LookupError, UnicodeError):
        return value


def content(part):
    if part.get_content_maintype() in ("message", "multipart"):
        return None
    return base64.b64encode(part.get_payload(decode=True) or b"").decode()


for line in sys.stdin:
    message = email.message_from_bytes(base64.b64decode(line))
    parts = [
        {"type": part.get_content_type(), "name": name(part), "content": content(part)} for part in leaves(message)
    ]
    print(json.dumps(parts))
