"""The shape of the project: data flows one way, key names are made in one place, and pages hold nothing inline."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

from dashboard import keys

ROOT = Path(settings.BASE_DIR)
CODE = sorted((ROOT / "dashboard").rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))

# What each part may import of the project. Whatever is not named here (accounts, commands, middleware, the processes)
# stands above all of them, and nothing named here may import it.
FOUNDATION = ("keys", "clock", "errors", "redis")
BELOW = {
    "keys": (),
    "errors": (),
    "clock": (),
    "redis": (),
    "asgi": (),
    "intake": ("asgi",),
    "repository": (*FOUNDATION, "repository"),
    "charts": ("clock",),
    "permissions": (*FOUNDATION, "repository", "models"),
    "accounts": (*FOUNDATION, "repository", "models", "permissions"),
    "api_clients": (*FOUNDATION, "repository", "models"),
    "api": (*FOUNDATION, "repository", "models", "api_clients", "middleware", "api"),
    "letters": ("errors",),
    "second_factor": (*FOUNDATION, "repository", "models", "permissions", "letters"),
    "signin": (*FOUNDATION, "repository", "permissions", "accounts", "browser_sessions", "second_factor"),
    "staff": (*FOUNDATION, "repository", "models", "permissions", "accounts", "second_factor"),
    "passwords": (*FOUNDATION, "repository", "accounts", "letters", "signin"),
    "live": (*FOUNDATION, "asgi", "repository", "signin", "live"),
    "forms": (*FOUNDATION, "repository", "permissions", "api_clients", "forms", "charts"),
    "templatetags": ("clock", "keys", "charts", "templatetags"),
}


def name_of(path: Path) -> str:
    """`dashboard/views/web.py` -> `views.web`."""
    parts = path.relative_to(ROOT / "dashboard").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def imports(path: Path) -> set[str]:
    """Full names of all that is imported, wherever in the file: `dashboard.repository.store`, `redis.Redis`."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def parts_imported(path: Path) -> set[str]:
    """The project's parts that a module imports: `keys`, `repository`, `views`, ..."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("dashboard.")}


def modules(part: str) -> list[Path]:
    return [path for path in CODE if name_of(path).split(".")[0] == part]


@pytest.mark.parametrize("part", BELOW)
def test_data_flows_one_way(part: str) -> None:
    for path in modules(part):
        above = parts_imported(path) - set(BELOW[part])
        assert not above, f"{name_of(path)} imports {sorted(above)} from above it"


def test_every_part_below_the_views_is_there() -> None:
    assert all(modules(part) for part in BELOW)


def test_the_repository_knows_nothing_of_the_web() -> None:
    for path in modules("repository"):
        web = {name for name in imports(path) if re.match(r"django\.(?!conf)|insurance_site", name)}
        assert not web, f"{name_of(path)} imports {sorted(web)}"


def test_views_never_talk_to_the_store_themselves() -> None:
    for path in modules("views") + modules("api") + modules("forms") + modules("templatetags"):
        foreign = {name for name in imports(path) if name.split(".")[0] in ("redis", "django_redis")}
        # What connects: of the store's module a view may only take the client, to hand it on.
        foreign |= {name for name in imports(path) if name.startswith("dashboard.redis.")}
        assert not foreign, f"{name_of(path)} imports {sorted(foreign)}"
        assert commands_called(path) == [], f"{name_of(path)} calls the store"


def commands_called(path: Path) -> list[str]:
    """Methods called on `redis.client()` or on a name it was given to."""
    clients = {"client"} if "dashboard.redis" in imports(path) else set()
    return [
        f"line {node.lineno}: {ast.unparse(node.func)}"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (is_client(node.func.value) or (isinstance(node.func.value, ast.Name) and node.func.value.id in clients))
    ]


def is_client(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "redis.client"


# -- key names

PREFIXES = tuple(sorted({family.pattern.partition(":")[0] + ":" for family in keys.CATALOGUE.values()}))


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string that is code, and so no docstring; of an f-string, the text it begins with."""
    module = tree(path)
    documentation = {
        id(node.value)
        for node in ast.walk(module)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value


def looks_like_a_key(text: str) -> bool:
    return text.startswith(PREFIXES) and not re.search(r"\s", text) and text not in PREFIXES


def test_a_key_name_is_told_from_a_text() -> None:
    assert all(map(looks_like_a_key, ("policy:auto:", "quote:*", "dash:index:", "session:agent:AG001:workstation")))
    assert not any(map(looks_like_a_key, ("claim: it", "auto:100001", "policy", "quotes:", "customer: CUST001")))


def test_key_names_are_made_in_one_place() -> None:
    made = [
        f"{name_of(path)} line {line}: {text!r}"
        for path in CODE
        if name_of(path) != "keys"
        for line, text in texts(path)
        if looks_like_a_key(text) and text != keys.LIVE_CHANNEL
    ]
    assert made == []


def test_no_name_of_a_key_is_pieced_together_either() -> None:
    """`f"session:{member}"` builds a name (or, given to the parser, reads one): only where it is parsed at once."""
    pieced = []
    for path in CODE:
        if name_of(path) == "keys":
            continue
        parsed = {
            id(argument)
            for node in ast.walk(tree(path))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "keys.parse"
            for argument in node.args
        }
        pieced += [
            f"{name_of(path)} line {node.lineno}: {ast.unparse(node)}"
            for node in ast.walk(tree(path))
            if isinstance(node, ast.JoinedStr)
            and id(node) not in parsed
            and len(node.values) > 1
            and isinstance(node.values[0], ast.Constant)
            and str(node.values[0].value) in PREFIXES
        ]
    assert pieced == []


# -- pages


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_template_holds_no_style_and_no_script_of_its_own(path: Path) -> None:
    text = path.read_text()
    tags = re.findall(r"<[a-zA-Z][^<]*?>", text)
    inline = [tag for tag in tags if re.search(r"\s(style|on[a-z]+)\s*=", without_values(tag))]
    assert inline == []
    assert not re.search(r"<style|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text), "a script comes from a file"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_template_escapes_whatever_it_shows(path: Path) -> None:
    assert not re.search(r"\|\s*safe\b|safeseq|autoescape off", path.read_text())


@pytest.mark.parametrize(
    "path", [path for path in TEMPLATES if path.name == "_regions.html"], ids=lambda path: path.parent.name
)
def test_what_is_rendered_once_for_many_holds_no_ones_own_token(path: Path) -> None:
    """Regions may be shared: one's CSRF token would be shown to others, whose forms it would break."""
    assert not re.search(r"csrf_token|form_token|parts/(token|me|saved)\.html", path.read_text())


def without_values(tag: str) -> str:
    """A tag with template code and quoted values taken out, so that only names of attributes are left."""
    return re.sub(r"\"[^\"]*\"|'[^']*'", '""', re.sub(r"{%.*?%}|{{.*?}}", " ", tag, flags=re.DOTALL))


def test_inline_handlers_and_styles_would_be_seen() -> None:
    bad = ('<a onclick="x()">', "<p STYLE='x'>".lower(), '<b {% if a %}onload="x"{% endif %}>')
    good = ('<a data-on="onclick=1">', '<p class="style">', '<b hx-on="">', '<i {% x style="1" %}>')
    pattern = re.compile(r"\s(style|on[a-z]+)\s*=")
    assert [bool(pattern.search(without_values(tag))) for tag in (*bad, *good)] == [True] * 3 + [False] * 4


# -- the whole

WRITTEN = (".py", ".html", ".css", ".js", ".md", ".toml", ".txt", ".svg", ".sh", "")
LEFT_OUT = {".git", ".venv", "var", "build", "node_modules", "__pycache__", ".hypothesis"}


def files(folder: Path = ROOT) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_OUT or path.name.endswith("_cache"):
            continue
        if path.is_dir():
            yield from files(path)
        elif path.suffix in WRITTEN:
            yield path


def test_nothing_names_a_folder_of_somebodys_machine() -> None:
    homes = re.compile(r"(?<![\w.-])/(?:wor" + r"k|home|Users|root|mnt)/")
    named = [str(path.relative_to(ROOT)) for path in files() if homes.search(path.read_text(errors="replace"))]
    assert named == []
