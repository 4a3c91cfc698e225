"""A test of an application that sends mail: `python3 -m unittest examples/test_confirmation.py`.

PENNYPOST names the program; the default is `pennypost` on PATH. Only Python's standard library is used.
"""

import json
import os
import smtplib
import subprocess
import threading
import unittest
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import urlopen


class Application(BaseHTTPRequestHandler):
    """The application under test. Each link in its mails confirms one address."""

    confirmed = set()

    @staticmethod
    def register(address, smtp, web):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "app@example.com", address, "Please confirm"
        mail.set_content(f"Open {web}/confirm/{address}")
        host, port = smtp.split(":")
        with smtplib.SMTP(host, int(port)) as server:
            server.send_message(mail)

    def do_GET(self):
        Application.confirmed.add(self.path.rsplit("/", 1)[1])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments):
        pass


class ConfirmationMail(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        command = [os.environ.get("PENNYPOST", "pennypost"), "catch", "--child", "--smtp", "127.0.0.1:0", "--web", "127.0.0.1:0"]
        cls.catcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        cls.ready = json.loads(cls.catcher.stdout.readline())
        cls.application = HTTPServer(("127.0.0.1", 0), Application)
        threading.Thread(target=cls.application.serve_forever).start()

    @classmethod
    def tearDownClass(cls):
        cls.application.shutdown()
        cls.application.server_close()
        # The catcher exits when its standard input closes.
        cls.catcher.communicate()

    def test_link_in_the_mail_confirms_the_address(self):
        Application.register("ann@test.example", self.ready["smtp"], f"http://127.0.0.1:{self.application.server_port}")
        mail = json.load(urlopen(f"{self.ready['web']}/api/v1/wait?to=ann@test.example&subject=confirm&timeout=10s"))
        self.assertEqual(urlopen(mail["links"][0]).status, 200)
        self.assertEqual(Application.confirmed, {"ann@test.example"})


if __name__ == "__main__":
    unittest.main()
