"""Uploads in parts: of one file of one project, by whoever may write there when it becomes one."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError

from extauthz.grant import Grant, Why
from extauthz.levels import Role
from extauthz.plugin.rules import FLASK, Action, Key
from tests.plugin.endpoint import UPLOADS, Fields
from tests.plugin.test_artifact_paths import TRICKS, _path
from tests.plugin.uploads import API, BUCKET, LARGE, Stores, Upload, put, stores
from tests.plugin.world import ARTIFACTS, World, build
from tests.servers.mlflow import PUBLIC, SYSTEM, Answer, MLflow, everything, project
from tests.servers.s3 import SECRET

UNSUPPORTED = "Multipart upload is not supported for the current artifact repository"
MOST_PARTS = 1000
STEPS = ("create", "complete", "abort")
each_step = pytest.mark.parametrize("step", STEPS)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with stores(tmp_path_factory.mktemp("stores")) as running:
        yield running


@pytest.fixture(scope="module")
def a(stored: Stores) -> World:
    return build(stored.mlflow, 1)


@pytest.fixture(scope="module")
def b(stored: Stores) -> World:
    return build(stored.mlflow, 2)


def read(stored: Stores, world: World, name: str) -> Answer:
    return stored.mlflow.ask("GET", f"{ARTIFACTS}/{world.files}/{name}", world.grant)


@pytest.mark.parametrize("api", [API, API.replace("/api/", "/ajax-api/")])
def test_parts_become_a_file_when_the_upload_is_completed(
    stored: Stores, a: World, api: str
) -> None:
    upload = Upload(stored.mlflow, a, f"100% {api.split('/')[1]}/é.bin", api).begin(3)
    sent = upload.send(LARGE, LARGE, b"end")
    assert upload.key not in stored.s3.contents(BUCKET)

    assert upload.complete(sent).status == 200

    content = stored.s3.client().get_object(Bucket=BUCKET, Key=upload.key)
    assert content["Body"].read() == LARGE + LARGE + b"end"
    assert content["ETag"].endswith('-3"')
    assert upload.id not in stored.begun()


def test_a_file_of_the_same_name_stays_until_then(stored: Stores, a: World) -> None:
    upload = Upload(stored.mlflow, a, "data.txt").begin(1)
    sent = upload.send(b"new")
    assert read(stored, a, "data.txt").body == b"secret-1"
    upload.complete(sent)
    assert read(stored, a, "data.txt").body == b"new"
    a_again = stored.mlflow.ask("PUT", f"{ARTIFACTS}/{upload.key}", a.grant, b"secret-1")
    assert a_again.status == 200


@pytest.mark.parametrize("key", UPLOADS, ids=lambda key: key[1])
def test_each_step_takes_a_developer_of_the_project(
    stored: Stores, a: World, b: World, key: Key
) -> None:
    upload = Upload(stored.mlflow, b, api=key[1].partition("/mpu/")[0] + "/mpu").begin(1)
    step = key[1].partition("/mpu/")[2].partition("/")[0]
    number, tag = upload.send(b"content")[0]
    fields = {"num_parts": 1, "parts": [{"part_number": number, "etag": tag}]}
    before = stored.contents()

    foreign = upload.ask(step, a.grant, **fields)
    guests = [upload.ask(step, grant, **fields) for grant in _readers(b)]

    assert (foreign.status, foreign.json["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert [(each.status, each.json["error_code"]) for each in guests] == [
        (403, "PERMISSION_DENIED")
    ] * len(guests)
    assert stored.contents() == before
    assert FLASK[key].action is Action.UPDATE
    assert upload.ask(step, **fields).status == 200


def _readers(world: World) -> list[Grant]:
    guest = project(world.number, Role.READ, Why.GUEST)
    return [guest, everything(world.number), PUBLIC, SYSTEM]


def test_without_a_grant_there_is_no_step(stored: Stores, a: World) -> None:
    for step in STEPS:
        answer = stored.mlflow.ask("POST", f"{API}/{step}/{a.files}", None, {"path": "x"})
        assert answer.status == 403


def test_an_address_is_that_of_one_part_and_of_nothing_else(
    stored: Stores, a: World, b: World
) -> None:
    """GHSA-xm99-m3gq-83g8 and its kin: a copy that nobody signed reads any project's files."""
    upload, other = Upload(stored.mlflow, a).begin(2), Upload(stored.mlflow, b).begin(2)
    url = upload.urls[0]
    theirs = f"{BUCKET}/{b.files}/data.txt"
    before = stored.contents()

    tried = [
        *(put(url, method=method) for method in ("GET", "HEAD", "POST", "DELETE")),
        put(url.replace("partNumber=1", "partNumber=2"), b"x"),
        put(url.replace("partNumber=1&", ""), b"x"),
        put(url.replace(upload.id, other.id), b"x"),
        put(url.replace(f"uploadId={upload.id}&", ""), b"x"),
        put(url.replace("model.bin", "data.txt"), b"x"),
        put(url.replace(f"/p{a.number}/", f"/p{b.number}/"), b"x"),
        put(url.replace(f"/{BUCKET}/", "/probe/"), b"x"),
        put(url.replace("Expires=3600", "Expires=36000"), b"x"),
        *(put(f"{url}&{more}", b"x") for more in ("acl", "tagging", "versionId=1", "uploads")),
        *(put(url, x_amz_copy_source=source) for source in (theirs, f"/{theirs}")),
        put(url, x_amz_copy_source=theirs, x_amz_copy_source_range="bytes=0-3"),
        put(url, b"x", x_amz_acl="public-read"),
    ]

    assert {answer.status for answer in tried} <= {400, 403}
    assert not [answer for answer in tried if b"secret-2" in answer.body]
    assert stored.contents() == before
    for each in (upload, other):
        listed = stored.s3.client().list_parts(Bucket=BUCKET, Key=each.key, UploadId=each.id)
        assert "Parts" not in listed


