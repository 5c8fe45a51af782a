"""What the account of `aws_account.py` holds, and what is asked of it."""

ACCOUNT = "123456789012"  # moto's
VENDOR = "999988887777"
PARTNER = "210987654321"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
OIDC = f"arn:aws:iam::{ACCOUNT}:oidc-provider/ci.example.com/orgs"
SAML = f"arn:aws:iam::{ACCOUNT}:saml-provider/office"
ODD = "+=,.@-"  # every character that a name may have besides letters, digits and `_`


def arn(service, resource, region="", account=ACCOUNT):
    return f"arn:aws:{service}:{region}:{account}:{resource}"


def order(name, region="eu-west-1", account=ACCOUNT):
    return arn("orders", f"order/{name}", region, account)


def role(path_and_name, account=ACCOUNT):
    return arn("iam", f"role/{path_and_name}", account=account)


def user(path_and_name, account=ACCOUNT):
    return arn("iam", f"user/{path_and_name}", account=account)


def session(name, session_name="s", account=ACCOUNT):
    return arn("sts", f"assumed-role/{name}/{session_name}", account=account)


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more):
    return {"Effect": "Deny", "Action": action, "Resource": resource, **more}


def trust(principal, action="sts:AssumeRole", effect="Allow", **more):
    return {"Effect": effect, "Principal": principal, "Action": action, **more}


def policy(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


MFA = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
NO_MFA = {"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}
AWS_MANAGED = "arn:aws:iam::aws:policy"

# (path, name): documents of v1, v2, …, and which of them counts.
MANAGED = {
    ("/teams/orders/", "orders-read"): (
        2,
        policy(allow("orders:GetOrder", order("1"))),
        policy(allow(["orders:Get*", "orders:List*"], arn("orders", "order/*", "*"))),
        policy(allow("orders:*")),
        policy(deny("*")),
    ),
    ("/teams/orders/eu/", f"orders{ODD}write=eu,v2.0"): (
        1,
        policy(
            allow(["orders:PutOrder", "orders:DeleteOrder"], arn("orders", "order/*", "eu-*"), Sid="Write"),
            deny("orders:DeleteOrder", Condition=NO_MFA, Sid="DeleteWithMfa"),
        ),
        policy(allow("orders:PutOrder", arn("orders", "order/*", "eu-*"))),
    ),
    ("/boundaries/", "developers"): (
        1,
        policy(
            allow(["orders:*", "s3:*", "sqs:*", "sts:AssumeRole", "kms:*"]),
            deny("s3:DeleteBucket", Sid="KeepBuckets"),
        ),
    ),
    ("/boundaries/", "readers"): (
        3,
        policy(allow("*")),
        policy(deny("*")),
        policy({"Effect": "Allow", "NotAction": ["*"], "Resource": "*"}, allow(["orders:Get*", "s3:Get*"])),
    ),
    ("/", "home-folders"): (
        1,
        policy(
            allow("s3:GetObject", ["arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/public/?.txt"]),
            allow(
                "s3:ListBucket",
                "arn:aws:s3:::home",
                Condition={"StringLike": {"s3:prefix": ["${aws:username}/*", "public/*", ""]}},
            ),
            allow("s3:PutObject", "arn:aws:s3:::team/${aws:PrincipalTag/Team, 'nobody'}/*"),
        ),
    ),
    ("/", "with-mfa-only"): (
        1,
        policy(
            {
                "Sid": "AllButGettingAToken",
                "Effect": "Deny",
                "NotAction": ["iam:ListMFADevices", "sts:GetSessionToken"],
                "Resource": "*",
                "Condition": NO_MFA,
            }
        ),
    ),
    ("/", "from-the-office"): (
        1,
        policy(
            allow("reports:*", Condition={"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:db8::/32"]}}),
            deny("reports:Export*", Condition={"NotIpAddress": {"aws:SourceIp": "192.0.2.0/28"}}),
            allow(
                "billing:Get*",
                Condition={
                    "DateGreaterThan": {"aws:CurrentTime": "2026-01-01T00:00:00Z"},
                    "DateLessThan": {"aws:CurrentTime": "2027-01-01T00:00:00Z"},
                    "NumericLessThanEquals": {"billing:Months": "12"},
                },
            ),
        ),
    ),
    ("/", "tag-rules"): (
        1,
        policy(
            allow(
                "ec2:CreateTags",
                arn("ec2", "instance/*", "*"),
                Condition={
                    "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "cost"]},
                    "Null": {"aws:TagKeys": "false"},
                },
            ),
            deny("ec2:CreateTags", Condition={"ForAnyValue:StringLike": {"aws:TagKeys": "cost*"}}),
            allow(
                "ec2:StopInstances",
                arn("ec2", "instance/*", "*"),
                Condition={"StringEquals": {"aws:ResourceTag/Team": "${aws:PrincipalTag/team}"}},
            ),
        ),
    ),
    ("/", "assume-roles"): (
        1,
        policy(
            allow("sts:AssumeRole", [role("teams/*"), role("partners/*"), role("open"), role("x", PARTNER)]),
            {
                "Effect": "Deny",
                "Action": "sts:AssumeRole",
                "NotResource": [role("*"), "arn:aws:iam::210987654321:role/*"],
            },
        ),
    ),
    ("/", "five-versions"): (
        3,
        policy(allow("*")),
        policy(allow("sqs:*")),
        policy(allow("sqs:ReceiveMessage", arn("sqs", "orders-*", "eu-central-1"))),
        policy(allow("sns:*")),
        policy(deny("*")),
    ),
    ("/", "attached-to-nobody"): (1, policy(allow("*"), deny("orders:*"))),
}

