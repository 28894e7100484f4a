"""Parts, headers and charsets, and that nobody hears of flanker."""

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bouncesink.parse import mime
from bouncesink.parse.charset import clean, decode, decode_words
from bouncesink.parse.message import Message, strip_html


def parts(text: str) -> list[tuple[str, str]]:
    root, _ = mime.parse(text.encode())
    return [(part.content_type, part.raw) for part in root.walk() if not part.parts]


NESTED = """\
Content-Type: multipart/mixed;
\tboundary="out(er)"

preamble
--out(er)
Content-Type: multipart/alternative; boundary=in

--in

plain
--in
content-type: TEXT/HTML; charset="utf-8"

<p>markup</p>
--in--
--out(er)
Content-Type: message/rfc822

Content-Type: multipart/mixed; boundary=deep

--deep
Content-Type: message/delivery-status

no part of ours
--deep--
--out(er)
Content-Type: application/octet-stream

last
--out(er)--
epilogue
"""


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_the_tree_of_a_mail(ends: str) -> None:
    found = parts(NESTED.replace("\n", ends))
    assert [kind for kind, _ in found] == [
        "text/plain",
        "text/html",
        "message/rfc822",
        "application/octet-stream",
    ]
    assert [raw.strip() for kind, raw in found if kind != "message/rfc822"] == [
        "plain",
        "<p>markup</p>",
        "last",
    ]
    assert found[2][1].endswith("--deep--")


BOUNDARIES = [
    ("one", "two"),
    ("b1", "b2"),  # an outline calls them b0 and b1
    ("b0", "b0x"),
    ("x", "x-"),
    ("x", "x--"),
    ("x--", "x"),
    ("=_a:b?c", "(in)"),
    ("=?utf-8?q?x?=", "two"),
    ("has space", "'quoted'"),
]


@pytest.mark.parametrize(("outer", "inner"), BOUNDARIES)
@pytest.mark.parametrize("stray", ["--", "-- ", "--b0", "--b1--", "--b3", "-----Original-----"])
def test_boundaries_may_look_like_anything(outer: str, inner: str, stray: str) -> None:
    text = (
        f'Content-Type: multipart/mixed; boundary="{outer}"\n\n'
        f'--{outer}\nContent-Type: multipart/alternative; x=y; boundary="{inner}"\n\n'
        f"--{inner}\n\n1\n--{inner}\nContent-Type: text/html\n\n2\n--{inner}--\n"
        f"--{outer}\n\n3\n{stray}\n4\n--{outer}--\n"
    )
    expected = ["1", "2", f"3\n{stray}\n4"]
    if stray.strip() == f"--{outer}--":
        expected[2] = "3"
    elif stray.strip() == f"--{outer}":
        expected[2:] = ["3", "4"]
    found = [raw.strip("\n") for _, raw in parts(text)]
    assert [each for each in found if each] == expected


def test_importing_flanker_says_nothing_even_when_warnings_are_errors() -> None:
    code = "from bouncesink.parse import mime; print(mime.parse(b'Subject: x\\n\\ny')[0].text)"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "y"
    assert done.stderr == ""


def test_flanker_is_imported_only_when_a_mail_is_read() -> None:
    code = "import sys, bouncesink.reader; sys.exit('flanker' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("=?utf-8?q?caf=C3=A9?=", "café"),
        ("=?UTF-8?B?Y2Fmw6k=?= =?utf-8?b?IQ==?=", "café!"),
        ("=?utf-8?b?5pel?=\n =?utf-8?b?5pys?=", "日本"),
        ("=?utf-8?b?5pc=?= =?utf-8?b?pQ==?=", "日"),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        ("=?gb2312?B?1tDOxA==?=", "中文"),
        ("plain =?utf-8?q?a?= plain", "plain a plain"),
        ("=?nonsense?q?a=E9?=", "aé"),
        ("=?utf-8?b?!!?= x", " x"),
        ("caf\u00c3\u00a9", "café"),
        ("caf\u00e9", "café"),
        ("=?utf-8?q?unfinished", "=?utf-8?q?unfinished"),
    ],
)
def test_encoded_words(value: str, text: str) -> None:
    assert decode_words(value) == text


