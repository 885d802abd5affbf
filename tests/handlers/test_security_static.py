"""What no handler may contain, whatever it is for. Each rule names the few places that are meant, with the reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

HANDLERS = Path(__file__).resolve().parents[2] / "src" / "corral" / "handlers"
FILES = sorted(HANDLERS.rglob("*.py"))
TREES = {str(path.relative_to(HANDLERS)): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}

#: Reads code, runs what it is told, or imports by name.
NEVER_CALLED = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "subprocess.getoutput",
    "subprocess.getstatusoutput", "asyncio.create_subprocess_shell", "importlib.import_module", "import_module",
    "ssl._create_unverified_context", "tempfile.mktemp", "os.execv", "os.spawnl",
}  # fmt: skip
NEVER_IMPORTED = {
    "pickle", "marshal", "shelve", "dill", "yaml", "requests", "aiohttp", "urllib.request", "ftplib", "telnetlib",
    "zipfile", "xml.sax", "xml.dom", "xml.dom.minidom", "lxml", "random", "ctypes", "runpy", "code", "pty",
}  # fmt: skip
#: Weak, and with nothing here that would need them.
NEVER_HASHED = {"hashlib.md5", "hashlib.sha1"}
#: One way out, which checks every address; and one older than it, to an address that only the operator sets.
WEB = {"kit/web.py", "kit/sockets.py", "kit/addresses.py", "email/resend.py"}
#: Programs are run with lists of arguments, in these places; the last one is Python, with a constant for a program.
PROGRAMS = {"backup/sources.py", "pipelines/command.py", "reports/output/typesetting.py"}
#: Templates that insert something as it is, and what.
AS_IT_IS = {("report.html", "chart.svg")}


def dotted(node: ast.AST) -> str:
    """`os.path.join` for what is written so."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    """Where, what, and the call."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield name, dotted(node.func), node


def imports() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Where, which module, and which of its names."""
    for name, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((name, alias.name, ()) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield name, node.module, tuple(alias.name for alias in node.names)


def test_there_is_something_to_look_at() -> None:
    assert len(TREES) > 50
    assert sum(1 for _ in calls()) > 1_000


def test_nothing_runs_what_it_is_told() -> None:
    assert [(where, what) for where, what, _ in calls() if what in NEVER_CALLED] == []
    assert [
        (where, what)
        for where, what, call in calls()
        for word in call.keywords
        if word.arg == "shell" and not (isinstance(word.value, ast.Constant) and word.value.value is False)
    ] == []


def test_nothing_dangerous_is_imported() -> None:
    found = [
        (where, module)
        for where, module, names in imports()
        if module in NEVER_IMPORTED or any(f"{module}.{name}" in NEVER_IMPORTED for name in names)
    ]
    assert found == []


def test_programs_are_run_in_known_places() -> None:
    runs = re.compile(
        r"(asyncio\.create_subprocess_exec|subprocess\.(Popen|run|call|check_\w+)|os\.(exec|spawn|fork)\w*)"
    )
    assert {where for where, what, _ in calls() if runs.fullmatch(what)} <= PROGRAMS


def test_there_is_one_way_to_other_servers() -> None:
    libraries = re.compile(r"(httpx2|httpx|httpcore2|http\.client|urllib3|anyio)(\..*)?")
    found = {where for where, module, _ in imports() if libraries.fullmatch(module)}
    # Slack's own library opens its connections itself, to an address that only the operator sets; errors are caught.
    assert found <= WEB | {"slack/api.py"}
    assert [(where, what) for where, what, _ in calls() if what in ("socket.socket", "socket.create_connection")] == []


def test_certificates_are_always_checked() -> None:
    text = {name: (HANDLERS / name).read_text(encoding="utf-8") for name in TREES}
    off = re.compile(
        r"verify\s*=\s*False|CERT_NONE|check_hostname\s*=\s*False|validate_certs\s*=\s*False|ssl\s*=\s*False"
    )
    assert [name for name, source in text.items() if off.search(source)] == []


def test_statements_to_databases_are_constants() -> None:
    """`text(f"… {value}")` is how a value becomes a statement; bound parameters are not."""
    found = [
        (where, ast.unparse(call))
        for where, what, call in calls()
        if what in ("sa.text", "sqlalchemy.text", "text", "exec_driver_sql", "connection.exec_driver_sql")
        and call.args
        and not _constant(call.args[0])
    ]
    assert found == []


def _constant(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return _constant(node.body) and _constant(node.orelse)
    return isinstance(node, ast.Constant)


def test_xml_is_read_by_parsers_that_refuse_entities() -> None:
    elements = [(where, names) for where, module, names in imports() if module == "xml.etree.ElementTree"]
    assert all(set(names) <= {"Element", "SubElement"} for _, names in elements)  # what a parser gave, not a parser
    assert {where for where, module, names in imports() if (module, names) == ("xml.parsers", ("expat",))} <= {
        "pipelines/junit.py"
    }
    if any(where == "pipelines/junit.py" for where in TREES):
        source = (HANDLERS / "pipelines" / "junit.py").read_text(encoding="utf-8")
        assert "StartDoctypeDeclHandler" in source  # without a document type there are no entities
    assert [(where, what) for where, what, _ in calls() if what.endswith((".extractall", ".extract"))] == []


def test_hashes_are_strong() -> None:
    assert [(where, what) for where, what, _ in calls() if what in NEVER_HASHED] == []


def test_templates_are_sandboxed_and_escaped() -> None:
    made = [(where, what, call) for where, what, call in calls() if what.endswith("Environment")]
    assert {where for where, *_ in made} >= {"email/templates.py"}
    for where, _, call in made:
        words = {word.arg for word in call.keywords}
        assert "autoescape" in words, where
        assert "SandboxedEnvironment" in (HANDLERS / where).read_text(encoding="utf-8"), where
    assert [
        (where, module) for where, module, names in imports() if module == "jinja2" and "Environment" in names
    ] == []


def test_templates_trust_no_data() -> None:
    found = {
        (path.name, text.strip())
        for path in HANDLERS.rglob("templates/**/*")
        if path.is_file()
        for text in re.findall(r"([\w.]+)\s*\|\s*safe", path.read_text(encoding="utf-8", errors="replace"))
    }
    assert found <= AS_IT_IS
    marked = {(where, what) for where, what, _ in calls() if what.split(".")[-1] == "Markup"}
    assert {where for where, _ in marked} <= {"email/templates.py"}


@pytest.mark.parametrize("family", sorted({name.split("/")[0] for name in TREES if "/" in name} - {"kit"}))
def test_settings_hold_secrets_as_secrets(family: str) -> None:
    """A field whose name says that it is a secret has a type whose representation shows none."""
    tree = TREES.get(f"{family}/settings.py")
    fields = [] if tree is None else [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    secret = re.compile(r"(?:^|_)(secret|password|api_key|signing_key|private_key|token|access_key)s?$")
    shown = [
        ast.unparse(field)
        for field in fields
        if isinstance(field.target, ast.Name)
        and secret.search(field.target.id)
        and "Secret" not in ast.unparse(field.annotation)
        and ast.unparse(field.annotation) not in ("int", "float", "bool")
    ]
    assert shown == []
