"""`python -m schemas.generate`: everything that is derived from the contracts, made anew or checked.

python -m schemas.generate              append new schemas to the lock; write the stubs and the reference pages
python -m schemas.generate --check      change nothing; fail when something is stale, unclean or breaks a release
python -m schemas.generate --release    accept the present .proto files as released; later checks compare with them
"""

import argparse
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from schemas.lock import append_only_faults, lock_text, plan_lock
from schemas.registry import LOCK_FILE, ROOT, load_registry, read_lock

PROTO_ROOT = ROOT / "proto"
RELEASED_IMAGE = PROTO_ROOT / "released.binpb"
RPC_ROOT = ROOT / "rpc"
DOCS_ROOT = ROOT.parent / "docs"
_STUB_PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")
_TOOL_SECONDS = 120.0


def main() -> int:
    """Run one of the three modes; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description=__doc__.split("\n\n")[0])
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="change nothing; exit 1 when something is stale or broken")
    mode.add_argument("--release", action="store_true", help="accept the present .proto files as released")
    parser.add_argument("--against", metavar="REF", help="with --check: git revision whose lock must still hold")
    options = parser.parse_args()
    if options.check:
        faults = check(options.against)
    elif options.release:
        faults = release()
    else:
        faults = write()
    for fault in faults:
        sys.stderr.write(f"{fault}\n")
    return 1 if faults else 0


def write() -> list[str]:
    """Append to the lock, then write stubs and pages; return the faults that stood in the way."""
    plan = plan_lock(read_lock(LOCK_FILE), schema_files(ROOT))
    if plan.faults:
        return list(plan.faults)
    LOCK_FILE.write_text(lock_text(plan.entries), encoding="utf-8")
    faults = write_stubs(RPC_ROOT)
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return faults


def check(against: str | None = None) -> list[str]:
    """Return everything that is stale, unclean or breaks what was released."""
    locked = read_lock(LOCK_FILE)
    plan = plan_lock(locked, schema_files(ROOT))
    faults = list(plan.faults)
    if plan.entries != locked:
        faults.append("schemas/registry.lock.json: new schema files are not in it; run `make proto`")
    if against:
        faults += _lock_faults_against(against)
    if faults:
        return faults
    return [*_compatibility_faults(), *stub_faults(), *page_faults(), *lint_faults(), *breaking_faults()]


def release() -> list[str]:
    """Write the image of the present .proto files, provided that it breaks nothing released before."""
    faults = [*lint_faults(), *breaking_faults()]
    if faults:
        return faults
    return run_buf("build", "--exclude-source-info", "-o", str(RELEASED_IMAGE))


def schema_files(root: Path) -> dict[str, bytes]:
    """Return the Avro schema files by their path beside the lock."""
    return {f"avro/{path.name}": path.read_bytes() for path in sorted((root / "avro").glob("*.avsc"))}


def pages() -> dict[Path, str]:
    """Return the generated pages by path."""
    from schemas import reference

    made = {"events.md": reference.events_page, "topics.md": reference.topics_page}
    templates = {name: (ROOT / "pages" / name).read_text(encoding="utf-8") for name in made}
    return {DOCS_ROOT / name: make(templates[name]) for name, make in made.items()}


def page_faults() -> list[str]:
    """Return the pages that are not what the contracts say."""
    return [
        f"docs/{path.name}: stale; run `make proto`"
        for path, text in pages().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


def write_stubs(target: Path) -> list[str]:
    """Generate Python and type stubs of all .proto files into a folder, and remove those without a source."""
    protos = sorted(str(path.relative_to(PROTO_ROOT)) for path in PROTO_ROOT.rglob("*.proto"))
    arguments = [f"-I{PROTO_ROOT}", f"--python_out={target}", f"--grpc_python_out={target}"]
    for plugin in ("mypy", "mypy_grpc"):
        arguments += [f"--plugin=protoc-gen-{plugin}={_tool(f'protoc-gen-{plugin}')}", f"--{plugin}_out=quiet:{target}"]
    for stale in _stubs(target):
        (target / stale).unlink()
    return _run([sys.executable, "-m", "grpc_tools.protoc", *arguments, *protos])


def stub_faults() -> list[str]:
    """Return the stubs that are not what protoc would write now."""
    with tempfile.TemporaryDirectory(prefix="kairos-stubs-") as folder:
        fresh = Path(folder)
        faults = write_stubs(fresh)
        names = _stubs(fresh) | _stubs(RPC_ROOT)
        faults += [f"schemas/rpc/{name}: stale; run `make proto`" for name in sorted(names) if _differ(fresh, name)]
    return faults


def lint_faults() -> list[str]:
    """Return what buf's linter says."""
    return run_buf("lint")


def breaking_faults(image: Path = RELEASED_IMAGE, *, source: Path = PROTO_ROOT) -> list[str]:
    """Return what breaks clients of the released .proto files."""
    return run_buf("breaking", "--against", str(image), source=source)


def run_buf(*arguments: str, source: Path = PROTO_ROOT) -> list[str]:
    """Run buf on the .proto files; return its complaints."""
    return _run([_tool("buf"), *arguments], folder=source)


def _compatibility_faults() -> list[str]:
    from schemas.compatibility import registry_faults

    return registry_faults(load_registry())


def _lock_faults_against(revision: str) -> list[str]:
    show = ["git", "show", f"{revision}:schemas/{LOCK_FILE.name}"]
    shown = subprocess.run(show, cwd=ROOT, capture_output=True, check=False, timeout=_TOOL_SECONDS)
    if shown.returncode != 0:
        return [f"no lock file in {revision}: {shown.stderr.decode(errors='replace').strip()}"]
    with tempfile.NamedTemporaryFile(suffix=".json") as before:
        before.write(shown.stdout)
        before.flush()
        return append_only_faults(read_lock(Path(before.name)), read_lock(LOCK_FILE))


def _stubs(root: Path) -> set[Path]:
    return {path.relative_to(root) for pattern in _STUB_PATTERNS for path in root.rglob(pattern)}


def _differ(fresh: Path, name: Path) -> bool:
    there, here = RPC_ROOT / name, fresh / name
    return not (there.exists() and here.exists() and there.read_bytes() == here.read_bytes())


def _tool(name: str) -> str:
    """Return the path of a tool installed beside this Python, or found on PATH."""
    return shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name) or name


def _run(command: list[str], *, folder: Path = ROOT) -> list[str]:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=_TOOL_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as fault:
        return [f"{Path(command[0]).name}: {fault}"]
    if done.returncode == 0:
        return []
    output = (done.stdout + done.stderr).decode(errors="replace").strip()
    return output.splitlines() or [f"{Path(command[0]).name}: exit code {done.returncode}"]


if __name__ == "__main__":
    sys.exit(main())
