"""Profiles: `dev` is quick, `ci` repeatable, `nightly` long and random (HYPOTHESIS_PROFILE=nightly)."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_CALM = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("dev", deadline=None, suppress_health_check=_CALM)
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=_CALM)
settings.register_profile("nightly", deadline=None, max_examples=2000, suppress_health_check=_CALM)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
