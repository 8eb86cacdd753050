from concurrent.futures import ThreadPoolExecutor
from http.client import IncompleteRead

import pytest

from tests.gitlab import DEVELOPER, GitLab
from tests.oidc_client import CALLBACK, SCOPE, VERIFIER, Client

USER = "/api/v4/user"


@pytest.fixture
def client(running: GitLab) -> Client:
    running.reset()
    running.create_user("ann")
    return Client.registered(running)


def test_a_code_brings_a_pair_of_tokens_for_two_hours(client: Client) -> None:
    answer = client.redeem(client.code())

    body = answer.body
    assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 7200, SCOPE)
    assert body.keys() > {"access_token", "refresh_token", "created_at", "id_token"}
    assert "no-store" in answer.headers["cache-control"]


def test_the_access_token_works_everywhere_with_its_scopes(client: Client) -> None:
    client.gitlab.create_project("acme/vision")
    client.gitlab.add_member("acme/vision", "ann", DEVELOPER)
    wide, narrow = (
        client.sign_in(scope=scope)["access_token"] for scope in (SCOPE, "openid read_user")
    )

    assert client.get(USER, wide).body["username"] == "ann"
    assert client.get("/api/v4/projects/1", wide).status == 200
    assert client.get(USER, narrow).status == 200
    assert client.get("/api/v4/projects/1", narrow).body["error"] == "insufficient_scope"
    info = client.get("/oauth/token/info", narrow).body
    assert (info["scope"], info["application"]) == (
        ["openid", "read_user"],
        {"uid": client.client_id},
    )


def test_a_code_works_once(client: Client) -> None:
    code = client.code()

    assert client.redeem(code).status == 200
    again = client.redeem(code)
    assert (again.status, again.body["error"]) == (400, "invalid_grant")


def test_a_code_expires(client: Client) -> None:
    client.gitlab.tamper(code_lifetime=0)

    assert client.redeem(client.code()).body["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"code_verifier": "another-verifier-of-the-right-length-altogether"}, "invalid_grant"),
        ({"code_verifier": None}, "invalid_request"),
        ({"redirect_uri": f"{CALLBACK}/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"code": "0" * 64}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_secret": "gloas-wrong"}, "invalid_client"),
        ({"client_secret": None}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
    ],
)
def test_a_wrong_exchange_is_refused_and_leaves_the_code_alone(
    client: Client, changes: dict[str, str | None], error: str
) -> None:
    code = client.code()

    answer = client.redeem(code, **changes)
    assert answer.body["error"] == error
    assert answer.body["error_description"]
    assert answer.status == (401 if error == "invalid_client" else 400)
    assert f'error="{error}"' in answer.headers["www-authenticate"]
    assert client.redeem(code).status == 200


def test_a_verifier_that_nobody_asked_for_is_refused(client: Client) -> None:
    code = client.code(code_challenge=None, code_challenge_method=None)

    assert client.redeem(code).body["error"] == "invalid_grant"
    assert client.redeem(code, code_verifier=None).status == 200


def test_a_plain_challenge_is_its_own_verifier(client: Client) -> None:
    code = client.code(code_challenge=VERIFIER, code_challenge_method="plain")

    assert client.redeem(code).status == 200


def test_a_code_is_no_use_to_another_application(client: Client) -> None:
    other = Client.registered(client.gitlab)

    assert other.redeem(client.code()).body["error"] == "invalid_grant"


def test_the_secret_may_come_as_basic(client: Client) -> None:
    form = {"grant_type": "authorization_code", "redirect_uri": CALLBACK, "code_verifier": VERIFIER}
    code = client.code()

    wrong = client.post_basic("token", "gloas-wrong", code=code, **form)
    assert (wrong.status, wrong.body["error"]) == (401, "invalid_client")
    assert client.post_basic("token", client.secret, code=code, **form).status == 200


def test_a_refresh_ends_both_old_tokens(client: Client) -> None:
    old = client.sign_in()

    new = client.refresh(old["refresh_token"]).body
    assert client.get(USER, old["access_token"]).status == 401
    assert client.get(USER, new["access_token"]).status == 200
    again = client.refresh(old["refresh_token"])
    assert (again.status, again.body["error"]) == (400, "invalid_grant")
    assert client.refresh(new["refresh_token"]).status == 200


def test_of_many_refreshes_at_once_one_succeeds(client: Client) -> None:
    refresh_token = client.sign_in()["refresh_token"]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(client.refresh, [refresh_token] * 16))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 15


def test_a_refreshed_id_token_keeps_the_time_of_the_login_and_has_no_nonce(client: Client) -> None:
    old = client.sign_in()
    new = client.refresh(old["refresh_token"]).body

    first, second = (client.verified(body["id_token"]) for body in (old, new))
    assert second["auth_time"] == first["auth_time"]
    assert "nonce" not in second


