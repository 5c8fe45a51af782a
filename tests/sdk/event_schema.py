"""Events against docs/event.schema.json, by the `jsonschema` package, which knows nothing of crossgate.

    event_schema.py SCHEMA EVENTS.ndjson…

Each line has to be valid. Then lines are spoilt, one member at a time, and none may be valid any
more: a schema that lets anything pass would pass the first part too.
"""

import copy
import json
import pathlib
import sys

import jsonschema


def members(value, path=()):
    """The paths of all members below an object."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from members(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from members(inner, (*path, index))


def parent(event, path):
    for key in path[:-1]:
        event = event[key]
    return event


def spoilt(event):
    """The event with each member taken away, of another type, and with one more beside it."""
    for path in members(event):
        for spoil in ("without", "typed", "more"):
            copied = copy.deepcopy(event)
            holder, key = parent(copied, path), path[-1]
            if spoil == "without":
                del holder[key]
            elif spoil == "typed":
                holder[key] = None
            else:
                holder["unknown"] = 1
            yield f"{spoil} {'.'.join(map(str, path))}", copied


def wrong(event):
    """The event with single values that its other values contradict."""
    response = event["responseData"]
    if "decision" in response:
        copied = copy.deepcopy(event)
        copied["outcome"] = "failure" if event["outcome"] == "success" else "success"
        yield "another outcome than its decision", copied
    if "isEnforced" in response:
        copied = copy.deepcopy(event)
        copied["responseData"]["isEnforced"] = not response["isEnforced"]
        yield "enforced against its mode", copied
    if "sessionId" in response:
        copied = copy.deepcopy(event)
        copied["responseData"]["sessionId"] = "" if response["sessionId"] else event["id"]
        yield "another session than its decision", copied
    if "detection" in response or "sessionId" in response:
        copied = copy.deepcopy(event)
        copied["severity"] = "critical" if event["severity"] == "warning" else "warning"
        yield "another severity than its reason or detection", copied


def main(schema, files):
    schema = json.loads(pathlib.Path(schema).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    examples, counts = {}, {}
    for file in files:
        for number, line in enumerate(pathlib.Path(file).read_text().splitlines(), 1):
            event = json.loads(line)
            errors = list(validator.iter_errors(event))
            if errors:
                deepest = jsonschema.exceptions.best_match(errors)
                raise SystemExit(f"{file}:{number}: {deepest.json_path}: {deepest.message}\n{line}")
            counts[event["action"]] = counts.get(event["action"], 0) + 1
            # The longest of a kind has most to spoil.
            if len(line) < 6000 and len(line) > len(json.dumps(examples.get(event["action"], ""))):
                examples[event["action"]] = event
    if len(counts) < 3:
        raise SystemExit(f"only these kinds of events: {counts}")
    refused = 0
    for event in examples.values():
        for what, case in [*spoilt(event), *wrong(event)]:
            if validator.is_valid(case):
                raise SystemExit(f"valid, {what}: {json.dumps(case)}")
            refused += 1
    for action, count in sorted(counts.items()):
        print(f"{count:6} valid  {action}")
    print(f"{refused:6} refused, spoilt on purpose")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
