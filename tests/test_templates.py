"""What every template has to keep."""

from __future__ import annotations

import re
from pathlib import Path

import lucide
import pytest
from django.conf import settings
from django.template.loader import get_template

FOLDER = Path(settings.BASE_DIR) / "templates"
TEMPLATES = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.html"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_compiles_and_names_only_icons_that_exist(name: str) -> None:
    get_template(name)
    for icon in re.findall(r'icon(?:=| )"([a-z0-9-]+)"', (FOLDER / name).read_text()):
        lucide._render_icon(icon, 16)
