#!/usr/bin/env python
"""Every command of the project: serve, load_sample, generate, reindex and Django's own."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "insurance_site.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Tideline cannot start: {error}")


if __name__ == "__main__":
    main()
