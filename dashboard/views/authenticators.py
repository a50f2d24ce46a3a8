"""How the secret of a new authenticator is shown: as a QR code, as a link for the same device, and to be typed."""

from __future__ import annotations

from base64 import b32encode
from typing import Any

import segno
from django.utils.safestring import SafeString, mark_safe
from django_otp.plugins.otp_totp.models import TOTPDevice


def shown(device: TOTPDevice) -> dict[str, Any]:
    secret = b32encode(device.bin_key).decode().rstrip("=")
    return {
        "qr": _qr(device.config_url),
        "otpauth": device.config_url,
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
    }


def _qr(text: str) -> SafeString:
    """An SVG of figures alone: what it says is in its squares. Dark on light by night, too, or scanners miss it."""
    drawn = segno.make(text, error="m").svg_inline(omitsize=True, border=3, dark="#000", light="#fff", svgclass="qr")
    return mark_safe(drawn)  # noqa: S308
