"""Mails that several tests send."""

HARD = """\
From: MAILER-DAEMON@mx.example.net
To: bounces@example.com
Message-ID: <notice-1@mx.example.net>
Date: Mon, 02 Mar 2026 10:00:00 +0000
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

It could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net

Final-Recipient: rfc822; Lead@example.org
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <Lead@example.org>: User unknown

--b
Content-Type: message/rfc822

From: sales@example.com
To: Lead@example.org
Subject: Hello
Message-ID: <original-1@example.com>

hello
--b--
"""


def hard(number: int = 1, message: int = 1) -> str:
    """Give a HARD bounce of lead@example.org: the notification's and the message's number."""
    return HARD.replace("notice-1", f"notice-{number}").replace("original-1", f"original-{message}")
