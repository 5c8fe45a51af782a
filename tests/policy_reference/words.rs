//! What random policies and requests are made of.

/// The accounts; most is of the first two.
pub(crate) const ACCOUNTS: [&str; 3] = ["111111111111", "222222222222", "33_three-account"];

/// Callers that belong to an account.
pub(crate) const CALLERS: [&str; 17] = [
    "arn:aws:iam::111111111111:user/alice",
    "arn:aws:iam::111111111111:user/alice",
    "arn:aws:iam::111111111111:user/team/bob",
    "arn:aws:iam::222222222222:user/alice",
    "arn:aws:iam::33_three-account:user/alice",
    "arn:aws:sts::111111111111:assumed-role/r/s",
    "arn:aws:sts::111111111111:assumed-role/r/s",
    "arn:aws:sts::111111111111:assumed-role/r/t",
    "arn:aws:sts::111111111111:assumed-role/q/s",
    "arn:aws:sts::222222222222:assumed-role/r/s",
    "arn:aws:iam::111111111111:role/team/r",
    "arn:aws:iam::222222222222:role/r",
    "arn:aws:iam::111111111111:role/aws-service-role/x.amazonaws.com/r",
    "arn:aws:sts::111111111111:federated-user/alice",
    "arn:aws:sts::222222222222:federated-user/alice",
    "arn:aws:iam::111111111111:root",
    "arn:aws:iam::222222222222:root",
];

/// Services.
pub(crate) const SERVICES: [&str; 2] = ["lambda.amazonaws.com", "sns.amazonaws.com"];

/// Identity providers.
pub(crate) const PROVIDERS: [&str; 2] =
    ["accounts.google.com", "arn:aws:iam::111111111111:oidc-provider/id.example.com"];

/// What `AWS` may list.
pub(crate) const AWS_ENTRIES: [&str; 21] = [
    "*",
    "111111111111",
    "222222222222",
    "33_three-account",
    "arn:aws:iam::111111111111:root",
    "arn:aws:iam::222222222222:root",
    "arn:aws:iam::111111111111:user/alice",
    "arn:aws:iam::111111111111:user/alice",
    "arn:aws:iam::111111111111:user/Alice",
    "arn:aws:iam::111111111111:user/team/bob",
    "arn:aws:iam::111111111111:user/bob",
    "arn:aws:iam::222222222222:user/alice",
    "arn:aws:iam::111111111111:role/r",
    "arn:aws:iam::111111111111:role/team/r",
    "arn:aws:iam::111111111111:role/q",
    "arn:aws:iam::222222222222:role/other/r",
    "arn:aws-cn:iam::111111111111:role/r",
    "arn:aws:sts::111111111111:assumed-role/r/s",
    "arn:aws:sts::222222222222:assumed-role/r/s",
    "arn:aws:sts::111111111111:federated-user/alice",
    "AIDAEXAMPLEEXAMPLE",
];

/// Actions of ordinary resources.
pub(crate) const ACTIONS: [&str; 12] = [
    "s3:GetObject",
    "s3:GetObject",
    "s3:GetObject",
    "S3:getobject",
    "s3:GetObjectAcl",
    "s3:PutObject",
    "s3:Do7",
    "sqs:GetQueue",
    "iam:GetRole",
    "sts:GetFederationToken",
    "s3express:GetObject",
    "ab:aaa",
];

/// Patterns around them.
pub(crate) const ACTION_PATTERNS: [&str; 18] = [
    "s3:GetObject",
    "s3:GetObject",
    "s3:*",
    "s3:Get*",
    "S3:gET*",
    "s3:?etObject",
    "s3:GetObject?",
    "s3:*Object",
    "s3:*O*t*",
    "s3:PutObject",
    "s3:Do?",
    "s3:",
    "s3: GetObject",
    "s3:Get Object",
    "sqs:*",
    "iam:*",
    "sts:*",
    "ab:a*a*a?",
];

/// Actions of trust policies.
pub(crate) const TRUST_ACTIONS: [&str; 5] = [
    "sts:AssumeRole",
    "sts:AssumeRole",
    "sts:TagSession",
    "sts:SetSourceIdentity",
    "sts:AssumeRoleWithWebIdentity",
];

/// Patterns around them.
pub(crate) const TRUST_ACTION_PATTERNS: [&str; 7] = [
    "sts:AssumeRole",
    "sts:AssumeRole",
    "sts:AssumeRole*",
    "STS:*",
    "sts:TagSession",
    "sts:SetSourceIdentity",
    "sts:AssumeRole?*",
];

