"""`polder demo`, piped: every packet as expected, no colours, nothing left."""

import subprocess

from conftest import POLDER


def test_the_demo_passes():
    done = subprocess.run([POLDER, "demo"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "✗" not in done.stdout and "\x1b" not in done.stdout
    assert "security-group-ingress" in done.stdout and "delivered" in done.stdout
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    assert " pd" not in links