# name: path, inline policies, managed policies
GROUPS = {
    "developers": (
        "/teams/orders/",
        {"queue": policy(allow("sqs:*", arn("sqs", "orders-*", "*")))},
        ["orders-read", "assume-roles"],
    ),
    "auditors": (
        "/",
        {"no-secrets": policy(deny(["secretsmanager:GetSecretValue", "ssm:GetParameter*"], Sid="NoSecrets"))},
        [f"{AWS_MANAGED}/ReadOnlyAccess"],
    ),
    f"on-call{ODD}ops": (
        "/teams/ops/",
        {f"pager{ODD}": policy(allow("iam:List*"), allow("pager:*"))},
        ["with-mfa-only", f"{AWS_MANAGED}/PowerUserAccess"],
    ),
    "everyone": ("/", {}, ["home-folders"]),
    "nobody": ("/", {"all": policy(allow("*"))}, [f"{AWS_MANAGED}/AdministratorAccess"]),
}

# name: path, groups, inline policies, managed policies, tags
USERS = {
    "alice": (
        "/teams/orders/",
        ["developers", "everyone"],
        {"own-queue": policy(deny("sqs:DeleteQueue", Sid="KeepQueues"))},
        [],
        {"Team": "orders", "Cost Centre": "cc-7 Straße"},
    ),
    "bob": ("/", ["developers"], {"too-much": policy(allow("iam:*"))}, [], {}),
    f"carol{ODD}ci": ("/teams/orders/eu/", [], {}, [f"orders{ODD}write=eu,v2.0", "five-versions"], {}),
    "dave": ("/", ["auditors", "everyone"], {}, [], {"team": "*"}),
    "erin": ("/teams/ops/", [f"on-call{ODD}ops"], {}, [], {}),
    "grace": ("/contractors/", [], {}, [], {"Team": "orders"}),
    "heidi": ("/teams/data/", [], {}, ["tag-rules", "from-the-office"], {"team": "data"}),
    "ivan": ("/", ["everyone"], {}, [f"{AWS_MANAGED}/AdministratorAccess"], {}),
    "judy": ("/", [], {"note": policy(allow("s3:PutObject", "arn:aws:s3:::*/judy/*"))}, [
        f"{AWS_MANAGED}/AmazonS3ReadOnlyAccess",
        f"{AWS_MANAGED}/job-function/DataScientist",
    ], {}),
}

