"""A Dovecot of our own beside the system's: its config, mail and log in one folder, loopback only."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from private_postfix import free_port

PASSWORD = "correct horse"

CONF = """
base_dir = {folder}/run
state_dir = {folder}/run
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/certificate.pem
ssl_key = <{folder}/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain xoauth2
mail_location = maildir:{folder}/mail/%u
mail_uid = {owner}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
default_internal_user = {internal}
default_internal_group = {internal_group}
default_login_user = {login}
mail_fsync = never
passdb {{
  driver = passwd-file
  mechanisms = plain
  args = scheme=PLAIN {folder}/users
}}
{oauth}
userdb {{
  driver = static
  args = uid={owner} gid={group} home={folder}/home/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Junk {{
    special_use = \\Junk
    auto = create
  }}
  mailbox Sent {{
    special_use = \\Sent
    auto = create
  }}
  mailbox Archive {{
    auto = create
  }}
}}
service imap-login {{
  chroot =
  process_min_avail = 1
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
"""

OAUTH = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
"""

OAUTH_CONF = """
introspection_mode = post
introspection_url = {url}/introspect
username_attribute = email
active_attribute = active
active_value = true
"""


class Dovecot:
    def __init__(self, folder: Path, users: tuple[str, ...], tokens: str = "") -> None:
        """Make the files; `tokens` is the URL of a token server that knows its own."""
        self.folder = folder
        self.port = free_port()
        self.tls_port = free_port()
        self.certificate = folder / "certificate.pem"
        """Of localhost, signed by itself."""
        root = os.geteuid() == 0
        me = pwd.getpwuid(os.geteuid()).pw_name
        self.owner = "mail" if root else me
        parts = {
            "folder": folder,
            "port": self.port,
            "tls_port": self.tls_port,
            "owner": self.owner,
            "group": self.owner,
            "internal": "dovecot" if root else me,
            "internal_group": "dovecot" if root else me,
            "login": "dovenull" if root else me,
        }
        oauth = OAUTH.format_map(parts) if tokens else ""
        (folder / "dovecot.conf").write_text(CONF.format_map(parts | {"oauth": oauth}))
        (folder / "oauth2.conf").write_text(OAUTH_CONF.format(url=tokens))
        (folder / "users").write_text("".join(f"{user}:{PASSWORD}\n" for user in users))
        self._certify()
        for name in ("mail", "home"):
            (folder / name).mkdir()
            shutil.chown(folder / name, self.owner)
        self._process: subprocess.Popen[bytes] | None = None

    def _certify(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .sign(key, hashes.SHA256())
        )
        pem = serialization.Encoding.PEM
        self.certificate.write_bytes(certificate.public_bytes(pem))
        (self.folder / "key.pem").write_bytes(
            key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        )

    def start(self) -> None:
        command = ["dovecot", "-F", "-c", str(self.folder / "dovecot.conf")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                    assert probe.recv(4) == b"* OK"
                    return
            except OSError:
                assert time.monotonic() < deadline, self.log()
                assert self._process.poll() is None, self.log()
                time.sleep(0.05)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(20)

    def log(self) -> str:
        path = self.folder / "log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def fill(self, user: str, folder: str, mails: Mapping[str, tuple[bytes, float, str]]) -> None:
        """Put mails into a folder, by name: the bytes, when it was received, and its flags."""
        home = self.folder / "mail" / user
        where = home if folder == "INBOX" else home / f".{folder}"
        for name in ("cur", "new", "tmp"):
            (where / name).mkdir(parents=True, exist_ok=True)
        for name, (raw, received_at, flags) in mails.items():
            path = where / ("cur" if flags else "new") / (f"{name}:2,{flags}" if flags else name)
            path.write_bytes(raw)
            os.utime(path, (received_at, received_at))
        for path in (home, *home.rglob("*")):
            shutil.chown(path, self.owner, self.owner)


@contextmanager
def dovecot(users: tuple[str, ...], tokens: str = "") -> Iterator[Dovecot]:
    # Short, for the paths of its unix sockets; and its processes, who are not root, must get in.
    folder = Path(tempfile.mkdtemp(prefix="dc-"))
    folder.chmod(0o755)
    made = Dovecot(folder, users, tokens)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
