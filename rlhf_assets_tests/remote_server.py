"""A PostgreSQL as it stands elsewhere: roles with passwords, reached over TCP, by TLS alone.

The embedded build speaks no TLS, so a door in front of it does, as a pooler's would: it takes PostgreSQL's own request
for TLS, and hands what it decrypts to the server's socket. Past the door, over plain TCP, the server refuses everybody.
"""

import datetime
import ipaddress
import shutil
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rlhf_assets.storage import embedded_postgres
from rlhf_assets.storage.migrations import local_baseline, migrate

TLS_REQUEST = struct.pack("!ii", 8, 80877103)  # what a client sends first when it wants TLS
RULES = "local all postgres trust\nlocal all all scram-sha-256\nhostssl all all all scram-sha-256\n"


@dataclass(frozen=True)
class RemoteServer:
    """`owner` is an open connection as superuser; `door` and `plain` are TCP ports; `root` the CA's certificate."""

    owner: psycopg.Connection
    socket: Path
    door: int
    plain: int
    root: Path
    other_root: Path

    def url(self, role: str, password: str, database: str, **settings: object) -> str:
        """The role's URL through the door."""
        more = "&".join(f"{name}={quote(str(value))}" for name, value in settings.items())
        return f"postgresql://{role}:{quote(password, safe='')}@127.0.0.1:{self.door}/{database}?{more}"


@contextmanager
def remote_server(*databases: str) -> Iterator[RemoteServer]:
    """With these databases, the first of which is migrated."""
    home = Path(tempfile.mkdtemp(prefix="rlhf-test-"))
    data = embedded_postgres.data_folder(home)
    embedded_postgres.initialise(data)
    (data / "pg_hba.conf").write_text(RULES)
    plain = free_port()
    options = f"-k {data} -p {plain} -c listen_addresses=127.0.0.1 -c fsync=off"
    embedded_postgres.program("pg_ctl", data, "start", "-w", "-l", str(data / "server.log"), "-o", options)
    try:
        at = f"?host={quote(str(data))}&port={plain}"
        with psycopg.connect(f"postgresql://postgres@/postgres{at}", autocommit=True) as owner:
            for name in databases:
                owner.execute(f"create database {name}")
            with psycopg.connect(f"postgresql://postgres@/{databases[0]}{at}") as connection:
                local_baseline(connection)
                migrate(connection)
            root, chain = certificates(home, "127.0.0.1")
            other_root, _ = certificates(home, "other")
            with closing(Door(data / f".s.PGSQL.{plain}", chain)) as door:
                yield RemoteServer(owner, data, door.port, plain, root, other_root)
    finally:
        embedded_postgres.program("pg_ctl", data, "stop", "-w", "-m", "immediate")
        shutil.rmtree(home)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Door:
    """Decrypts what comes in on `port` and hands it to the server's socket; each connection has two threads."""

    def __init__(self, server: Path, chain: Path) -> None:
        self.server, self.context = server, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:
            if client.recv(8, socket.MSG_PEEK) != TLS_REQUEST:
                return  # no plain way through
            client.recv(8)
            client.sendall(b"S")
            with (
                self.context.wrap_socket(client, server_side=True) as inside,
                socket.socket(socket.AF_UNIX) as server,
            ):
                server.connect(str(self.server))
                back = threading.Thread(target=pass_on, args=(server, inside), daemon=True)
                back.start()
                pass_on(inside, server)
                back.join()

    def close(self) -> None:
        self.listener.close()


def pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


def certificates(folder: Path, host: str) -> tuple[Path, Path]:
    """A CA's certificate, and a file with key and certificate that it gave to that host."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who)]) for who in (f"CA of {host}", host))
    now = datetime.datetime.now(datetime.UTC)

    def signed(subject: x509.Name, of: ec.EllipticCurvePrivateKey, extension: x509.ExtensionType) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(of.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(extension, critical=True)
            .sign(ca_key, hashes.SHA256())
        )

    address = x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
    root, chain = folder / f"{host}.root.pem", folder / f"{host}.chain.pem"
    pem = serialization.Encoding.PEM
    root.write_bytes(signed(ca_name, ca_key, x509.BasicConstraints(ca=True, path_length=None)).public_bytes(pem))
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    chain.write_bytes(private + signed(name, key, x509.SubjectAlternativeName([address])).public_bytes(pem))
    return root, chain