EXTERNAL_ID = {"StringEquals": {"sts:ExternalId": "orders/7f3c:eu"}}
TOKEN = {
    "StringEquals": {"ci.example.com/orgs:aud": "sts.amazonaws.com"},
    "StringLike": {"ci.example.com/orgs:sub": "repo:orders/*:ref:refs/heads/main"},
}

# name: path, trust policy, inline policies, managed policies, boundary, tags, longest session
ROLES = {
    "orders-node": (
        "/nodes/",
        policy(trust({"Service": ["ec2.amazonaws.com", "ecs-tasks.amazonaws.com"]})),
        {f"log{ODD}": policy(allow("logs:PutLogEvents", arn("logs", "log-group:/orders/*", "*")))},
        ["orders-read"],
        None,
        {},
        7200,
    ),
    "deployer": (
        "/teams/orders/",
        policy(trust({"AWS": ROOT})),
        {},
        [f"{AWS_MANAGED}/AdministratorAccess"],
        "developers",
        {"team": "orders"},
        43200,
    ),
    "reader": (
        "/teams/orders/",
        policy(trust({"AWS": ACCOUNT}), trust({"AWS": user("bob")}, effect="Deny")),
        {"all-orders": policy(allow("orders:*"))},
        ["home-folders"],
        "readers",
        {"Team": "orders", "Empty": ""},
        3600,
    ),
    "vendor": (
        "/partners/",
        policy(trust({"AWS": f"arn:aws:iam::{VENDOR}:root"}, Condition=EXTERNAL_ID)),
        {},
        [f"{AWS_MANAGED}/IAMReadOnlyAccess"],
        None,
        {},
        3600,
    ),
    "own-with-external-id": (
        "/partners/",
        policy(trust({"AWS": [ROOT, f"arn:aws:iam::{PARTNER}:root"]}, Condition=EXTERNAL_ID)),
        {},
        [],
        None,
        {},
        3600,
    ),
    f"ci{ODD}deploy": (
        "/ci/",
        policy(trust({"Federated": OIDC}, "sts:AssumeRoleWithWebIdentity", Condition=TOKEN)),
        {},
        [f"orders{ODD}write=eu,v2.0"],
        None,
        {"team": "ci"},
        3600,
    ),
    "saml-admin": (
        "/",
        policy(
            trust(
                {"Federated": SAML},
                ["sts:AssumeRoleWithSAML", "sts:TagSession"],
                Condition={"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
            )
        ),
        {},
        [f"{AWS_MANAGED}/AdministratorAccess"],
        None,
        {},
        3600,
    ),
    "named": (
        "/teams/ops/",
        policy(
            trust({"AWS": [user("teams/orders/alice"), role("teams/orders/deployer")]}),
            trust({"AWS": session("orders-node", "i-0abc")}),
            trust({"AWS": user("grace")}),  # without her path: nobody
        ),
        {"queues": policy(allow("sqs:*"))},
        [],
        None,
        {},
        3600,
    ),
    "break-glass": (
        "/",
        policy(
            trust(
                {"AWS": [user("ivan"), user("bob"), user("teams/ops/erin")]},
                Condition={**MFA, "NumericLessThan": {"aws:MultiFactorAuthAge": "900"}},
            )
        ),
        {},
        [f"{AWS_MANAGED}/AdministratorAccess"],
        None,
        {},
        3600,
    ),
    "open": (
        "/",
        policy(
            trust(
                "*",
                ["sts:AssumeRole", "sts:SetSourceIdentity"],
                Condition={"StringEquals": {"aws:PrincipalOrgID": "o-example"}},
            )
        ),
        {},
        [],
        None,
        {},
        3600,
    ),
    "only-alice": (
        "/teams/orders/",
        policy(
            trust({"AWS": ROOT}),
            trust(
                "*",
                effect="Deny",
                Condition={"ArnNotEquals": {"aws:PrincipalArn": user("teams/orders/alice")}},
            ),
        ),
        {},
        [],
        None,
        {},
        3600,
    ),
}

INSTANCE_PROFILE = ("/nodes/", "orders-node", "orders-node")
SERVICE_LINKED = "autoscaling.amazonaws.com"

# Sessions whose identity policies are worth asking.
SESSIONS = [
    session("orders-node", "i-0abc"),
    session("deployer"),
    session("reader"),
    session("vendor"),
    session(f"ci{ODD}deploy"),
    session("named"),
    session("break-glass"),
    session("AWSServiceRoleForAutoScaling"),
    role("teams/orders/reader"),
]
OTHERS = [
    ROOT,
    user("mallory"),  # nobody of the account
    user("alice"),  # alice has a path
    user("alice", PARTNER),
    session("deployer", account=PARTNER),
    "lambda.amazonaws.com",
    None,
]

# Asked for every principal.
PROBES = [
    ("orders:GetOrder", order("1"), {}),
    ("ORDERS:listorders", order("1", account=PARTNER), {}),
    ("orders:DeleteOrder", order("7/lines"), {"aws:MultiFactorAuthPresent": ["false"]}),
    ("orders:PutOrder", order("2", "us-east-1"), {}),
    ("s3:GetObject", "arn:aws:s3:::home/alice/notes", {}),
    ("iam:ListUsers", "*", {}),
    ("sqs:ReceiveMessage", arn("sqs", "orders-in", "eu-central-1"), {}),
    ("secretsmanager:GetSecretValue", arn("secretsmanager", "secret:db", "eu-west-1"), {}),
]

# (principal, action, resource, context) that say something about one policy.
SINGLE = [
    ("alice", "s3:GetObject", "arn:aws:s3:::home/public/a.txt", {}),
    ("alice", "s3:GetObject", "arn:aws:s3:::home/public/ab.txt", {}),
    ("alice", "s3:GetObject", "arn:aws:s3:::home/public/.txt", {}),
    ("alice", "s3:GetObject", "arn:aws:s3:::home/ALICE/notes", {}),
    ("alice", "s3:GetObject", "arn:aws:s3:::home/alice/", {}),
    ("alice", "s3:GetObject", "arn:aws:s3:::home/alice", {}),
    ("alice", "s3:ListBucket", "arn:aws:s3:::home", {"s3:prefix": ["alice/2026"]}),
    ("alice", "s3:ListBucket", "arn:aws:s3:::home", {"s3:prefix": ["dave/2026"]}),
    ("alice", "s3:ListBucket", "arn:aws:s3:::home", {"s3:prefix": [""]}),
    ("alice", "s3:ListBucket", "arn:aws:s3:::home", {}),
    ("alice", "s3:PutObject", "arn:aws:s3:::team/orders/x", {}),
    ("alice", "s3:PutObject", "arn:aws:s3:::team/nobody/x", {}),
    ("alice", "sqs:SendMessage", arn("sqs", "orders-out", "us-east-1"), {}),
    ("alice", "sqs:SendMessage", arn("sqs", "payments", "us-east-1"), {}),
    ("alice", "sqs:DeleteQueue", arn("sqs", "orders-out", "us-east-1"), {}),
    ("alice", "orders:GetOrder", order("1", "ap-south-1"), {}),
    ("alice", "orders:PutOrder", order("1"), {}),
    ("dave", "s3:PutObject", "arn:aws:s3:::team/anything/x", {}),
    ("dave", "s3:PutObject", "arn:aws:s3:::team/*/x", {}),
    ("dave", "ec2:DescribeInstances", "*", {}),
    ("dave", "ec2:RunInstances", "*", {}),
    ("dave", "ssm:GetParametersByPath", arn("ssm", "parameter/x", "eu-west-1"), {}),
    ("dave", "iam:GetAccountAuthorizationDetails", "*", {}),
    ("ivan", "s3:PutObject", "arn:aws:s3:::team/nobody/x", {}),
    ("ivan", "organizations:LeaveOrganization", "*", {}),
    ("ivan", "orders:DeleteOrder", order("1"), {}),
    ("bob", "iam:CreateUser", user("new"), {}),
    ("bob", "s3:DeleteBucket", "arn:aws:s3:::home", {}),
    ("carol", "orders:PutOrder", order("1"), {}),
    ("carol", "orders:PutOrder", order("1", "EU-west-1"), {}),
    ("carol", "orders:DeleteOrder", order("1"), {"aws:MultiFactorAuthPresent": ["true"]}),
    ("carol", "orders:DeleteOrder", order("1"), {}),
    ("carol", "sqs:SendMessage", arn("sqs", "orders-in", "eu-central-1"), {}),
    ("carol", "sqs:ReceiveMessage", arn("sqs", "orders-in", "eu-west-1"), {}),
    ("carol", "sns:Publish", arn("sns", "orders", "eu-west-1"), {}),
    ("erin", "ec2:RunInstances", "*", {"aws:MultiFactorAuthPresent": ["true"]}),
    ("erin", "ec2:RunInstances", "*", {}),
    ("erin", "iam:CreateUser", user("new"), {"aws:MultiFactorAuthPresent": ["true"]}),
    ("erin", "iam:ListUsers", "*", {"aws:MultiFactorAuthPresent": ["true"]}),
    ("erin", "iam:ListMFADevices", "*", {}),
    ("erin", "organizations:DescribeOrganization", "*", {"aws:MultiFactorAuthPresent": ["true"]}),
    ("erin", "sts:GetCallerIdentity", "*", {}),
    ("grace", "sts:GetSessionToken", "*", {}),
    ("heidi", "ec2:CreateTags", arn("ec2", "instance/i-1", "eu-west-1"), {"aws:TagKeys": ["team"]}),
    ("heidi", "ec2:CreateTags", arn("ec2", "instance/i-1", "eu-west-1"), {"aws:TagKeys": ["team", "cost"]}),
    ("heidi", "ec2:CreateTags", arn("ec2", "instance/i-1", "eu-west-1"), {"aws:TagKeys": ["team", "x"]}),
    ("heidi", "ec2:CreateTags", arn("ec2", "instance/i-1", "eu-west-1"), {}),
    ("heidi", "ec2:StopInstances", arn("ec2", "instance/i-1", "eu-west-1"), {"aws:ResourceTag/team": ["data"]}),
    ("heidi", "ec2:StopInstances", arn("ec2", "instance/i-1", "eu-west-1"), {"aws:ResourceTag/team": ["Data"]}),
    ("heidi", "ec2:StopInstances", arn("ec2", "instance/i-1", "eu-west-1"), {}),
    ("heidi", "reports:Read", arn("reports", "r/1"), {"aws:SourceIp": ["192.0.2.200"]}),
    ("heidi", "reports:Read", arn("reports", "r/1"), {"aws:SourceIp": ["2001:db8::7"]}),
    ("heidi", "reports:Read", arn("reports", "r/1"), {"aws:SourceIp": ["198.51.100.1"]}),
    ("heidi", "reports:Read", arn("reports", "r/1"), {}),
    ("heidi", "reports:ExportAll", arn("reports", "r/1"), {"aws:SourceIp": ["192.0.2.9"]}),
    ("heidi", "reports:ExportAll", arn("reports", "r/1"), {"aws:SourceIp": ["192.0.2.99"]}),
    ("heidi", "reports:ExportAll", arn("reports", "r/1"), {}),
    ("heidi", "billing:GetBill", "*", {"aws:CurrentTime": ["2026-06-01T00:00:00Z"], "billing:Months": ["12.0"]}),
    ("heidi", "billing:GetBill", "*", {"aws:CurrentTime": ["2026-06-01T00:00:00Z"], "billing:Months": ["13"]}),
    ("heidi", "billing:GetBill", "*", {"aws:CurrentTime": ["2027-01-01T00:00:00Z"], "billing:Months": ["1"]}),
    ("heidi", "billing:GetBill", "*", {"aws:CurrentTime": ["2026-06-01T00:00:00Z"], "billing:Months": ["many"]}),
    ("judy", "s3:ListBucket", "arn:aws:s3:::home", {}),
    ("judy", "s3:PutObject", "arn:aws:s3:::team/x/judy/y", {}),
    ("judy", "s3:DeleteObject", "arn:aws:s3:::team/x/judy/y", {}),
    ("judy", "ec2:DescribeInstances", "*", {}),
    ("orders-node", "logs:PutLogEvents", arn("logs", "log-group:/orders/a:log-stream:b", "eu-west-1"), {}),
    ("orders-node", "logs:PutLogEvents", arn("logs", "log-group:/payments/a:log-stream:b", "eu-west-1"), {}),
    ("deployer", "s3:DeleteBucket", "arn:aws:s3:::home", {}),
    ("deployer", "s3:CreateBucket", "arn:aws:s3:::home", {}),
    ("deployer", "iam:CreateUser", user("new"), {}),
    ("reader", "s3:GetObject", "arn:aws:s3:::home/${aws:username}/x", {}),
    ("reader", "s3:GetObject", "arn:aws:s3:::home/public/a.txt", {}),
    ("reader", "s3:PutObject", "arn:aws:s3:::team/orders/x", {}),
    ("vendor", "iam:ListRoles", "*", {}),
    ("vendor", "s3:GetObject", "arn:aws:s3:::home/x", {}),
    (f"ci{ODD}deploy", "orders:PutOrder", order("1"), {}),
]

# Who asks for each role, and what of the request may matter.
TRUSTED = [
    (user("teams/orders/alice"), {}),
    (user("bob"), {"aws:MultiFactorAuthPresent": ["true"], "aws:MultiFactorAuthAge": ["60"]}),
    (user("contractors/grace"), {}),
    (user("ivan"), {"aws:MultiFactorAuthPresent": ["true"], "aws:MultiFactorAuthAge": ["899"]}),
    (user("ivan"), {"aws:MultiFactorAuthPresent": ["true"], "aws:MultiFactorAuthAge": ["900"]}),
    (user("ivan"), {"sts:ExternalId": ["orders/7f3c:eu"], "aws:PrincipalOrgID": ["o-example"]}),
    (session("deployer"), {}),
    (session("orders-node", "i-0abc"), {"aws:PrincipalOrgID": ["o-example"]}),
    (session("orders-node", "i-0abd"), {}),
    (f"arn:aws:iam::{VENDOR}:root", {"sts:ExternalId": ["orders/7f3c:eu"]}),
    (user("scanner", VENDOR), {"sts:ExternalId": ["orders/7f3c:eu"]}),
    ("ec2.amazonaws.com", {}),
    (ROOT, {}),
]
FEDERATED = [
    (OIDC, "ci.example.com/orgs:aud", "sts.amazonaws.com", "repo:orders/api:ref:refs/heads/main"),
    (OIDC, "ci.example.com/orgs:aud", "other", "repo:orders/api:ref:refs/heads/main"),
    (OIDC, "ci.example.com/orgs:aud", "sts.amazonaws.com", "repo:payments/api:ref:refs/heads/main"),
    (OIDC + "x", "ci.example.com/orgs:aud", "sts.amazonaws.com", "repo:orders/api:ref:refs/heads/main"),
]
