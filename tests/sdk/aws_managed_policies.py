"""Every policy that AWS itself manages, as moto carries them, is valid as what it can be used as.

usage: aws_managed_policies.py CROSSGATE

Ends with 0 if none of them has a finding that is an error. Prints how many there are, and what the
warnings are about.
"""

import collections
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from moto.iam.aws_managed_policies import aws_managed_policies_data

POLICIES_MIN = 1000
BATCH_FILES = 200
TYPES = ["identity", "boundary", "session"]
SHOWN_MAX = 20


def main():
    program = sys.argv[1]
    policies = json.loads(aws_managed_policies_data)
    if len(policies) < POLICIES_MIN:
        raise SystemExit(f"moto carries only {len(policies)} policies")
    with tempfile.TemporaryDirectory() as directory:
        files = [write(Path(directory), name, policy) for name, policy in policies.items()]
        refuse_one(program, Path(directory))
        for policy_type in TYPES:
            check(program, policy_type, files)


def write(directory, name, policy):
    file = directory / f"{name}.json"
    file.write_text(json.dumps(policy["Document"], indent=4), encoding="utf-8")
    return file


def refuse_one(program, directory):
    """What is checked below means nothing if nothing is refused."""
    file = write(directory, "wrong", {"Document": {"Statement": [{"Effect": "allow"}]}})
    status, report = validate(program, "identity", [file])
    errors = [each for each in report["findings"] if each["severity"] == "error"]
    if status != 1 or report["valid"] or not errors:
        raise SystemExit(f"a wrong policy is valid: {report}")


def check(program, policy_type, files):
    warnings, errors = collections.Counter(), []
    for start in range(0, len(files), BATCH_FILES):
        status, report = validate(program, policy_type, files[start : start + BATCH_FILES])
        found = [each for each in report["findings"] if each["severity"] != "warning"]
        if (status, report["valid"]) != (1 if found else 0, not found):
            raise SystemExit(f"exit {status}, valid {report['valid']}, {len(found)} errors")
        errors += found
        warnings.update(kind(each) for each in report["findings"] if each not in found)
    for each in errors[:SHOWN_MAX]:
        name = Path(each["file"]).name
        print(f"{name}:{each['line']}:{each['column']}: {each['message']}", file=sys.stderr)
    if errors:
        raise SystemExit(f"{len(errors)} errors in AWS's own policies as {policy_type}")
    print(f"ok: {len(files)} policies as {policy_type}, {warnings.total()} warnings")
    for message, count in warnings.most_common():
        print(f"    {count:5} {message}")


def validate(program, policy_type, files):
    command = [program, "policy", "validate", "--type", policy_type, "--format", "json", *files]
    ended = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if ended.returncode not in (0, 1):
        raise SystemExit(f"{policy_type}: exit {ended.returncode}")
    return ended.returncode, json.loads(ended.stdout)


def kind(finding):
    """A message without what it quotes and counts."""
    return re.sub(r"`[^`]*`|\b\d+\b", "…", finding["message"])


if __name__ == "__main__":
    main()
