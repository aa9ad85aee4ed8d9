"""Sends generated requests to the API and compares its replies with the document: schemathesis, and a validator of
OpenAPI documents.

Usage: api_conformance.py URL DOCUMENT EXAMPLES [KEY]

DOCUMENT is what the server must serve; EXAMPLES is how many per operation. Prints every kind of failure once, and at
last how many there are.
"""

import json
import sys
from urllib.parse import parse_qsl, urlsplit

import jsonschema
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from openapi_spec_validator import validate
from schemathesis.checks import CHECKS
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode

url, path, examples = sys.argv[1], sys.argv[2], int(sys.argv[3])
headers = {"Authorization": f"Bearer {sys.argv[4]}"} if len(sys.argv) > 4 else {}
served = requests.get(f"{url}/openapi.json", headers=headers, timeout=10).json()
with open(path) as file:
    assert served == json.load(file), "the served document is not schemas/openapi.json"
validate(served)

# A stream has no end; its head is looked at by other tests. So are the events of a replay's progress, whose schemas the
# document has in x-events.
for streamed in ["/stream", "/replays/{replay_id}/progress"]:
    served["paths"].pop(streamed)
schema = schemathesis.openapi.from_dict(served)
schema.config.update(base_url=url)
wanted = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance",
    "negative_data_rejection",
]
checks = CHECKS.get_by_names(wanted)
problems = {}
count = 0

def is_valid_as_sent(operation, sent):
    """Whether a request is within the document once it is text: a list that "became" the number 0.0 is sent as the list of
    the one string "0.0", and an empty object as nothing at all, which the generator takes for violations."""
    declared = served["paths"][operation.path][operation.method]
    if "requestBody" in declared or "{" in operation.path:
        return False
    known = {one["name"]: one["schema"] for one in declared.get("parameters", []) if one["in"] == "query"}
    pairs = parse_qsl(urlsplit(sent).query, keep_blank_values=True)
    if len({name for name, _ in pairs}) < len(pairs):
        return False
    for name, text in pairs:
        if name not in known:
            return False
        kind = known[name].get("type")
        try:
            value = {"array": lambda: text.split(","), "integer": lambda: int(text), "number": lambda: float(text)}.get(
                kind, lambda: {"true": True, "false": False}.get(text, text))()
            jsonschema.validate(value, known[name])
        except (ValueError, jsonschema.ValidationError):
            return False
    return True


for result in schema.get_all_operations():
    operation = result.ok()
    strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    modes = [strategy]
    if operation.body or list(operation.query) or list(operation.path_parameters):
        modes.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    for strategy in modes:
        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def ask(case):
            global count
            count += 1
            try:
                response = case.call(headers=headers, timeout=20)
                case.validate_response(response, checks=checks)
            except FailureGroup as failures:
                for failure in failures.exceptions:
                    # What a client allows too little time for is late.
                    if response.status_code == 504 and "timeout_ms" in str(case.body) and "Server error" in failure.title:
                        continue
                    # 414 refuses too, though the check does not know it.
                    is_fine = response.status_code == 414 or is_valid_as_sent(operation, response.request.url)
                    if "Schema-violating" in failure.title and is_fine:
                        continue
                    problems.setdefault((operation.label, failure.title), str(failure)[:1500] + "\n" + case.as_curl_command())

        try:
            ask()
        except Unsatisfiable:
            # Some operations' parameters are text that may be anything, so there is nothing to violate.
            if strategy is modes[0]:
                raise
            print(f"{operation.label}: no request that violates the document was found", file=sys.stderr)

for (label, title), text in problems.items():
    print(f"{label}: {title}\n{text}\n")
print(f"{count} requests, {len(problems)} kinds of failures")
assert count >= len(served["paths"]) + 4 * examples, "too few requests were made"
