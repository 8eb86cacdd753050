"""Requests that two readers could read in two ways, so that what is checked is not what is done."""

import gzip
import json

from tests.plugin.attack import Attack

_JSON = (("Content-Type", "application/json"),)
_TEXT = (("Content-Type", "text/plain"),)
_FORM = (("Content-Type", "application/x-www-form-urlencoded"),)
_TAG = b'"key": "colour", "value": "red"'
_OWN = b'"name": "churn"'
_VERSION, _SEARCH = "POST 2.0/mlflow/model-versions/create", "POST 2.0/mlflow/runs/search"
_SET, _GET = "POST 2.0/mlflow/runs/set-tag", "GET 2.0/mlflow/runs/get"
_THEIRS = b'{"run_id": "<theirs.run>", %s}' % _TAG

BODIES = (
    # MLflow's oldest clients send JSON within JSON, so it is read; and so is the id in it.
    Attack(109, _SET, json.dumps(_THEIRS.decode()).encode(), 404, _JSON),
    # Of two values the last counts, to us as to MLflow.
    Attack(109, _SET, b'{"run_id": "<ours.run>", "run_id": "<theirs.run>", %s}' % _TAG, 404, _JSON),
    Attack(
        109,
        _VERSION,
        b'{%s, "source": "models:/<ours.model>", "source": "/etc"}' % _OWN,
        None,
        _JSON,
    ),
    Attack(
        109,
        _SEARCH,
        b'{"experiment_ids": ["<theirs.experiment>"], "experiment_ids": []}',
        200,
        _JSON,
    ),
    Attack(109, _SET, b'{"run_id": "<ours.run>", "runId": "<theirs.run>", %s}' % _TAG, 400, _JSON),
    Attack(109, _SET, b'{"runId": "<theirs.run>", %s}' % _TAG, 400, _JSON),
    Attack(109, _SET, b'{"run_uuid": "<theirs.run>", %s}' % _TAG, 404, _JSON),
    Attack(109, f"{_SET}?run_id=<ours.run>", _THEIRS, 404, _JSON),
    Attack(109, _SET, _THEIRS, 400, _TEXT),
    Attack(109, _SET, _THEIRS, None, _FORM),
    Attack(109, _SET, gzip.compress(b"{}", mtime=0), 400, (*_JSON, ("Content-Encoding", "gzip"))),
    Attack(109, _SET, b"\xef\xbb\xbf" + _THEIRS, None, _JSON),
    Attack(109, _SET, _THEIRS + b" {}", 400, _JSON),
    Attack(109, _SET, b"", 400, _JSON),
    Attack(109, _SET, b"null", 400, _JSON),
    Attack(109, f"{_GET}?run_id=<ours.run>", b'{"run_id": "<theirs.run>"}', 400, _JSON),
    Attack(109, _GET, b'{"run_id": "<theirs.run>"}', 400, _JSON),
    Attack(109, f"{_GET}?run_id=<ours.run>&run_id=<theirs.run>", None, 200),
    Attack(109, f"{_GET}?run_id=<theirs.run>&run_id=<ours.run>", None, None),
    Attack(109, f"{_GET}?runId=<theirs.run>", None, None),
    Attack(109, f"{_GET}?run_uuid=<theirs.run>", None, 404),
    Attack(
        109,
        "GET /get-artifact?run_id=<ours.run>&run_uuid=<theirs.run>&path=more/data.txt",
        None,
        200,
    ),
    Attack(109, "GET /get-artifact?run_uuid=<theirs.run>&run_id=&path=data.txt", None, None),
)
NAMES = tuple(
    Attack(109, f"POST 2.0/mlflow/{kind}/create", body, 400)
    for kind in ("experiments", "registered-models")
    for body in (
        {},
        {"name": 5},
        {"name": None},
        {"name": ""},
        {"name": ["a"]},
        {"name": {"a": "b"}},
    )
)
JSON = (*BODIES, *NAMES)
