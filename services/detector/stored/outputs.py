"""What a command writes never lies where it reads, nor two of its files in one place."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from services.detector.stored.archive_layout import Archive
from services.detector.stored.rows import files_of

_RULE_FILES = "*.yaml"


def refuse_overwriting(outputs: Mapping[str, Path], inputs: Mapping[str, Sequence[Path]]) -> None:
    """Raise ValueError when an output would replace what is read, or another output. Both are told by their option."""
    places: dict[Path, str] = {}
    for option, path in outputs.items():
        if path.exists() and not path.is_file():
            raise ValueError(f"{option} {path} is no file / {option} 不是普通文件")
        other = places.setdefault(path.resolve(), option)
        if other != option:
            raise ValueError(f"{option} and {other} are one file, {path} / {option} 与 {other} 指向同一文件")
        for source, given in inputs.items():
            if any(_is_read(path, each) for each in given):
                raise ValueError(
                    f"{option} {path} would overwrite what {source} reads; name another file / "
                    f"{option} 会覆盖 {source} 读取的文件，请另选文件名"
                )


def _is_read(path: Path, given: Path) -> bool:
    """True when a file is one of those that are meant by a file or folder that is read."""
    if not path.exists() or not given.exists():
        return False
    if not given.is_dir():
        return path.samefile(given)
    if Archive(given).is_there:
        return path.resolve().is_relative_to(given.resolve())
    return any(path.samefile(each) for each in (*files_of([given]), *given.rglob(_RULE_FILES)))
