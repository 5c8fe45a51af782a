"""A running crossgate with a token service, for tests with real clients.

An identity provider's keys, a policy directory with two accounts and an upstream that tells which
identity it was told of: all in a temporary directory and on ports of the kernel's choice.
"""

import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "https://login.example.com"
PROVIDER = ISSUER.removeprefix("https://")
HOME = "111111111111"
OWNER = "222222222222"
PROFILE = "Profile-9a0c7a52-6a0c-4c0e-9b0e-0d1f6f1b2c3d"
EXTERNAL_ID = "vendor:Zx81kPq4mT7vB2nD"
READER = f"arn:aws:iam::{OWNER}:role/reader"
DEPLOY = f"arn:aws:iam::{OWNER}:role/team/deploy"


def document(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, resource, **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal, action, **condition):
    statement = {"Effect": "Allow", "Principal": principal, "Action": action}
    return document({**statement, "Condition": condition} if condition else statement)


def role(arn, trust_policy, *statements):
    name = arn.rsplit("/", 1)[1]
    return {
        "RoleName": name,
        "RoleId": f"AROA{name.upper():X<16}",
        "Arn": arn,
        "AssumeRolePolicyDocument": trust_policy,
        "RolePolicyList": [{"PolicyName": "own", "PolicyDocument": document(*statements)}],
    }


def details(users=(), roles=()):
    return {"UserDetailList": users, "GroupDetailList": [], "RoleDetailList": roles, "Policies": []}


def orders(account):
    return f"arn:aws:orders::{account}:order/*"


