"""The configured cities and customer segments, read from cities.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from schemas.registry import ROOT

CITIES_FILE = ROOT / "cities.toml"


@dataclass(frozen=True)
class Named:
    """A code with its names in both languages of the product."""

    code: str
    en: str
    zh: str

    def name(self, language: str) -> str:
        """Return the name in a language, `zh` or `en`."""
        return self.zh if language == "zh" else self.en


def load_cities(path: Path = CITIES_FILE) -> tuple[dict[str, Named], dict[str, Named]]:
    """Return the cities and the segments of a file, by code, in its order."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    cities, segments = (
        {code: Named(code, names["en"], names["zh"]) for code, names in document[table].items()}
        for table in ("cities", "segments")
    )
    return cities, segments


_CITIES, _SEGMENTS = load_cities()
CITIES: Mapping[str, Named] = _CITIES
SEGMENTS: Mapping[str, Named] = _SEGMENTS
