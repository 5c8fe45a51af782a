"""Unchanged client programs against the token service: boto3, the AWS CLI, Authlib, the IBM SDK core,
PyJWT and jwcrypto. Then everything that crossgate wrote is searched for what must be in nothing.

usage: sts_clients.py CROSSGATE
"""

import json
import os
import subprocess
import sys
import time

import boto3
import jwcrypto.jwk
import jwcrypto.jwt
import jwt
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from ibm_cloud_sdk_core import ApiException, BaseService
from ibm_cloud_sdk_core.authenticators import ContainerAuthenticator, IAMAssumeAuthenticator

from sts_instance import DEPLOY, EXTERNAL_ID, HOME, OWNER, PROFILE, READER, Instance, check

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


def boto3_web_identity(instance):
    sts = boto3.client("sts", endpoint_url=f"http://{instance.sts}", region_name="eu-central-1",
                       config=Config(signature_version=UNSIGNED))
    answer = sts.assume_role_with_web_identity(
        RoleArn=READER, RoleSessionName="ana-laptop", WebIdentityToken=instance.token("ana")
    )
    session = instance.secret(answer["Credentials"]["SessionToken"])
    arn = f"arn:aws:sts::{OWNER}:assumed-role/reader/ana-laptop"
    check("boto3 web identity: the session", answer["AssumedRoleUser"]["Arn"], arn)
    check("boto3 web identity: subject", answer["SubjectFromWebIdentityToken"], "ana")
    status, told = instance.ask(session, OWNER)
    check("boto3 web identity: the owner's order", status, 200)
    check("boto3 web identity: the upstream is told", told["x-crossgate-principal"], arn)
    check("boto3 web identity: the role can't write", instance.ask(session, OWNER, "PUT")[0], 403)
    check("boto3 web identity: permissions are replaced", instance.ask(session, HOME)[0], 403)
    left = answer["Credentials"]["Expiration"].timestamp() - time.time()
    check("boto3 web identity: an hour", 3500 < left <= 3600, True)

    def refused(what, code, status, **parameters):
        asked = {"RoleArn": READER, "RoleSessionName": "ana", **parameters}
        asked.setdefault("WebIdentityToken", instance.token("ana"))
        try:
            sts.assume_role_with_web_identity(**asked)
        except ClientError as error:
            metadata = error.response["ResponseMetadata"]
            found = (error.response["Error"]["Code"], metadata["HTTPStatusCode"])
            check(f"boto3 web identity: {what}", found, (code, status))
        else:
            raise SystemExit(f"{what}: a session began")

    refused("another subject", "AccessDenied", 403, WebIdentityToken=instance.token("ben"))
    refused("unknown role", "AccessDenied", 403, RoleArn=f"arn:aws:iam::{OWNER}:role/nobody-has-it")
    expired = instance.token("ana", exp=int(time.time()) - 600)
    refused("expired token", "ExpiredTokenException", 400, WebIdentityToken=expired)
    refused("not a token", "InvalidIdentityToken", 400, WebIdentityToken="abcd")
    refused("malformed role", "ValidationError", 400, RoleArn="arn:aws:iam::role/reader")
    refused("too long", "ValidationError", 400, DurationSeconds=43201)
    refused("no policy", "MalformedPolicyDocument", 400, Policy="{}")
    large = json.dumps({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "orders:GetOrder", "Resource": "*", "Sid": "a" * 2048}]})
    refused("large policy", "PackedPolicyTooLarge", 400, Policy=large)


