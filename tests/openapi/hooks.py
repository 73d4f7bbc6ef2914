"""What schemathesis does not know of a node: what waits must not stall it, and which answers of 500 and more are none of a
fault."""

import re

import schemathesis

WAIT = "20ms"
KNOWN = {"protocol": "example", "service": "form", "host": "beta.test"}
EXCHANGES_MAX = 4
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


exchanges = []


def seconds(text):
    match = re.fullmatch(r"([0-9]+)(ms|s|m|h|d)", str(text))
    return int(match[1]) * UNITS[match[2]] if match else None


def known(parts):
    """Every other guess of a name becomes one that the node knows: else nothing but 403 and 404 would be seen."""
    if sum(len(str(part)) for part in parts.values()) % 2:
        return parts
    return parts | {name: text for name, text in KNOWN.items() if name in parts}


@schemathesis.hook
def before_call(context, case, kwargs):
    """A wait within its bounds becomes a short one; one that is refused stays as it is."""
    if case.path_parameters:
        case.path_parameters = known(case.path_parameters)
    if case.operation.path.endswith("/connect") and case.path_parameters["host"] == KNOWN["host"]:
        # An exchange per peer in 2 s at most: the next one waits for that.
        exchanges.append(1)
        if len(exchanges) > EXCHANGES_MAX:
            case.path_parameters = {"host": "gamma.test"}
    if case.operation.path == "/v1/requests" and not (case.query or {}).get("wait"):
        case.query = {**(case.query or {}), "wait": WAIT}
    elif (time := seconds((case.query or {}).get("wait"))) is not None and 0.02 < time <= 60:
        case.query = {**case.query, "wait": WAIT}


@schemathesis.check
def faults_of_the_node(ctx, response, case):
    """No 500. 502, 503 and 504 are answers of a node that works, where the document has them (another check)."""
    status = response.status_code
    assert status < 500 or status in (502, 503, 504), f"{status}: a fault of the node"
    if status == 503 and case.operation.path != "/readyz":
        assert response.headers.get("retry-after"), "503 says when to come back"