def test_an_answer_holds_addresses_of_the_file_and_no_secret(stored: Stores, a: World) -> None:
    answer = Upload(stored.mlflow, a).ask("create", num_parts=3)

    assert SECRET.encode() not in answer.body
    assert {*answer.json} == {"upload_id", "credentials"}
    assert [{*each} for each in answer.json["credentials"]] == [{"url", "part_number"}] * 3
    for number, each in enumerate(answer.json["credentials"], start=1):
        address, query = urlsplit(each["url"]), parse_qs(urlsplit(each["url"]).query)
        assert address.path == f"/{BUCKET}/{a.files}/model.bin"
        assert query["uploadId"] == [answer.json["upload_id"]]
        assert query["partNumber"] == [str(number)]
        assert int(query["X-Amz-Expires"][0]) <= 3600


def test_an_upload_is_that_of_one_file(stored: Stores, a: World, b: World) -> None:
    """The S3 server itself says so, for whichever path MLflow asks it."""
    ours, theirs = Upload(stored.mlflow, a).begin(1), Upload(stored.mlflow, b).begin(1)
    sent = {ours.id: ours.send(b"ours"), theirs.id: theirs.send(b"theirs")}
    beside = Upload(stored.mlflow, a, "other.bin").begin(1)
    before = stored.contents()

    for upload, foreign in ((ours, theirs), (theirs, ours), (ours, beside), (beside, ours)):
        mixed = Upload(stored.mlflow, upload.world, upload.name, id=foreign.id)
        answers = [mixed.complete(sent.get(foreign.id, [(1, "x")])), mixed.ask("abort")]
        assert [answer.status for answer in answers] == [404, 404]
        with pytest.raises(ClientError, match="NoSuchUpload"):
            stored.s3.client().abort_multipart_upload(
                Bucket=BUCKET, Key=upload.key, UploadId=foreign.id
            )
    assert stored.contents() == before
    assert [each.complete(sent[each.id]).status for each in (ours, theirs)] == [200, 200]
    assert read(stored, b, "model.bin").body == b"theirs"


def test_whoever_may_not_write_any_more_writes_nothing(stored: Stores, a: World) -> None:
    """The addresses live on; what is sent there is in no file."""
    upload = Upload(stored.mlflow, a, "late.bin").begin(1)
    reader = project(a.number, Role.READ, Why.GUEST)
    before = stored.contents()

    sent = upload.send(b"late")

    assert upload.complete(sent, reader).status == upload.ask("abort", reader).status == 403
    assert stored.contents() == before
    assert read(stored, a, "late.bin").status in (404, 500)


@pytest.mark.parametrize("end", ["complete", "abort"])
def test_an_address_ends_with_its_upload(stored: Stores, a: World, end: str) -> None:
    upload = Upload(stored.mlflow, a, f"{end}.bin").begin(1)
    sent = upload.send(b"first")
    ended = upload.complete(sent) if end == "complete" else upload.ask("abort")
    before = stored.contents()

    assert ended.status == 200
    assert put(upload.urls[0], b"second").status == 404
    # S3 may say again that it has ended.
    assert {upload.complete(sent).status, upload.ask("abort").status} <= {200, 404}
    assert stored.contents() == before


def test_a_folder_with_a_second_reading_reaches_nothing(stored: Stores, a: World, b: World) -> None:
    """88."""
    body = {"path": "x", "num_parts": 1, "upload_id": "x", "parts": [_PART]}
    before = stored.contents()

    for trick in TRICKS:
        for step in STEPS:
            path = f"{API}/{step}/{_path(trick, a, b)}"
            answer = stored.mlflow.ask("POST", path, a.grant, body)
            assert answer.status in (400, 403, 404), path
    assert stored.contents() == before