def boto3_bearer(instance):
    def client(token):
        sts = boto3.client("sts", endpoint_url=f"http://{instance.sts}", region_name="eu-central-1",
                           config=Config(signature_version=UNSIGNED))

        def authorize(request, **_):
            if token:
                request.headers["Authorization"] = f"Bearer {token}"

        sts.meta.events.register("before-send.sts", authorize)
        return sts

    asked = {
        "RoleArn": DEPLOY,
        "RoleSessionName": "release",
        "ExternalId": EXTERNAL_ID,
        "DurationSeconds": 900,
        "Tags": [{"Key": "Team", "Value": "red"}],
        "TransitiveTagKeys": ["Team"],
        "SourceIdentity": "ana",
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "orders:PutOrder", "Resource": "*"}]}),
    }
    answer = client(instance.token("ana")).assume_role(**asked)
    session = instance.secret(answer["Credentials"]["SessionToken"])
    check("boto3 bearer: source identity", answer["SourceIdentity"], "ana")
    check("boto3 bearer: the role may", instance.ask(session, OWNER, "PUT")[0], 200)
    check("boto3 bearer: the session policy limits", instance.ask(session, OWNER)[0], 403)
    me = client(session).get_caller_identity()
    arn = f"arn:aws:sts::{OWNER}:assumed-role/deploy/release"
    check("boto3 bearer: who am I", (me["Arn"], me["Account"]), (arn, OWNER))
    check("boto3 bearer: my id", me["UserId"], "AROADEPLOYXXXXXXXXXX:release")
    me = client(instance.token("ana")).get_caller_identity()
    check("boto3 bearer: who is ana", me["Arn"], f"arn:aws:iam::{HOME}:user/ana")

    def refused(what, code, token, **parameters):
        try:
            client(token).assume_role(**{**asked, **parameters})
        except ClientError as error:
            check(f"boto3 bearer: {what}", error.response["Error"]["Code"], code)
            check(f"boto3 bearer: {what}: no secret", EXTERNAL_ID in str(error.response), False)
        else:
            raise SystemExit(f"{what}: a session began")

    wrong = instance.secret("vendor:another-one-9Qd3")
    refused("wrong external ID", "AccessDenied", instance.token("ana"), ExternalId=wrong)
    refused("without MFA", "AccessDenied", instance.token("ana", amr=["pwd"]))
    refused("another user", "AccessDenied", instance.token("ben"))
    refused("no token", "MissingAuthenticationToken", None)
    refused("a bad token", "InvalidClientTokenId", "abc")
    refused("MFA codes", "ValidationError", instance.token("ana"), SerialNumber="arn:aws:iam::1:mfa/a",
            TokenCode="123456")
    signed = boto3.client("sts", endpoint_url=f"http://{instance.sts}", region_name="eu-central-1",
                          aws_access_key_id="ASIAEXAMPLE", aws_secret_access_key="secret")
    try:
        signed.get_caller_identity()
    except ClientError as error:
        check("boto3 signed: no SigV4", error.response["Error"]["Code"], "MissingAuthenticationToken")
    else:
        raise SystemExit("a signature that nobody checks was taken")


