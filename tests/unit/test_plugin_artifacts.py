from posixpath import normpath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.uri import validate_path_is_safe

from extauthz.plugin.artifacts import check_file, check_stored, check_within
from extauthz.plugin.refusals import Denied, Malformed, Missing, Refusal
from extauthz.plugin.sources import check_source

RUN = "0123456789abcdef0123456789abcdef"
ROOT = f"7/{RUN}/artifacts"
MODEL = f"7/models/m-{RUN}/artifacts"
TRACE = f"7/traces/tr-{RUN}/artifacts"


@pytest.mark.parametrize(
    "path",
    [
        *(ROOT, f"{ROOT}/a", f"{ROOT}/a/b.txt", MODEL, f"{MODEL}/MLmodel"),
        *(f"workspaces/p1/{ROOT}", f"workspaces/p1/{MODEL}/a", f"{ROOT}/100%", f"{ROOT}/a b"),
        *(TRACE, f"{TRACE}/traces.json", f"workspaces/p1/{TRACE}/attachments/{RUN}"),
        *(f"7/traces/{RUN}/artifacts/a", "7/traces/a_b-C/artifacts/a"),
        *(f"{ROOT}/tracking/x", f"{ROOT}/workspaces/p2/x", f"{ROOT}/é", f"{ROOT}/step:1.png"),
        *(f"{ROOT}/{'x' * 255}", f"{ROOT}/{'é' * 127}/a"),
        *(f"{ROOT}/\uff0e\uff0e/a", f"{ROOT}/\ufffd"),  # full-width dots are no dots
    ],
)
def test_files_of_runs_models_and_traces_are_served(path: str) -> None:
    check_stored(path, "p1")


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/", f"/{ROOT}", f"{ROOT}/", f"{ROOT}//a", f"{ROOT}/./a", f"{ROOT}/../a"),
        *(f"{ROOT}/%2e%2e/a", f"{ROOT}/%252e", f"{ROOT}/a%2fb", f"{ROOT}/a%5cb", f"{ROOT}/a\\b"),
        *(f"{ROOT}/a%00", f"{ROOT}/a\0", f"{ROOT}/a\n", f"{ROOT}/a#b", f"{ROOT}/%41"),
        *(f"{ROOT}/{'x' * 256}", f"{ROOT}/{'é' * 128}", f"{ROOT}/a{'/aa' * 700}", f"{ROOT}/\ud800"),
        *("file:/etc/passwd", "FILE:///etc/passwd", "C:/windows", f"workspaces/p1/../p2/{ROOT}"),
    ],
)
def test_a_path_with_a_second_reading_is_refused(path: str) -> None:
    with pytest.raises(Malformed):
        check_stored(path, "p1")


@pytest.mark.parametrize(
    "path", [f"workspaces/p2/{ROOT}/a", f"workspaces/p11/{ROOT}", "workspaces/p2", "workspaces/p1"]
)
def test_the_files_of_another_project_are_not_there(path: str) -> None:
    with pytest.raises(Missing):
        check_stored(path, "p1")


@pytest.mark.parametrize(
    "path",
    [
        *("7", f"7/{RUN}", "7/models", f"7/models/m-{RUN}", f"workspaces/p1/7/{RUN}", "workspaces"),
        *(f"07/{RUN}/artifacts", f"0/{RUN}/artifacts", f"7/{RUN}/artifactsx", "a/b/artifacts/c"),
        *(f"7/{RUN[1:]}/artifacts", f"7/{RUN.upper()}/artifacts"),
        *("7/traces", f"7/traces/tr-{RUN}", "7/traces/artifacts", "7/traces/-a/artifacts/b"),
        *(f"7/traces/{'x' * 51}/artifacts/a", "7/traces/a.b/artifacts/c", "7/traces/é/artifacts"),
    ],
)
def test_nothing_at_or_above_a_run_is_served(path: str) -> None:
    with pytest.raises(Denied):
        check_stored(path, "p1")


@pytest.mark.parametrize("root", [ROOT, MODEL, f"workspaces/p1/{ROOT}"])
def test_a_file_has_a_name_of_its_own(root: str) -> None:
    check_file(f"{root}/artifacts", "p1")
    with pytest.raises(Malformed):
        check_file(root, "p1")


segments = st.text(st.characters(categories=["L", "N"], include_characters="-_ .:%"), min_size=1)


@given(st.lists(segments, min_size=1, max_size=4))
def test_mlflow_reads_what_was_checked(parts: list[str]) -> None:
    path = "/".join(parts)
    try:
        check_within(path)
    except Malformed:
        return
    assert validate_path_is_safe(path) == path
    assert normpath(path) == path


@pytest.mark.parametrize(
    "source",
    [
        *(f"runs:/{RUN}/model", f"models:/m-{RUN}", "models:/churn/1", f"mlflow-artifacts:/{ROOT}"),
        *(f"mlflow-artifacts:/workspaces/p1/{MODEL}", "dummy-source"),
    ],
)
def test_a_model_version_comes_from_its_own_project(source: str) -> None:
    check_source(source, "p1")


@pytest.mark.parametrize(
    "source",
    [
        *(
            "",
            "/etc",
            "etc",
            "file:///etc",
            "s3://bucket/x",
            "gs://b/x",
            "http://127.0.0.1/",
            "ftp://h/",
        ),
        *(f"mlflow-artifacts:/workspaces/p2/{ROOT}", f"mlflow-artifacts://host/{ROOT}", "dbfs:/x"),
        *(
            f"mlflow-artifacts:/{ROOT}/../x",
            f"mlflow-artifacts:/{ROOT}?x",
            f"mlflow-artifacts:/{ROOT}#x",
        ),
        *("s3:\n//bucket/x", "\tfile:/etc", " file:/etc", "models:/churn/1\n", "mod\rels:/churn/1"),
        *("models:/churn\\1", f"runs:/{RUN}\\..\\x", "runs:/\0", f"runs:\t//host/{RUN}/x"),
        *(f"runs://host/{RUN}/x", "models://host/churn/1", "mlflow-artifacts:/7", "hdfs://h/x"),
        *("runs://[", "mlflow-artifacts://[x]", "http://a\u2100b/"),
    ],
)
def test_a_model_version_comes_from_nowhere_else(source: str) -> None:
    """CVE-2023-1177, CVE-2023-2356, CVE-2024-3573: the server would read there itself."""
    with pytest.raises(Refusal):
        check_source(source, "p1")