@pytest.mark.parametrize(
    ("data", "charset", "text"),
    [
        ("é".encode(), "us-ascii", "é"),
        ("é".encode("latin-1"), "utf-8", "é"),
        ("日本".encode("iso-2022-jp"), None, "日本"),
        ("日本".encode("iso-2022-jp"), "us-ascii", "日本"),
        ("日本".encode("shift_jis"), "x-sjis", "日本"),
        ("한국".encode("euc-kr"), "ks_c_5601-1987", "한국"),
        ("’".encode("cp1252"), "iso-8859-1", "’"),
        (b"a-b", "punycode", "a-b"),
        (b"abc", "zlib", "abc"),
        (b"abc", "utf-16", "扡c"),
    ],
)
def test_charsets_lie(data: bytes, charset: str | None, text: str) -> None:
    if charset == "utf-16":
        assert decode(data, charset)
    else:
        assert decode(data, charset) == text


@given(st.binary(max_size=300), st.sampled_from([None, "utf-7", "iso-2022-jp", "hz", "x", "big5"]))
def test_decoding_never_fails(data: bytes, charset: str | None) -> None:
    decode(data, charset)


@given(st.text(max_size=300))
def test_what_is_clean_commands_no_terminal(text: str) -> None:
    shown = clean(text, 100)
    assert len(shown) <= 100
    assert not any((c < " " and c not in "\t\n") or "\x7f" <= c <= "\x9f" for c in shown)
    shown.encode()


def test_html_becomes_lines() -> None:
    markup = (
        "<html><head><title>no</title></head><style>p {}</style><!-- no -->"
        "<p>One &amp; two</p><div>&lt;a@example.com&gt; <b@example.com><br>three</div>"
    )
    assert strip_html(markup).split("\n") == [
        "One & two",
        "",
        "<a@example.com> <b@example.com>",
        "three",
    ]


def test_the_text_is_html_only_where_there_is_no_other() -> None:
    root, _ = mime.parse(NESTED.encode())
    assert Message(root).text.strip() == "plain"
    root, _ = mime.parse(b"Content-Type: text/html\n\n<p>only</p>")
    assert Message(root).text == "only"


H = b"From: MAILER-DAEMON@example.com\nSubject: Undelivered mail\nMIME-Version: 1.0\n"
REPORT = H + b"Content-Type: multipart/report; boundary=B\n\n"
HOSTILE = {
    "flanker's quadratic case": REPORT + b"--B\nContent-Type: message/rfc822\n\n--\n" * 20_000,
    "nested multiparts": H
    + b"".join(
        b"Content-Type: multipart/mixed; boundary=B%d\n\n--B%d\n" % (i, i) for i in range(10_000)
    ),
    "nested messages": H + b"Content-Type: message/rfc822\n\n" * 10_000,
    "a million headers": b"X-A: b\n" * 1_000_000 + b"\nbody",
    "a long line": H + b"\n" + b"a" * 50_000_000,
    "a long header": b"Subject: " + b"a " * 25_000_000 + b"\n\nx",
    "open encoded words": b"Subject: " + b"=?" * 2_000_000 + b"\n\nx",
    "parameters that the standard library takes the square for": REPORT
    + b'--B\nContent-Type: multipart/mixed\n\n--B\nContent-Type: multipart/mixed; boundary="'
    + b"; charset=punycode" * 40_000
    + b'"\n\n--B--\n',
    "NULs": b"\0" * 1_000_000,
    "CRs": H.replace(b"\n", b"\r") + b"\r" * 1_000_000,
    "dashes": REPORT + b"--\n" * 200_000,
    "delimiters": REPORT + b"--B\n" * 200_000,
    "open scripts": H + b"Content-Type: text/html\n\n" + b"<script>" * 100_000,
    "open comments": H + b"Content-Type: text/html\n\n" + b"<!--" * 100_000,
    "open tags": H + b"Content-Type: text/html\n\n" + b"<a " * 500_000,
    "parentheses": REPORT
    + b"--B\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.com "
    + b"(" * 100_000
    + b"\nAction: failed\n\n--B--\n",
    "folded white space": REPORT
    + b"--B\nContent-Type: message/delivery-status\n\nFinal-Recipient: rfc822; a@example.com\n"
    + b"Action: failed\nDiagnostic-Code: smtp;"
    + b" " * 100_000
    + b"\n \n"
    + b" " * 100_000
    + b"x\n--B--\n",
    "parameters": H + b"Content-Type: multipart/report" + b"; a=b" * 100_000 + b"\n\nx",
    "forwards": H.replace(b"MAILER-DAEMON", b"a").replace(b"Undelivered", b"x")
    + b"\n"
    + b"---------- Forwarded message ---------\nFrom: a\n" * 20_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mail_costs_little(name: str) -> None:
    from parse_support import read

    start = time.process_time()
    notice = read(HOSTILE[name])
    assert time.process_time() - start < 2.0  # the limit of ParseConfig, not a benchmark
    assert not any("Error" in each for each in notice.damage)
