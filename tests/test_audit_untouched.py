"""Nothing in the application alters or deletes an audit record. The source is walked for whatever could: every command that
changes a key, and every place that can name an audit record.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from dashboard import keys
from dashboard.repository import audit

ROOT = Path(settings.BASE_DIR) / "dashboard"
CODE = sorted(ROOT.rglob("*.py"))

NAMES = {name for name, family in keys.CATALOGUE.items() if family in audit.FAMILIES}
"""keys.policy_audit, ...: who builds the name of an audit record mentions one of these, or one of the next."""
CALLED = {name for name, value in vars(audit).items() if isinstance(value, keys.Family) and value in audit.FAMILIES}

CHANGING = {
    "append", "copy", "delete", "expire", "expireat", "expire_at", "getdel", "getex", "getset", "incr", "migrate",
    "move", "persist", "pexpire", "pexpireat", "rename", "renamenx", "restore", "set", "set_keeping", "set_until",
    "setex", "setrange", "unlink",
}  # fmt: skip
"""Methods of a client, a pipeline or a Change that alter, end or move a string key or its lifetime."""

MAY_NAME = {
    "repository.audit": "appends them, by SET NX, and reads them",
    "repository.payments": "appends and reads payments",
    "repository.claim_steps": "appends the payment of a claim",
    "sample": "loads the document's records, which are never replaced",
}
"""Modules that can name an audit record of their own making, and why."""


def module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def mentions(path: Path) -> Iterator[ast.Call]:
    """Calls that make the name of an audit record: `keys.policy_audit(...)`, `audit.ACCESS(...)`, `ACCESS(...)`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in {f"keys.{each}" for each in NAMES} | {f"audit.{each}" for each in CALLED} | CALLED:
            yield node


def changing(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of each call that changes a key whose name is an audit record's, or was made from one."""
    parsed = ast.parse(path.read_text())
    for scope in ast.walk(parsed):
        if not isinstance(scope, ast.FunctionDef):
            continue
        calls = [node for node in ast.walk(scope) if isinstance(node, ast.Call)]
        made = {
            target.id
            for node in ast.walk(scope)
            if isinstance(node, ast.Assign) and is_record(node.value)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for call in calls:
            if not (isinstance(call.func, ast.Attribute) and call.func.attr.lower() in CHANGING):
                continue
            named = {node.id for part in call.args for node in ast.walk(part) if isinstance(node, ast.Name)}
            if named & made or any(is_record(part) for part in call.args):
                yield call.lineno, ast.unparse(call)


def is_record(node: ast.AST) -> bool:
    """Whether an expression makes an audit record's name."""
    families = {f"keys.{each}" for each in NAMES} | {f"audit.{each}" for each in CALLED} | CALLED
    return any(isinstance(each, ast.Call) and ast.unparse(each.func) in families for each in ast.walk(node))


def test_whoever_can_name_an_audit_record_is_known() -> None:
    named = {module(path) for path in CODE if any(mentions(path))}
    assert named == set(MAY_NAME), "say why it may, and that it only appends or reads"


def test_no_command_that_changes_a_key_is_given_an_audit_records_name() -> None:
    found = [f"{module(path)} line {line}: {text}" for path in CODE for line, text in changing(path)]
    assert found == []


def test_it_would_be_seen() -> None:
    bad = Path(settings.DATA_DIR) / "bad.py"
    bad.write_text(
        "def f(client, draft):\n"
        "    name = keys.policy_audit('auto', '1', '20240818')\n"
        "    client.delete(name)\n"
        "    draft.set_until(audit.ACCESS('CUST001', '20240818'), '', 1)\n"
        "    client.get(name)\n"
    )
    try:
        assert [line for line, _ in changing(bad)] == [3, 4]
        assert len(list(mentions(bad))) == 2
    finally:
        bad.unlink()


def test_records_are_appended_by_set_nx_and_in_no_other_way() -> None:
    source = (ROOT / "repository" / "audit.py").read_text()
    sent = {
        node.args[0].value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "record"
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert sent == {"ZADD", "PEXPIREAT", "RPUSH"}, "lists and the queue"
    methods = {
        node.func.attr for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }  # fmt: skip
    assert methods & {"set", "set_keeping", "delete", "unlink", "persist", "expire_at", "getdel", "rename"} == set()
    assert "set_once" in methods


def test_holds_touch_nothing_but_lifetimes() -> None:
    """Of the key that is held: what else they write are hashes of their own."""
    source = ast.parse((ROOT / "repository" / "holds.py").read_text())
    for node in ast.walk(source):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        text = ast.unparse(node)
        if node.func.attr == "delete":
            assert text == "draft.delete(keys.hold(hold))"
        if node.func.attr == "record":
            assert node.args[0].value in ("HSET", "HDEL", "PEXPIREAT")  # type: ignore[attr-defined]
            assert ast.unparse(node.args[1]) in ("keys.held()", "keys.hold(hold)", "keys.hold(hold.id)", "listed"), text
        assert node.func.attr not in ("set", "set_until", "set_keeping", "unlink", "rename", "getdel"), text
