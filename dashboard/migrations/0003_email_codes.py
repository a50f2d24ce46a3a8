"""Whether somebody has codes for signing in sent by e-mail."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("dashboard", "0002_anchors")]

    operations = [
        migrations.AddField(
            model_name="staff",
            name="email_codes",
            field=models.BooleanField(default=False),
        ),
    ]
