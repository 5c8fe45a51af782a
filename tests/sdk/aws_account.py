"""An AWS account, built in a moto server with boto3 and exported by the unchanged AWS CLI.

usage: aws_account.py DIRECTORY [--in-use]

Writes a policy directory, `DIRECTORY/policies`, with `authorization-details.json` and `roles/*.json`
as `aws` prints them, and beside it `questions.jsonl`: the `request` of a scenario in each line. With
`--in-use` those policies of AWS are left out that nobody has; moto lists all of them, 10 MB.
"""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

# Read when moto is loaded.
os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

import boto3
from moto.server import ThreadedMotoServer

import aws_content as content

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
SAML_METADATA = "<EntityDescriptor/>" + " " * 1000


def main():
    directory, options = Path(sys.argv[1]), sys.argv[2:]
    os.environ.update(CREDENTIALS)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        build(boto3.client("iam", endpoint_url=url))
        account = directory / "policies" / "accounts" / content.ACCOUNT
        details = export(url, account, "--in-use" in options)
    finally:
        server.stop()
    questions = list(ask(details))
    with open(directory / "questions.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps(question) + "\n" for question in questions)
    print(f"ok: {len(questions)} questions about {len(details['Policies'])} managed policies")


def build(iam):
    arns = {}
    for (path, name), (default, *documents) in content.MANAGED.items():
        arns[name] = create_policy(iam, path, name, default, documents)
    for name, (path, inline, managed) in content.GROUPS.items():
        iam.create_group(GroupName=name, Path=path)
        for policy_name, document in inline.items():
            iam.put_group_policy(
                GroupName=name, PolicyName=policy_name, PolicyDocument=json.dumps(document)
            )
        for policy in managed:
            iam.attach_group_policy(GroupName=name, PolicyArn=arns.get(policy, policy))
    for name, (path, groups, inline, managed, tags) in content.USERS.items():
        iam.create_user(UserName=name, Path=path, Tags=tag_list(tags))
        for group in groups:
            iam.add_user_to_group(UserName=name, GroupName=group)
        for policy_name, document in inline.items():
            # As people write it by hand: over several lines.
            text = json.dumps(document, indent=2)
            iam.put_user_policy(UserName=name, PolicyName=policy_name, PolicyDocument=text)
        for policy in managed:
            iam.attach_user_policy(UserName=name, PolicyArn=arns.get(policy, policy))
    iam.create_open_id_connect_provider(
        Url="https://ci.example.com/orgs", ThumbprintList=[], ClientIDList=["sts.amazonaws.com"]
    )
    iam.create_saml_provider(Name="office", SAMLMetadataDocument=SAML_METADATA)
    for name, role in content.ROLES.items():
        create_role(iam, arns, name, *role)
    path, name, role = content.INSTANCE_PROFILE
    iam.create_instance_profile(InstanceProfileName=name, Path=path)
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=role)
    iam.create_service_linked_role(AWSServiceName=content.SERVICE_LINKED)


def create_policy(iam, path, name, default, documents):
    first, *later = documents
    created = iam.create_policy(PolicyName=name, Path=path, PolicyDocument=json.dumps(first))
    arn = created["Policy"]["Arn"]
    for document in later:
        iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(document))
    # For a version that is the default already, moto would end with none.
    if default != 1:
        iam.set_default_policy_version(PolicyArn=arn, VersionId=f"v{default}")
    return arn


def create_role(iam, arns, name, path, trust, inline, managed, boundary, tags, seconds_max):
    iam.create_role(
        RoleName=name,
        Path=path,
        AssumeRolePolicyDocument=json.dumps(trust),
        MaxSessionDuration=seconds_max,
        Tags=tag_list(tags),
        **({"PermissionsBoundary": arns[boundary]} if boundary else {}),
    )
    for policy_name, document in inline.items():
        iam.put_role_policy(
            RoleName=name, PolicyName=policy_name, PolicyDocument=json.dumps(document)
        )
    for policy in managed:
        iam.attach_role_policy(RoleName=name, PolicyArn=arns.get(policy, policy))