/// Actions of keys.
pub(crate) const KEY_ACTIONS: [&str; 4] =
    ["kms:Decrypt", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"];

/// Patterns around them.
pub(crate) const KEY_ACTION_PATTERNS: [&str; 7] = [
    "kms:Decrypt",
    "kms:Decrypt",
    "kms:*",
    "KMS:*crypt",
    "kms:Encrypt",
    "kms:GenerateDataKey*",
    "kms:??crypt",
];

/// Ordinary resources.
pub(crate) const RESOURCES: [&str; 11] = [
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b/k",
    "arn:aws:s3:::b/alice/k",
    "arn:aws:s3:::b/red/k",
    "arn:aws:s3:::b",
    "arn:aws:s3:::b2/*",
    "arn:aws:s3:::B/k:é",
    "arn:aws:sqs:eu-west-1:111111111111:q",
    "arn:aws:sqs:eu-west-1:222222222222:q",
    "arn:aws:iam::111111111111:role/target",
    "*",
];

/// Patterns around them.
pub(crate) const RESOURCE_PATTERNS: [&str; 19] = [
    "arn:aws:s3:::b/*",
    "arn:aws:s3:::b*",
    "arn:aws:s3:::*",
    "arn:AWS:S3:::b/k",
    "arn:aws:s3:::B/*",
    "arn:aws:s3:::b/?",
    "arn:aws:s3:::b/k?",
    "arn:aws:s3:::b?/${*}",
    "arn:aws:s3:::b/${aws:username}/*",
    "arn:aws:s3:::b/${AWS:PrincipalTag/team, 'red'}/k",
    "arn:aws:s3:::${aws:PrincipalTag/team}/k",
    "arn:aws:s3:::*/${aws:TagKeys,'alice'}/*",
    "arn:aws:s3:::*/${app:s}*",
    "arn:aws:sqs:*:*:*",
    "arn:aws:sqs:*:111111111111:q",
    "arn:aws:sqs:EU-west-?:1*:?",
    "arn:aws:sqs:*:q:q",
    "arn:*:s3:*:*:b/k",
    "arn:aws:iam::*:role/*",
];

/// Roles that are assumed.
pub(crate) const ROLES: [&str; 4] = [
    "arn:aws:iam::111111111111:role/target",
    "arn:aws:iam::111111111111:role/target",
    "arn:aws:iam::222222222222:role/team/target",
    "arn:aws:iam::111111111111:role/r",
];

/// Patterns around them.
pub(crate) const ROLE_PATTERNS: [&str; 4] = [
    "arn:aws:iam::*:role/*",
    "arn:aws:iam::111111111111:role/t*",
    "arn:aws:iam::*:role/${aws:PrincipalTag/team}",
    "arn:AWS:iam::222222222222:role/*/target",
];

/// Keys.
pub(crate) const KEYS: [&str; 3] = [
    "arn:aws:kms:eu-west-1:111111111111:key/k",
    "arn:aws:kms:eu-west-1:111111111111:key/k",
    "arn:aws:kms:eu-west-1:222222222222:key/k2",
];

/// Patterns around them.
pub(crate) const KEY_PATTERNS: [&str; 4] = [
    "arn:aws:kms:*:*:key/*",
    "arn:aws:kms:EU-WEST-1:111111111111:key/?",
    "arn:aws:kms:*:222222222222:key/*",
    "arn:aws:kms:*:*:key/${app:s}",
];

/// Operators, the keys that they are used with, and values for both sides.
pub(crate) struct Family {
    pub(crate) operators: &'static [&'static str],
    pub(crate) keys: &'static [&'static str],
    pub(crate) policy_values: &'static [&'static str],
    pub(crate) request_values: &'static [&'static str],
}

