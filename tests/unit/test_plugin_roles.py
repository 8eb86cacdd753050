import pytest

from extauthz.grant import Grant, View, Why
from extauthz.levels import Role
from extauthz.plugin.refusals import Denied, Unavailable
from extauthz.plugin.roles import check, reason
from extauthz.plugin.rules import FLASK, NATIVE, Action, Artifact, Rule

TABLE = {**FLASK, **NATIVE}
READ = Rule(action=Action.READ, views=frozenset({View.PROJECT, View.GLOBAL}))
OPEN = Rule(action=Action.READ, views=frozenset({View.PROJECT, View.GLOBAL, View.PUBLIC}))
WRITES = [
    Rule(action=action, views=frozenset({View.PROJECT}))
    for action in Action
    if action is not Action.READ
]


def grant(role: Role = Role.READ, why: Why | None = None) -> Grant:
    return Grant(
        view=View.PROJECT, instance="i", role=role, why=why, project_id=1, project_path="a/b"
    )


def everything(why: Why | None = Why.GLOBAL) -> Grant:
    return Grant(view=View.GLOBAL, instance="i", why=why)


@pytest.mark.parametrize("rule", [READ, *WRITES])
def test_a_developer_does_everything(rule: Rule) -> None:
    assert check(grant(Role.WRITE), rule) is rule


@pytest.mark.parametrize("why", [None, *Why])
def test_a_reader_reads(why: Why | None) -> None:
    assert check(grant(why=why), READ) is READ


@pytest.mark.parametrize("rule", WRITES)
@pytest.mark.parametrize(
    ("why", "words"),
    [
        (None, "Developer"),
        (Why.GUEST, "Developer"),
        (Why.ARCHIVED, "archived"),
        (Why.TOKEN, "api"),
        (Why.VISITOR, "not a member"),
    ],
)
def test_a_reader_is_told_why_it_only_reads(rule: Rule, why: Why | None, words: str) -> None:
    with pytest.raises(Denied, match=words):
        check(grant(why=why), rule)


@pytest.mark.parametrize("given", [*(grant(why=why) for why in (None, *Why)), everything()])
def test_the_page_gives_the_reason_that_a_refusal_gives(given: Grant) -> None:
    with pytest.raises((Denied, Unavailable)) as refused:
        check(given, WRITES[0])

    assert reason(given) == f"{refused.value}."
    assert reason(grant(Role.WRITE)) == ""


@pytest.mark.parametrize("rule", WRITES)
@pytest.mark.parametrize("why", [None, Why.GLOBAL])
def test_a_write_to_all_projects_names_the_address_of_one(rule: Rule, why: Why | None) -> None:
    with pytest.raises(Denied, match="<project path>/tracking/"):
        check(everything(why), rule)


@pytest.mark.parametrize("rule", WRITES)
@pytest.mark.parametrize("stale", [grant(why=Why.STALE), everything(Why.STALE)])
def test_a_write_under_an_old_answer_of_gitlab_is_worth_a_second_try(
    rule: Rule, stale: Grant
) -> None:
    with pytest.raises(Unavailable) as refused:
        check(stale, rule)
    assert "Retry-After" in refused.value.headers()


def test_what_belongs_to_one_project_is_opened_there() -> None:
    with pytest.raises(Denied, match="open it in its project"):
        check(everything(), Rule(action=Action.READ, views=frozenset({View.PROJECT})))


def test_the_public_sees_what_is_public() -> None:
    public = Grant(view=View.PUBLIC, instance="i")
    assert check(public, OPEN) is OPEN
    with pytest.raises(Denied, match="Log in"):
        check(public, READ)


@pytest.mark.parametrize("view", [View.SYSTEM, View.PUBLIC])
def test_no_view_without_projects_reaches_anything_of_theirs(view: View) -> None:
    reached = {key for key, rule in TABLE.items() if view in rule.views}
    public = {("GET", "/health"), ("GET", "/version"), ("GET", "/static-files/<path:path>")}
    assert reached == (public if view is View.PUBLIC else set())


def test_without_a_grant_or_without_a_rule_nothing_is_allowed() -> None:
    with pytest.raises(Denied):
        check(None, OPEN)
    with pytest.raises(Denied, match="switched off"):
        check(grant(Role.WRITE), None)


def test_nothing_is_written_outside_of_a_project() -> None:
    writes = [rule for rule in TABLE.values() if rule.action is not Action.READ]
    assert writes
    assert {view for rule in writes for view in rule.views} == {View.PROJECT}


def test_every_twin_has_the_same_rule() -> None:
    for (method, path), rule in TABLE.items():
        if path.startswith("/api/"):
            assert TABLE[method, path.replace("/api/", "/ajax-api/", 1)] == rule


def test_a_path_is_checked_wherever_an_endpoint_takes_one() -> None:
    for (_, path), rule in TABLE.items():
        takes_path = "artifact" in path
        assert (rule.artifact is not Artifact.NONE) is (takes_path or bool(rule.parameter))