def tag_list(tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def export(url, directory, in_use):
    """Writes what `aws` prints, and returns it read."""
    (directory / "roles").mkdir(parents=True, exist_ok=True)
    printed = aws(url, "get-account-authorization-details")
    details = json.loads(printed)
    if in_use:
        used = set(policies_in_use(details))
        details["Policies"] = [
            policy
            for policy in details["Policies"]
            if policy["Arn"] in used or ":aws:policy/" not in policy["Arn"]
        ]
        printed = json.dumps(details, indent=4, ensure_ascii=False).encode() + b"\n"
    (directory / "authorization-details.json").write_bytes(printed)
    for role in details["RoleDetailList"]:
        name = role["RoleName"]
        printed = aws(url, "get-role", "--role-name", name)
        (directory / "roles" / f"{name}.json").write_bytes(printed)
    return details


def policies_in_use(details):
    for kind in ["UserDetailList", "GroupDetailList", "RoleDetailList"]:
        for principal in details[kind]:
            yield from (policy["PolicyArn"] for policy in principal["AttachedManagedPolicies"])
            boundary = principal.get("PermissionsBoundary")
            if boundary:
                yield boundary["PermissionsBoundaryArn"]


def aws(url, *arguments):
    """The AWS CLI of this environment."""
    program = Path(sys.executable).with_name("aws")
    command = [program, "iam", *arguments, "--endpoint-url", url, "--output", "json"]
    environment = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8", **CREDENTIALS}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout


def ask(details):
    users = {user["UserName"]: user for user in details["UserDetailList"]}
    roles = {role["RoleName"]: role for role in details["RoleDetailList"]}
    known = Known(users, roles)
    everybody = [user["Arn"] for user in users.values()] + content.SESSIONS + content.OTHERS
    for principal in everybody:
        for action, resource, context in content.PROBES:
            yield known.question(principal, action, resource, context)
    for name, action, resource, context in content.SINGLE:
        yield known.question(known.by_name(name), action, resource, context)
    for role in roles.values():
        for principal, context in content.TRUSTED:
            yield known.question(principal, "sts:AssumeRole", role["Arn"], context)
    for name in [f"ci{content.ODD}deploy", "saml-admin", "open"]:
        for provider, key, audience, subject in content.FEDERATED:
            context = {key: [audience], "ci.example.com/orgs:sub": [subject]}
            action = "sts:AssumeRoleWithWebIdentity"
            yield known.question(provider, action, roles[name]["Arn"], context)
        context = {"SAML:aud": ["https://signin.aws.amazon.com/saml"]}
        for action in ["sts:AssumeRoleWithSAML", "sts:TagSession", "sts:AssumeRole"]:
            yield known.question(content.SAML, action, roles[name]["Arn"], context)


class Known:
    """What a request says of its principal, as AWS would."""

    def __init__(self, users, roles):
        self.users, self.roles = users, roles
        self.by_arn = {entry["Arn"]: entry for entry in [*users.values(), *roles.values()]}

    def by_name(self, name):
        if name in self.roles:
            return content.session(name)
        return next(entry["Arn"] for key, entry in self.users.items() if key.split("+")[0] == name)

    def question(self, principal, action, resource, context):
        parts = (principal or "").split(":", 5)
        is_arn = len(parts) == 6
        in_account = is_arn and not parts[5].startswith(("oidc-provider/", "saml-provider/"))
        own = self.own_context(principal, parts) if in_account else {}
        account = parts[4] if in_account else None
        owner = resource.split(":", 5)[4] if resource != "*" else ""
        multivalued = [key for key in context if key == "aws:TagKeys"]
        return {
            "principal": {
                "arn": principal,
                "account": account,
                **({} if principal else {"type": "anonymous"}),
            },
            "action": action,
            "resource": {"arn": resource, "account": owner or content.ACCOUNT},
            "context": {**own, **context},
            **({"multivalued": multivalued} if multivalued else {}),
        }

    def own_context(self, principal, parts):
        kind, _, rest = parts[5].partition("/")
        context = {"aws:PrincipalArn": [principal], "aws:PrincipalAccount": [parts[4]]}
        entry = self.by_arn.get(principal)
        if kind == "assumed-role":
            name, _, session = rest.partition("/")
            if parts[4] == content.ACCOUNT:
                entry = self.roles[name]
                context["aws:PrincipalArn"] = [entry["Arn"]]
                context["aws:userid"] = [f"{entry['RoleId']}:{session}"]
        elif kind == "user" and entry:
            context["aws:userid"] = [entry["UserId"]]
            context["aws:username"] = [entry["UserName"]]
        for tag in (entry or {}).get("Tags", []):
            context[f"aws:PrincipalTag/{tag['Key']}"] = [tag["Value"]]
        return context


if __name__ == "__main__":
    main()