def aws_cli(instance):
    token_file = instance.directory / "token"
    token_file.write_text(instance.token("ana"))
    environment = {**os.environ, "AWS_DEFAULT_REGION": "eu-central-1", "AWS_PAGER": ""}
    command = [
        os.path.join(os.path.dirname(sys.executable), "aws"), "sts", "assume-role-with-web-identity",
        "--endpoint-url", f"http://{instance.sts}", "--no-sign-request", "--output", "json",
        "--role-session-name", "cli", "--web-identity-token", f"file://{token_file}", "--role-arn",
    ]
    done = subprocess.run([*command, READER], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    session = instance.secret(json.loads(done.stdout)["Credentials"]["SessionToken"])
    check("aws cli: the owner's order", instance.ask(session, OWNER)[0], 200)
    done = subprocess.run([*command, DEPLOY], env=environment, capture_output=True, text=True)
    check("aws cli: refused", ("AccessDenied" in done.stderr, done.returncode != 0), (True, True))


def authlib(instance):
    url = f"http://{instance.sts}"
    metadata = requests.get(f"{url}/.well-known/oauth-authorization-server", timeout=10).json()
    found = AuthorizationServerMetadata(metadata)
    for name in ("token_endpoint_auth_methods_supported", "grant_types_supported"):
        getattr(found, f"validate_{name}")()
    check("oauth: issuer", metadata["issuer"], url)
    check("oauth: grant type", EXCHANGE in metadata["grant_types_supported"], True)
    client = OAuth2Session(token_endpoint_auth_method="none")
    asked = {"grant_type": EXCHANGE, "subject_token_type": JWT, "resource": DEPLOY,
             "external_id": EXTERNAL_ID, "role_session_name": "release"}
    token = client.fetch_token(metadata["token_endpoint"], subject_token=instance.token("ana"), **asked)
    session = instance.secret(token["access_token"])
    check("oauth: type", token["token_type"], "Bearer")
    check("oauth: the owner's order", instance.ask(session, OWNER)[0], 200)
    asked["resource"] = READER
    token = client.fetch_token(metadata["token_endpoint"], subject_token=instance.token("ana"), **asked)
    check("oauth: by the provider's word", instance.ask(token["access_token"], OWNER)[0], 200)
    instance.secret(token["access_token"])
    for what, code, more in [
        ("wrong external ID", "invalid_grant", {"resource": DEPLOY, "external_id": "no-such-id"}),
        ("unknown role", "invalid_grant", {"resource": f"arn:aws:iam::{OWNER}:role/none"}),
        ("bad subject token", "invalid_request", {"subject_token": "abc"}),
        ("another grant", "unsupported_grant_type", {"grant_type": "client_credentials"}),
    ]:
        asked_now = {"subject_token": instance.token("ana"), **asked, **more}
        try:
            client.fetch_token(metadata["token_endpoint"], **asked_now)
        except OAuthError as error:
            check(f"oauth: {what}", error.error, code)
        else:
            raise SystemExit(f"{what}: a session began")
    return session, metadata["jwks_uri"]


def ibm_sdk(instance):
    url = f"http://{instance.sts}"

    def order(authenticator):
        service = BaseService(service_url=f"http://{instance.proxy}", authenticator=authenticator)
        path = f"/v1/accounts/{OWNER}/orders/7"
        answer = service.send(service.prepare_request(method="GET", url=path))
        instance.secret(authenticator.token_manager.access_token)
        return answer.get_status_code(), answer.get_result()

    crn = f"crn:v1:bluemix:public:iam-identity::a/{OWNER}::profile:{PROFILE}"
    for what, profile in [
        ("id", {"iam_profile_id": PROFILE}),
        ("crn", {"iam_profile_crn": crn}),
        ("name", {"iam_profile_name": "auditors", "iam_account_id": OWNER}),
    ]:
        authenticator = IAMAssumeAuthenticator(apikey=instance.token("ana"), url=url, **profile)
        status, told = order(authenticator)
        check(f"ibm assume by {what}: the owner's order", status, 200)
        principal = f"arn:aws:sts::{OWNER}:assumed-role/{PROFILE}/ana"
        check(f"ibm assume by {what}: the upstream is told", told["x-crossgate-principal"], principal)
    pod = instance.directory / "cr-token"
    pod.write_text(instance.token("pod-7", namespace="audit", account=OWNER))
    container = ContainerAuthenticator(cr_token_filename=str(pod), iam_profile_name="auditors", url=url)
    check("ibm compute resource: the owner's order", order(container)[0], 200)
    for what, subject, profile in [
        ("not trusted", "ben", PROFILE),
        ("unknown profile", "ana", "Profile-00000000-0000-0000-0000-000000000000"),
    ]:
        token = instance.token(subject)
        try:
            order(IAMAssumeAuthenticator(apikey=token, url=url, iam_profile_id=profile))
        except ApiException as error:
            check(f"ibm: {what}", (error.status_code, "BXNIM0513E" in str(error.http_response.text)),
                  (400, True))
        else:
            raise SystemExit(f"{what}: a session began")


def verifiers(instance, session, jwks_uri):
    key = jwt.PyJWKClient(jwks_uri).get_signing_key_from_jwt(session)
    claims = jwt.decode(session, key, algorithms=["ES256"], audience="orders",
                        issuer=f"http://{instance.sts}")
    check("PyJWT: the role", claims["role"], DEPLOY)
    check("PyJWT: who is behind it", claims["authn"]["iam_id"], "ana")
    check("PyJWT: the account", claims["account"], {"bss": OWNER})
    keys = jwcrypto.jwk.JWKSet.from_json(requests.get(jwks_uri, timeout=10).text)
    token = jwcrypto.jwt.JWT(jwt=session, key=keys, algs=["ES256"])
    check("jwcrypto: the session", json.loads(token.claims)["session_name"], "release")


def revocation(instance, session):
    check("revocation: before", instance.ask(session, OWNER)[0], 200)
    answer = requests.post(f"http://{instance.admin}/v1/sts/revocations", json={"role": DEPLOY}, timeout=10)
    check("revocation: taken", answer.status_code, 200)
    check("revocation: at once", instance.ask(session, OWNER)[0], 401)


def events(instance, told):
    lines = [json.loads(line) for name, text in told.items() if name.endswith((".ndjson", ".zst"))
             for line in text.splitlines()]
    found = {(it["action"], it["outcome"]) for it in lines}
    for action in ("sts.role.assume", "iam-identity.account-profile.assume"):
        for outcome in ("success", "failure"):
            check(f"events: {action} {outcome}", (action, outcome) in found, True)
    begun = [it for it in lines if it["action"] == "sts.role.assume" and it["outcome"] == "success"]
    check("events: the login behind", {it["initiator"]["id"] for it in begun}, {"ana"})
    used = [it for it in lines if it["initiator"]["authnId"] == "ana" and it["initiator"]["id"] == READER]
    check("events: a session's denial names role and login", len(used) > 0, True)
    for secret in instance.secrets:
        for name, text in told.items():
            if secret in text:
                raise SystemExit(f"{name} tells a secret: {secret[:6]}…")
    check("events: secrets are told nowhere", len(instance.secrets) > 20, True)


def main():
    instance = Instance(sys.argv[1])
    try:
        boto3_web_identity(instance)
        boto3_bearer(instance)
        aws_cli(instance)
        session, jwks_uri = authlib(instance)
        ibm_sdk(instance)
        verifiers(instance, session, jwks_uri)
        revocation(instance, session)
        events(instance, instance.end())
    finally:
        instance.remove()


main()