def _each(field: str, *values: object) -> list[Fields]:
    return [{field: value} for value in values]


_PART: Fields = {"part_number": 1, "etag": "x"}
_NAMES = _each(
    "path",
    *(
        "",
        ".",
        "..",
        "/",
        "x/",
        "x/..",
        "a/.",
        "%2e%2e",
        "a%2fb",
        "a\n",
        "a#b",
        "file:x",
        "x" * 256,
    ),
    *(None, 5, []),
)
_CREATES = [
    *_NAMES,
    *_each("num_parts", 0, -1, 1.5, "x", *(None, True, [1]), 10**30),
    {"numParts": 2},
]
_ENDS = [
    *_NAMES,
    *_each(
        "upload_id", "", ".", "..", "a/b", "../x", "a b", "é", "a\n", "x" * 1025, None, 5, ["x"]
    ),
]
_COMPLETES = [
    *_ENDS,
    *_each("parts", [], [{}], None, "x", {"part_number": 1}, [None], [1]),
    *_each("parts", *([_PART | {"part_number": each}] for each in (0, -1, MOST_PARTS + 1, "x"))),
    *_each("parts", *([_PART | {"etag": each}] for each in ("", None, 5))),
    *_each("parts", [_PART] * (MOST_PARTS + 1)),
    {"uploadId": "x"},
]


@pytest.mark.parametrize(
    ("step", "fields"),
    [
        *(("create", fields) for fields in _CREATES),
        *(("complete", fields) for fields in _COMPLETES),
        *(("abort", fields) for fields in _ENDS),
    ],
)
def test_a_body_that_no_client_sends_is_malformed(
    stored: Stores, a: World, step: str, fields: Fields
) -> None:
    begun = stored.begun()

    answer = Upload(stored.mlflow, a, id="x").ask(
        step, **({"num_parts": 1, "parts": [_PART]} | fields)
    )

    assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert stored.begun() == begun


@pytest.mark.parametrize("body", [None, b"", b"[]", b"null", b'"x"', b"{", b"[" * 10_000])
@each_step
def test_a_body_is_an_object(stored: Stores, a: World, step: str, body: bytes | None) -> None:
    kind = [("Content-Type", "application/json")]
    answer = stored.mlflow.ask("POST", f"{API}/{step}/{a.files}", a.grant, body, kind)
    assert answer.status == 400


def test_a_query_changes_nothing(stored: Stores, a: World, b: World) -> None:
    """109: one reading, for the check and for MLflow."""
    path = f"{API}/create/{a.files}?path={b.files}/x&artifact_path={b.files}&num_parts=7"
    answer = stored.mlflow.ask("POST", path, a.grant, {"path": "x.bin", "num_parts": 1})
    urls = [each["url"] for each in answer.json["credentials"]]
    assert [urlsplit(url).path for url in urls] == [f"/{BUCKET}/{a.files}/x.bin"]


def test_parts_that_the_s3_server_does_not_have_are_malformed(stored: Stores, a: World) -> None:
    """A failure would have MLflow's client try for minutes."""
    upload = Upload(stored.mlflow, a, "wrong.bin").begin(3)
    sent = upload.send(b"short", LARGE, b"end")
    for parts in ([(1, "0" * 32)], [(7, sent[0][1])], [sent[1], sent[0]], sent):
        answer = upload.complete(parts)
        assert (answer.status, answer.json["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), parts


@pytest.mark.parametrize(
    "fields", [{"num_parts": MOST_PARTS + 1}, {"num_parts": 10**9}, {"path": "C:\\data\\model.bin"}]
)
def test_some_files_are_uploaded_in_one_piece(stored: Stores, a: World, fields: Fields) -> None:
    begun = stored.begun()
    _is_unsupported(Upload(stored.mlflow, a).ask("create", **({"num_parts": 1} | fields)))
    assert stored.begun() == begun


def test_as_many_parts_as_may_be_are_signed(stored: Stores, a: World) -> None:
    assert len(Upload(stored.mlflow, a).begin(MOST_PARTS).urls) == MOST_PARTS


@each_step
def test_files_in_a_folder_are_uploaded_in_one_piece(
    server: MLflow, ours: World, theirs: World, step: str
) -> None:
    fields = {"num_parts": 1, "parts": [_PART]}
    before = server.contents()

    _is_unsupported(Upload(server, ours, id="x").ask(step, **fields))
    assert Upload(server, theirs, id="x").ask(step, ours.grant, **fields).status == 404
    assert server.contents() == before


def _is_unsupported(answer: Answer) -> None:
    """MLflow's client goes on in one piece at these words."""
    assert (answer.status, answer.json["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert answer.json["message"].startswith(UNSUPPORTED)