HOME_DETAILS = details(
    users=[
        {
            "UserName": name,
            "UserId": f"AIDA{name.upper():X<16}",
            "Arn": f"arn:aws:iam::{HOME}:user/{name}",
            "UserPolicyList": [
                {
                    "PolicyName": "own",
                    "PolicyDocument": document(
                        allow("orders:*", orders(HOME)),
                        allow(["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], DEPLOY),
                    ),
                }
            ],
        }
        for name in ("ana", "ben")
    ]
)

OWNER_DETAILS = details(
    roles=[
        role(
            READER,
            trust(
                {"Federated": f"arn:aws:iam::{OWNER}:oidc-provider/{PROVIDER}"},
                "sts:AssumeRoleWithWebIdentity",
                StringEquals={f"{PROVIDER}:aud": "orders", f"{PROVIDER}:sub": "ana"},
            ),
            allow("orders:GetOrder", orders(OWNER)),
        ),
        role(
            DEPLOY,
            trust(
                {"AWS": f"arn:aws:iam::{HOME}:user/ana"},
                ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
                StringEquals={"sts:ExternalId": EXTERNAL_ID},
                Bool={"aws:MultiFactorAuthPresent": "true"},
            ),
            allow("orders:*", orders(OWNER)),
        ),
    ]
)

PROFILE_FILE = {
    "id": PROFILE,
    "name": "auditors",
    "trusted": [{"iam_id": "ana"}, {"claims": {"/sub": "pod-7", "/namespace": "audit"}}],
    "policies": [document(allow("orders:GetOrder", orders(OWNER)))],
}


class Instance:
    """Starts crossgate; ends it and keeps its files until `remove`."""

    def __init__(self, program, workers=2, upstream=None):
        self.workers, self.upstream_url = workers, upstream
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="crossgate-sts-"))
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.secrets = [EXTERNAL_ID]
        self.upstream = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
        threading.Thread(target=self.upstream.serve_forever, daemon=True).start()
        self.proxy, self.admin, self.sts = (f"127.0.0.1:{port}" for port in free_ports(3))
        self.write_files()
        self.log = open(self.directory / "stderr", "wb")
        command = [program, "run", "--config", str(self.directory / "crossgate.yaml")]
        self.process = subprocess.Popen(command, stderr=self.log)
        self.wait_until_ready()

    def write_files(self):
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        keys = {"keys": [{**public, "kid": "login", "use": "sig", "alg": "ES256"}]}
        self.write("keys.json", keys)
        self.write(f"policies/accounts/{HOME}/authorization-details.json", HOME_DETAILS)
        self.write(f"policies/accounts/{OWNER}/authorization-details.json", OWNER_DETAILS)
        self.write(f"policies/accounts/{OWNER}/profiles/auditors.json", PROFILE_FILE)
        self.write("settings.yaml", {"default": {"mode": "limited", "allowlist": []}, "accounts": {}})
        self.write("crossgate.yaml", self.configuration())

    def configuration(self):
        upstream = self.upstream_url or "http://127.0.0.1:%d" % self.upstream.server_address[1]
        return {
            "listeners": [{"address": self.proxy}],
            "admin": {"address": self.admin},
            "workers": self.workers,
            "issuers": [
                {
                    "issuer": ISSUER,
                    "audiences": ["orders"],
                    "algorithms": ["ES256"],
                    "jwks": {"file": "keys.json"},
                    "claims": "ibm",
                }
            ],
            "routes": [
                {
                    "path": "/v1/accounts/{account}/orders/{*order}",
                    "action": "orders:GetOrder",
                    "resource": "arn:aws:orders::{account}:order/{order}",
                    "owner": "{account}",
                    "methods": ["GET"],
                    "upstream": "orders",
                },
                {
                    "path": "/v1/accounts/{account}/orders/{*order}",
                    "action": "orders:PutOrder",
                    "resource": "arn:aws:orders::{account}:order/{order}",
                    "owner": "{account}",
                    "methods": ["PUT"],
                    "upstream": "orders",
                },
            ],
            "upstreams": {"orders": {"endpoints": [upstream]}},
            "settings": {"file": "settings.yaml"},
            "policies": {"directory": "policies", "mode": "limited", "unknown_callers": "deny"},
            "events": {"directory": "events"},
            "sts": {
                "address": self.sts,
                "issuer": f"http://{self.sts}",
                "keys": {"directory": "sts-keys", "algorithm": "ES256"},
            },
        }

    def write(self, name, content):
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # JSON is YAML too.
        path.write_text(json.dumps(content, indent=1))

    def wait_until_ready(self):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=5).close()
                return
            except OSError:
                time.sleep(0.05)
        self.log.flush()
        raise SystemExit((self.directory / "stderr").read_text())

    def token(self, subject, account=HOME, **more):
        """A login's token, as IBM Cloud IAM makes them; with `None` a claim is left out."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": "orders",
            "sub": subject,
            "iam_id": subject,
            "account": {"bss": account},
            "iat": now,
            "exp": now + 600,
            "amr": ["pwd", "otp"],
            "nonce": str(uuid.uuid4()),
        }
        claims = {name: value for name, value in {**claims, **more}.items() if value is not None}
        return self.secret(jwt.encode(claims, self.key, algorithm="ES256", headers={"kid": "login"}))

    def secret(self, text):
        """Something that nothing may tell. Of a token the signature is looked for."""
        self.secrets.append(text.rsplit(".", 1)[-1] if text.count(".") == 2 else text)
        return text

    def ask(self, token, account, method="GET"):
        """The status of a request through the proxy, and whom the upstream was told of."""
        url = f"http://{self.proxy}/v1/accounts/{account}/orders/7"
        headers = {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(url, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def metrics(self):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as response:
            return response.read().decode()

    def end(self):
        """Everything that it wrote, by name."""
        told = {"metrics": self.metrics()}
        with urllib.request.urlopen(f"http://{self.admin}/v1/snapshot", timeout=10) as response:
            told["snapshot"] = response.read().decode()
        self.process.terminate()
        if self.process.wait(timeout=30) != 0:
            raise SystemExit(f"crossgate ended with {self.process.returncode}")
        self.log.close()
        self.upstream.shutdown()
        for path in [*(self.directory / "events").rglob("*"), self.directory / "stderr"]:
            if path.is_file():
                told[str(path.relative_to(self.directory))] = read(path)
        return told

    def remove(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.directory)


class Upstream(http.server.BaseHTTPRequestHandler):
    """Answers with the identity headers that it got."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        told = {k.lower(): v for k, v in self.headers.items() if k.lower().startswith("x-crossgate-")}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_PUT = do_GET

    def log_message(self, *_):
        pass


def read(path):
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout.decode()
    return path.read_bytes().decode(errors="replace")


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def check(what, found, expected):
    if found != expected:
        raise SystemExit(f"{what}: found {found!r}, expected {expected!r}")
    print(f"ok: {what}")