/// All families; each key is of one.
pub(crate) const FAMILIES: [Family; 9] = [
    Family {
        operators: &[
            "StringEquals",
            "StringNotEquals",
            "StringEqualsIgnoreCase",
            "StringNotEqualsIgnoreCase",
            "StringLike",
            "StringNotLike",
        ],
        keys: &["app:s", "aws:username", "aws:PrincipalTag/team", "aws:TagKeys"],
        policy_values: &[
            "alice",
            "red",
            "r*",
            "*",
            "",
            "a?ice",
            "ALICE",
            "k",
            "*e*",
            "${aws:username}",
            "${*}",
            "${aws:PrincipalTag/team}",
            "${aws:PrincipalTag/Team, 'red'}*",
            "${aws:TagKeys}",
            "${app:s,'k'}",
            "x-${?}",
            "$red",
        ],
        request_values: &["alice", "alice", "red", "Red", "", "*", "k", "k", "${aws:username}"],
    },
    Family {
        operators: &["Null"],
        keys: &["app:z"],
        policy_values: &["true", "false", "True"],
        request_values: &["x", ""],
    },
    Family {
        operators: &[
            "NumericEquals",
            "NumericNotEquals",
            "NumericLessThan",
            "NumericLessThanEquals",
            "NumericGreaterThan",
            "NumericGreaterThanEquals",
        ],
        keys: &["app:n"],
        policy_values: &["10", "10.0", "+10", "-10", "9.99", "10.000000001", "0", "007", "11"],
        request_values: &["10", "10.00", "9", "10.01", "-10", "-0", "ten", "", "11", "0x10"],
    },
    Family {
        operators: &[
            "DateEquals",
            "DateNotEquals",
            "DateLessThan",
            "DateLessThanEquals",
            "DateGreaterThan",
            "DateGreaterThanEquals",
        ],
        keys: &["app:d"],
        policy_values: &[
            "2024",
            "2024-01",
            "2024-01-01",
            "2024-01-01T00:00Z",
            "2024-01-01T00:00:00Z",
            "1704067200",
            "2024-01-01T01:00:00+01:00",
            "2024-01-01T00:00:00.5Z",
            "2025-06-30",
        ],
        request_values: &[
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:01Z",
            "1704067199",
            "1704067200",
            "2024",
            "2023-12-31",
            "soon",
            "2024-02-30",
            "",
            "2023-12-31T23:00:00-01:00",
        ],
    },
    Family {
        operators: &["Bool"],
        keys: &["app:b"],
        policy_values: &["true", "false", "True", "FALSE", "${app:b}", "${app:t, 'true'}"],
        request_values: &["true", "false", "TRUE", "no", "1", ""],
    },
    Family {
        operators: &["BinaryEquals"],
        keys: &["app:x"],
        policy_values: &["a2V5", "S2V5", "", "a2V5cw=="],
        request_values: &["key", "S2V5", "", "a2V5", "a2V5", "a2V5cw=="],
    },
    Family {
        operators: &["IpAddress", "NotIpAddress"],
        keys: &["aws:SourceIp"],
        policy_values: &[
            "10.0.0.0/8",
            "10.0.0.1",
            "10.0.0.7/31",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/33",
            "2001:db8::1",
            "192.0.2.0/24",
        ],
        request_values: &[
            "10.0.0.1",
            "10.0.0.6",
            "10.0.0.8",
            "11.0.0.0",
            "::ffff:10.0.0.1",
            "2001:db8::1",
            "2001:DB8:8000::",
            "2001:db8:0:0:0:0:0:1",
            "localhost",
            "10.0.0.1/32",
            "",
        ],
    },
    Family {
        operators: &["ArnEquals", "ArnLike", "ArnNotEquals", "ArnNotLike"],
        keys: &["aws:SourceArn"],
        policy_values: &[
            "arn:aws:sns:eu-west-1:111111111111:t",
            "arn:aws:sns:*:*:t*",
            "arn:aws:sns:*:t",
            "arn:aws:s?s:*:111111111111:*",
            "*",
            "arn:*:*:*:*:*",
            "arn:AWS:sns:*:*:t",
            "arn:aws:sns:*:*:${aws:username}",
            "arn:aws:sns:*:${app:a, '111111111111'}:*",
        ],
        request_values: &[
            "arn:aws:sns:eu-west-1:111111111111:t",
            "arn:aws:sns:eu-west-1:222222222222:t:u",
            "arn:aws:sqs:eu-west-1:111111111111:alice",
            "arn:aws:sns:*:*:t",
            "lambda",
            "arn:aws:sns:t",
            "",
        ],
    },
    Family {
        operators: &["StringLike", "StringEquals"],
        keys: &["app:a", "app:t"],
        policy_values: &["1*", "true", "${app:s}*${app:s}", "a*a*a*b"],
        request_values: &["111111111111", "222222222222", "true", "aaaaaaaaaaaaaaaaaaab"],
    },
];