def test_an_expired_access_token_can_be_refreshed(client: Client) -> None:
    old = client.sign_in()
    client.gitlab.expire_access_tokens("ann")

    assert "expired" in client.get(USER, old["access_token"]).body["error_description"]
    new = client.refresh(old["refresh_token"]).body
    assert client.get(USER, new["access_token"]).status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"redirect_uri": f"{CALLBACK}/"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"refresh_token": None}, "invalid_request"),
        ({"refresh_token": "0" * 64}, "invalid_grant"),
        ({"client_secret": "gloas-wrong"}, "invalid_client"),
        ({"scope": "openid sudo"}, "invalid_scope"),
    ],
)
def test_a_wrong_refresh_is_refused_and_loses_nothing(
    client: Client, changes: dict[str, str | None], error: str
) -> None:
    tokens = client.sign_in()

    assert client.refresh(tokens["refresh_token"], **changes).body["error"] == error
    assert client.get(USER, tokens["access_token"]).status == 200
    assert client.refresh(tokens["refresh_token"]).status == 200


def test_a_refresh_token_is_no_use_to_another_application(client: Client) -> None:
    tokens, other = client.sign_in(), Client.registered(client.gitlab)

    assert other.refresh(tokens["refresh_token"]).body["error"] == "invalid_grant"
    assert client.refresh(tokens["refresh_token"]).status == 200


def test_a_refresh_may_ask_for_less(client: Client) -> None:
    answer = client.refresh(client.sign_in()["refresh_token"], scope="openid read_user")

    assert answer.body["scope"] == "openid read_user"


def test_with_late_revocation_the_old_pair_ends_when_the_new_token_is_used(client: Client) -> None:
    client.gitlab.tamper(late_revocation=True)
    old = client.sign_in()
    new = client.refresh(old["refresh_token"]).body

    assert client.get(USER, old["access_token"]).status == 200
    assert client.get(USER, new["access_token"]).status == 200
    assert client.get(USER, old["access_token"]).status == 401
    assert client.refresh(old["refresh_token"]).body["error"] == "invalid_grant"


def test_an_answer_lost_on_its_way_has_used_the_refresh_token_up(client: Client) -> None:
    tokens = client.sign_in()
    client.gitlab.faults("truncate", path="^/oauth/token$", times=1)

    with pytest.raises(IncompleteRead):
        client.refresh(tokens["refresh_token"])
    assert client.refresh(tokens["refresh_token"]).body["error"] == "invalid_grant"


def test_the_token_endpoint_breaks_before_it_does_anything(client: Client) -> None:
    tokens = client.sign_in()
    client.gitlab.faults("error", path="^/oauth/token$", status=503, times=1)

    assert client.refresh(tokens["refresh_token"]).status == 503
    assert client.refresh(tokens["refresh_token"]).status == 200


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
def test_revoking_either_token_ends_both(client: Client, which: str) -> None:
    tokens = client.sign_in()

    assert client.post("revoke", token=tokens[which]).status == 200
    assert client.get(USER, tokens["access_token"]).status == 401
    assert client.refresh(tokens["refresh_token"]).body["error"] == "invalid_grant"


def test_revoking_what_nobody_knows_is_no_error(client: Client) -> None:
    assert client.post("revoke", token="0" * 64).status == 200


def test_only_the_application_itself_revokes(client: Client) -> None:
    tokens, other = client.sign_in(), Client.registered(client.gitlab)

    assert other.post("revoke", token=tokens["access_token"]).status == 403
    assert client.post("revoke", token=tokens["access_token"], client_secret="x").status == 401
    assert client.get(USER, tokens["access_token"]).status == 200


def test_a_user_takes_back_what_applications_hold(client: Client) -> None:
    tokens = client.sign_in()
    client.gitlab.revoke_applications("ann")

    assert client.get(USER, tokens["access_token"]).status == 401
    assert client.refresh(tokens["refresh_token"]).body["error"] == "invalid_grant"


def test_introspection_is_for_the_application_itself(client: Client) -> None:
    tokens, other = client.sign_in(), Client.registered(client.gitlab)

    body = client.post("introspect", token=tokens["access_token"]).body
    assert (body["active"], body["client_id"], body["scope"]) == (True, client.client_id, SCOPE)
    assert body["exp"] - body["iat"] == 7200
    assert other.post("introspect", token=tokens["access_token"]).body == {"active": False}
    client.post("revoke", token=tokens["access_token"])
    assert client.post("introspect", token=tokens["access_token"]).body == {"active": False}


def test_refreshes_can_be_counted(client: Client) -> None:
    client.refresh(client.sign_in()["refresh_token"])

    grants = [call.operation for call in client.gitlab.calls("^/oauth/token$")]
    assert grants == ["authorization_code", "refresh_token"]
